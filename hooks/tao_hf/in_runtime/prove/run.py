"""Prove by numbers which way to the backbone gives the Hugging Face model's outputs, and measure what it looks like.

    python -m tao_hf.in_runtime.prove.run REQUEST RESULT

Runs inside the runtime, with tao-core and tao-pytorch on its path; REQUEST is the JSON of
`tao_hf.inspection.proof`. For each strategy in turn the very file that would be generated is rendered and imported; the
Hugging Face model, built from its configuration, is converted into it; and the logits of both are compared on random
images, at the model's own size and at another one where the Hugging Face model takes it. Ends with status 0 and RESULT
written, or with status 3 and one line that says why TAO's backbones cannot be imported.
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

from tao_hf.in_runtime.probe.common import first_line  # noqa: E402
from tao_hf.in_runtime.prove import backbone, whole  # noqa: E402
from tao_hf.in_runtime.prove.subject import Subject  # noqa: E402
from tao_hf.in_runtime.prove.verdict import FellThrough  # noqa: E402

NO_TAO = 3


def main(argv: list[str]) -> int:
    """Read the request, prove, write the result; see the module."""
    request_file, result_file = map(Path, argv)
    request = json.loads(request_file.read_text(encoding="utf-8"))
    _say("importing TAO's backbones")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module("nvidia_tao_pytorch.cv.backbone_v2")
    except Exception as error:  # whatever a clone may raise
        _say(first_line(error))
        return NO_TAO
    result_file.write_text(json.dumps(prove(request), indent=1), encoding="utf-8")
    return 0


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """Try the strategies of the request in order until one passes.

    Args:
        request: ``findings``; ``strategies``, in order; ``registered`` (files of backbone_v2 that register backbones);
            ``weights`` (a directory with the model's own, or None); ``network`` ("backbone", or "whole" where the
            network is the Hugging Face model with its heads).

    Returns:
        ``tried``: by strategy, {"passed", "reason", "difference", "sizes"}; ``measured``: by
        strategy, what was measured of the one that passed; ``weights``: "own" or "random".
    """
    subject, tried, measured = None, {}, {}
    for strategy in request["strategies"]:
        _say(f"proving strategy {strategy}")
        try:
            subject = subject or Subject(request["findings"], request["weights"])
            if request["network"] == "whole":
                measured[strategy], figures = whole.prove_whole(subject)
            else:
                measured[strategy], figures = backbone.prove_strategy(strategy, subject, request["registered"])
            tried[strategy] = {"passed": True, "reason": None, **figures}
        except FellThrough as reason:
            tried[strategy] = {"passed": False, "reason": str(reason), "difference": None, "sizes": []}
        if measured:
            break
    return {"tried": tried, "measured": measured, "weights": "own" if subject and subject.has_own_weights else "random"}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
