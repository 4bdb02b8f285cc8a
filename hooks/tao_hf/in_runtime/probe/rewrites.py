"""Functions of PyTorch that an export can say otherwise, so that TensorRT takes it: the generated module, imported."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.rendering import environment, layers

NAMES = ("avg_pool2d", "fold")  # functions of torch.nn.functional
FILE = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/onnx_rewrites.py"


def called(run: Callable[[], Any]) -> tuple[str, ...]:
    """Return which of the functions are called while something runs."""
    from torch.nn import functional

    originals = {name: getattr(functional, name) for name in NAMES}
    seen = set()

    def noting(name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            seen.add(name)
            return originals[name](*args, **kwargs)

        return note

    try:
        for name in NAMES:
            setattr(functional, name, noting(name))
        run()
    finally:
        for name, original in originals.items():
            setattr(functional, name, original)
    return tuple(sorted(seen))


def rewritten(names: Sequence[str]) -> AbstractContextManager[None]:
    """Return a context in which these functions are said otherwise, as in the generated export."""
    return _module(tuple(names)).rewritten() if names else nullcontext()


@cache
def _module(names: tuple[str, ...]) -> types.ModuleType:
    template = environment.make(TEMPLATE).get_template(layers.source(TEMPLATE, ("template",), FILE))
    text = template.render({"rewrites": names})
    module = types.ModuleType("onnx_rewrites")
    exec(compile(text, "<onnx_rewrites.py>", "exec"), module.__dict__)  # noqa: S102 - what the template rendered
    return module
