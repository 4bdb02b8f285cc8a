"""Functions of PyTorch that an export can say otherwise, so that TensorRT takes it: the generated module, imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tao_hf.in_runtime.probe import generated

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
    return generated.module(FILE, rewrites=tuple(names)).rewritten() if names else nullcontext()
