"""Functions of PyTorch that an export can say otherwise, so that TensorRT takes it: the generated module, imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tao_hf.in_runtime.probe import generated

NAMES = ("avg_pool2d", "fold", "split", "where")  # of torch.nn.functional, of tensors, and of torch
FILE = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/onnx_rewrites.py"


def called(run: Callable[[], Any]) -> tuple[str, ...]:
    """Return which of the functions are called while something runs."""
    import torch
    from torch.nn import functional

    owners = dict.fromkeys(NAMES, functional) | {"split": torch.Tensor, "where": torch}
    originals = {name: getattr(owner, name) for name, owner in owners.items()}
    seen = set()

    def noting(name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            counts = {
                "split": kwargs.get("dim", args[2] if len(args) > 2 else 0) == 0,  # others split no batches
                "where": len(args) + len(kwargs) == 1,  # others choose between two tensors
            }
            if counts.get(name, True):
                seen.add(name)
            return originals[name](*args, **kwargs)

        return note

    try:
        for name, owner in owners.items():
            setattr(owner, name, noting(name))
        run()
    finally:
        for name, original in originals.items():
            setattr(owners[name], name, original)
    return tuple(sorted(seen))


def rewritten(names: Sequence[str]) -> AbstractContextManager[None]:
    """Return a context in which these functions are said otherwise, as in the generated export."""
    return generated.module(FILE, rewrites=tuple(names)).rewritten() if names else nullcontext()
