"""What containers cost: the whole test of the demo's model in Docker against the local runtime, in one run.

    PYTHONPATH=hooks python -m benchmarks.containers [--task TASK]

Needs the prepared TAO images (./tao-hf phase0); the local runtime is built when it is not there. The demo is that of
the task, by default of the first that has one. Prints the seconds of every step on both sides, their sums without the
steps that only one side has, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from demo.demo import TASKS, make_inputs
from tao_hf.in_runtime import task_code
from tao_hf.rendering import tasks
from tao_hf.runtime.kinds import get_runtime

ROOT = Path(__file__).resolve().parents[1]

RATIO_GOAL, MINUTES_GOAL = 1.5, 10


def tested(runtime: str, home: Path, demo: ModuleType) -> tuple[dict[str, float], float]:
    """Copy and test the demo's model with that runtime; return seconds by step and the seconds of everything."""
    workdir = home / runtime
    answers = {"hf_model_id": home / "hf-model", "model_name": demo.MODEL, "runtime": runtime, "without_gpu": True}
    answers |= {"tao_source": "embedded", "run_tests": "none"}
    data = [item for name, value in answers.items() for item in ("--data", f"{name}={value}")]
    copier = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD"]
    subprocess.run([*copier, *data, str(ROOT), str(workdir)], check=True)
    settings = [item for setting in demo.TRAINING for item in ("--set", setting)]
    test = ["./tao-hf", "test", demo.MODEL, "--full", "--data", str(home / demo.DATA), *settings]
    subprocess.run(test, cwd=workdir, check=True)
    report = json.loads((workdir / ".tao-hf" / demo.MODEL / "report.json").read_text(encoding="utf-8"))
    seconds = {step["id"]: step["seconds"] for step in report["steps"] if step["status"] == "passed"}
    return seconds, sum(seconds.values())


def main() -> int:
    """Measure and print; the exit status is 0 when both goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    task = parser.parse_args().task
    demo = task_code.load_file(tasks.demo(ROOT, task))
    get_runtime("local").prepare()
    with tempfile.TemporaryDirectory(prefix="tao-hf-containers-") as folder:
        home = Path(folder)
        make_inputs("local", task, home / "hf-model", home / demo.DATA)
        (without, _), (within, whole) = (tested(runtime, home, demo) for runtime in ("local", "docker"))
    shared = [step for step in within if step in without]
    print(f"\n{'step':<20}{'local':>10}{'docker':>10}")
    for step in within:
        print(f"{step:<20}{without.get(step, float('nan')):>9.1f}s{within[step]:>9.1f}s")
    ratio = whole / sum(without[step] for step in shared)
    print(f"\nall of docker against the same steps locally: {ratio:.2f}x (goal {RATIO_GOAL}x)")
    print(f"phase 6 in containers: {whole / 60:.1f} min (goal {MINUTES_GOAL} min)")
    return 0 if ratio <= RATIO_GOAL and whole <= MINUTES_GOAL * 60 else 1


if __name__ == "__main__":
    sys.exit(main())
