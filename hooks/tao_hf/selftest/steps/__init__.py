"""The test steps of a generated model, one Step object each, numbered as in the porting procedure.

A step says what it runs (commands), in which isolation context, and how its artifacts prove that it worked (gate). A
new step is a new object in the STEPS of one of these modules; the runner and the report know nothing but the list here.
"""

from __future__ import annotations

from tao_hf.selftest.steps import (
    chain,
    consistency,
    crosscheck,
    images,
    lint,
    release,
    shells,
    specs,
    unit_tests,
    wheels,
)
from tao_hf.selftest.steps.job import Step

# In the order in which they run: every step stands behind those that it needs.
STEPS: tuple[Step, ...] = (
    *images.STEPS,
    *consistency.STEPS,
    *unit_tests.STEPS,
    *lint.STEPS,
    *wheels.STEPS,
    *specs.STEPS,
    *chain.STEPS,
    *crosscheck.STEPS,
    *shells.STEPS,
    *release.STEPS,
)
