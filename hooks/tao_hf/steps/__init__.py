"""The test steps of a generated model, one Step object each, numbered as in the porting procedure.

A step says what it runs (commands), in which isolation context, and how its artifacts prove that it worked (gate). A
new step is a new object in the STEPS of one of these modules; the runner and the report know nothing but the list here.
"""

from __future__ import annotations

from tao_hf.steps import chain, consistency, crosscheck, lint, unit_tests
from tao_hf.steps.job import Step

STEPS: tuple[Step, ...] = (
    *consistency.STEPS,
    *unit_tests.STEPS,
    *lint.STEPS,
    *chain.STEPS,
    *crosscheck.STEPS,
)
