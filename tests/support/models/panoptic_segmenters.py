"""A tiny random model of every architecture that transformers maps to universal segmentation.

    python -m tests.support.models.panoptic_segmenters OUT [NAMES...]

Runs inside the runtime. `TINY` is the table, as in ``instance_segmenters``, whose models they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.models import instance_segmenters
from tests.support.models.detectors import tell, unknown

TINY = {name: row for name, row in instance_segmenters.TINY.items() if name != "rf_detr"}


def mapped() -> dict[str, str]:
    """Return the class of every architecture that the installed transformers maps to universal segmentation."""
    from transformers.models.auto import modeling_auto

    return dict(modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES)


def missing() -> list[str]:
    """Return the classes that transformers has and the table has no row for."""
    return unknown(TINY, mapped())


def make(name: str, folder: Path) -> None:
    """Write one model and its image processor into `folder`."""
    instance_segmenters.make(name, folder)


def main(argv: list[str]) -> int:
    """Make the models named on the command line, or all; print a line of JSON for each, and one about the table."""
    return tell(argv, TINY, mapped(), make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
