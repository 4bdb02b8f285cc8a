"""Which steps a person means by --steps."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tao_hf.base.errors import UserError
from tao_hf.selftest.steps.job import Step

_RANGE = re.compile(r"^(\d+)-(\d+)$", re.ASCII)


def parse(text: str, steps: Sequence[Step]) -> list[str]:
    """Return the ids of the steps in a list such as "17-19,22,23.fp16", in the order in which they run.

    A whole number means every step with that number (22: 22.prepare, 22.train and so on), a range every step with a
    number in it.

    Raises:
        UserError: a part of the list means no step.
    """
    chosen: set[str] = set()
    for part in (part.strip() for part in text.split(",")):
        found = {step.id for step in steps if _means(part, step.id)}
        if not found:
            ids = ", ".join(step.id for step in steps)
            raise UserError(f"there is no step {part!r}; the steps are {ids} (22 means all that begin with 22)")
        chosen |= found
    return [step.id for step in steps if step.id in chosen]


def _means(part: str, step_id: str) -> bool:
    number = step_id.partition(".")[0]
    span = _RANGE.match(part)
    if span:
        return number.isdecimal() and int(span[1]) <= int(number) <= int(span[2])
    return part in (step_id, number)
