"""What rendering a model costs, from `copier copy` to patched repositories, without inspection and tests.

    PYTHONPATH=hooks python -m benchmarks.rendering [--rounds N]

The model is inspected and the wheels are fetched once beforehand; what is timed is Copier with all questions answered,
and the laying out of the embedded repositories with branches and patches.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import copier

from tao_hf.lifecycle import copy
from tao_hf.runtime.kinds import get_runtime
from tests.support.copies import make_vit

ROOT = Path(__file__).resolve().parents[1]

GOAL = 3.0  # seconds


def once(hf_model: Path, workdir: Path) -> tuple[float, float]:
    """Render and place one model; return the seconds of both."""
    answers = {
        "hf_model_id": str(hf_model),
        "model_name": "bench_vit",
        "runtime": "local",
        "tao_source": "embedded",
        "run_tests": "none",
    }
    started = time.perf_counter()
    copier.run_copy(
        str(ROOT), workdir, data=answers, defaults=True, unsafe=True, quiet=True, skip_tasks=True, vcs_ref="HEAD"
    )
    rendered = time.perf_counter()
    copy.add_model(ROOT, workdir, "bench_vit")
    return rendered - started, time.perf_counter() - rendered


def main() -> None:
    """Print the seconds of every round and the best total against the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    runtime = get_runtime("local")
    runtime.prepare()
    with tempfile.TemporaryDirectory() as home:
        hf_model = make_vit(runtime.python, Path(home) / "model", ["cat", "dog", "bird"])
        times = []
        for index in range(rounds + 1):
            with contextlib.redirect_stderr(io.StringIO()):
                times.append(once(hf_model, Path(home) / f"workdir-{index}"))
    print(f"{'round':<8}{'render':>10}{'place, patch':>14}{'total':>10}   (seconds; round 0 also inspects)")
    for index, (render, place) in enumerate(times):
        print(f"{index:<8}{render:>10.2f}{place:>14.2f}{render + place:>10.2f}")
    best = min(sum(seconds) for seconds in times[1:])
    print(f"best of {rounds}: {best:.2f} s, goal ≤ {GOAL:.0f} s: {'reached' if best <= GOAL else 'MISSED'}")


if __name__ == "__main__":
    main()
