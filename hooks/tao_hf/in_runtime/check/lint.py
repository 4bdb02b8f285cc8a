"""Run pylint for errors on generated files, without reading the big libraries they import. Runs inside the runtime.

    python -m tao_hf.in_runtime.check.lint FILE…

Reading torch and transformers takes pylint two minutes; a wrong name in them is for the tests to find. Names,
imports and calls within TAO and the generated code are checked.
"""

from __future__ import annotations

import sys

from astroid.manager import AstroidManager
from pylint.lint import Run

UNREAD = (
    "fairscale",
    "fvcore",
    "lightning",
    "lightning_fabric",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pytorch_lightning",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
    "transformers",
)
# hydra_runner turns main(cfg) into main().
OPTIONS = ["--errors-only", "--score=n", "--signature-mutators=hydra_runner", f"--ignored-modules={','.join(UNREAD)}"]


class _Unread(set):
    """The set of all modules in and below the packages of UNREAD."""

    def __contains__(self, name: object) -> bool:
        """Tell whether a dotted module name belongs to such a package."""
        return str(name).partition(".")[0] in UNREAD


if __name__ == "__main__":
    AstroidManager.brain["module_denylist"] = _Unread()
    Run([*OPTIONS, *sys.argv[1:]])
