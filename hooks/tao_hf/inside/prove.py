"""Prove by numbers which way to the backbone gives the Hugging Face model's outputs, and measure what it looks like.

Runs inside the runtime, where `nvidia_tao_pytorch` can be imported: `python prove.py ROOT REQUEST RESULT`, with ROOT
the template and REQUEST the JSON of `tao_hf.proof`. For each strategy in turn the very file that would be generated is
rendered and imported; the Hugging Face model, built from its configuration, is converted into it; and the logits of
both are compared on random images, at the model's own size and at another one where the Hugging Face model takes it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1", TELEMETRY_OPT_OUT="yes")
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from probe_common import first_line  # noqa: E402

TOLERANCE = 1e-4  # of the largest logit
BATCH = 2


class FellThrough(Exception):  # noqa: N818 - not an error: the next strategy is tried
    """A strategy does not serve this model; the text says why."""


def main(argv: list[str]) -> int:
    """Read the request, prove, write the result; see the module."""
    root, request_file, result_file = map(Path, argv)
    request = json.loads(request_file.read_text(encoding="utf-8"))
    sys.path[:0] = [str(root / "networks" / "backbone"), str(root / "hooks")]
    sys.modules["prove"] = sys.modules[__name__]  # what the other modules import from here is this
    result = prove(root, request)
    result_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


def prove(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Try the strategies of the request in order until one passes.

    Args:
        root: the template.
        request: ``findings``; ``strategies``, in order; ``registered`` (files of backbone_v2 that register backbones);
            ``weights`` (a directory with the model's own, or None); ``network`` ("backbone", or "whole" where the
            network is the Hugging Face model with its heads).

    Returns:
        ``tried``: by strategy, {"passed", "reason", "difference", "sizes"}; ``plans``: what the one that
        passed is rendered from; ``weights``: "own" or "random"; ``against``: "tao-pytorch", or why it was the stand-in.
    """
    import prove_model
    import prove_whole

    _say("importing TAO's backbones")
    against = _find_tao(root)
    subject, tried, plans = None, {}, {}
    for strategy in request["strategies"]:
        _say(f"proving strategy {strategy}")
        try:
            subject = subject or prove_model.Subject(request["findings"], request["weights"])
            if request["network"] == "whole":
                plans[strategy], figures = prove_whole.prove_whole(root, subject)
            else:
                plans[strategy], figures = prove_model.prove_strategy(root, strategy, subject, request["registered"])
            tried[strategy] = {"passed": True, "reason": None, **figures}
        except FellThrough as reason:
            tried[strategy] = {"passed": False, "reason": str(reason), "difference": None, "sizes": []}
        if plans:
            break
    return {
        "tried": tried,
        "plans": plans,
        "weights": "own" if subject and subject.has_own_weights else "random",
        "against": against,
    }


def _find_tao(root: Path) -> str:
    """Import tao-pytorch's backbones, or the stand-in's where the person's cannot be imported; say which it was."""
    sys.path.append(str(root / "standins" / "modules"))  # last: what is really there goes first
    try:
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module("nvidia_tao_pytorch.cv.backbone_v2")
    except Exception as error:
        for name in [name for name in sys.modules if name.split(".")[0] == "nvidia_tao_pytorch"]:
            del sys.modules[name]
        sys.path.insert(0, str(root / "standins" / "tao_pytorch"))
        importlib.import_module("nvidia_tao_pytorch.cv.backbone_v2")
        return f"tao-pytorch cannot be imported here ({first_line(error)})"
    return "tao-pytorch"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
