"""The main job on the embedded default: a Hugging Face model becomes a trained, exported and deployed TAO model.

``make demo`` calls this with the project's own interpreter; everything heavy runs in the local runtime. With
``--runtime docker`` it runs in the prepared TAO images, or in those that the environment names. ``--task`` chooses what
the model does; the file that the task's ``task.yml`` names as its demo says what it starts from and what to reach.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity
from tao_hf.in_runtime import task_code
from tao_hf.rendering import tasks
from tao_hf.runtime import host
from tao_hf.runtime.kinds import KINDS, get_runtime

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "demo"
TASKS = [name for name in tasks.task_types(ROOT) if tasks.demo(ROOT, name)]


def run(title: str, *command: str, cwd: Path) -> None:
    """Run a command as a person would type it; stop the demo when it fails."""
    print(f"\n── {title}\n$ {' '.join(command)}", flush=True)
    if subprocess.run(command, cwd=cwd, check=False).returncode:
        sys.exit(f"demo: {title} failed; its output is above.")


def show(task: ModuleType, report: dict, seconds: float, workdir: Path) -> bool:
    """Print the figures against their goals and return whether all are reached."""
    print(f"\n{'figure':<40}{'goal':>10}{'measured':>14}")
    reached = True
    for title, goal, read, holds in task.GOALS:
        value = read(report)
        reached = reached and holds(value)
        print(f"{title:<40}{goal:>10}{value:>14.3g}  {'✓' if holds(value) else '✗ MISSED'}")
    limit = task.MINUTES[report["runtime"]]
    mark = "✓" if seconds <= limit * 60 else "✗ MISSED"
    print(f"{'the whole demo':<40}{f'≤ {limit} min':>10}{seconds / 60:>10.1f} min  {mark}")
    print(f"\nStand-ins used: {', '.join(report['stand_ins']) or 'none'}")
    print(f"The report:     {workdir / '.tao-hf' / task.MODEL / 'report.md'}")
    print(f"The model:      {workdir}  (try ./tao-hf status there)")
    return reached


def training_losses(status: Path) -> dict[str, float]:
    """Return the mean training loss of the ``first`` and of the ``last`` epoch, as TAO's status file has them."""
    lines = [json.loads(line) for line in status.read_text(encoding="utf-8").splitlines() if line.strip()]
    losses = [line["kpi"]["train_loss"] for line in lines if "train_loss" in line.get("kpi", {})]
    return {"first": losses[0], "last": losses[-1]}


def make_inputs(kind: str, task: str, hf_model: Path, dataset: Path) -> None:
    """Write the Hugging Face model and the dataset that a task's demo starts from, beside each other."""
    with contextlib.closing(get_runtime(kind, hf_model.parent)) as runtime:
        runtime.prepare()
        argv = ["python", "-m", "demo.make_inputs", task, runtime.path(hf_model), runtime.path(dataset)]
        env = {"PYTHONPATH": os.pathsep.join((runtime.path(ROOT), runtime.path(ROOT / "hooks")))}
        with activity("Making a small Hugging Face model and a dataset of handwritten digits"):
            made = runtime.run(argv, context="inspect", env=env, log=hf_model.parent / "make_inputs.log")
            if made.returncode:
                raise UserError(f"the demo's inputs could not be made: {made.tail}")


def main() -> int:
    """Run the demo; the exit status is 0 when every figure reached its goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=KINDS, default="local")
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    args = parser.parse_args()
    kind, task = args.runtime, task_code.load_file(tasks.demo(ROOT, args.task))
    get_runtime(kind).prepare()  # downloads packages on the first run, which does not count as demo time
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    hf_model, dataset, workdir = HOME / "hf-model", HOME / task.DATA, HOME / "workdir"
    make_inputs(kind, args.task, hf_model, dataset)
    answers = {
        "hf_model_id": hf_model,
        "task_type": args.task,
        "model_name": task.MODEL,
        "runtime": kind,
        "tao_source": "embedded",
        "run_tests": "none",
    }
    if kind == "docker" and not host.gpus():
        answers["without_gpu"] = "true"
    data = [item for name, value in answers.items() for item in ("--data", f"{name}={value}")]
    copier = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD"]
    run("copier copy", *copier, *data, str(ROOT), str(workdir), cwd=ROOT)
    settings = [item for setting in task.TRAINING for item in ("--set", setting)]
    test = ["./tao-hf", "test", task.MODEL, "--full", "--data", str(dataset), *settings]
    run("train, export, deploy, compare", *test, cwd=workdir)
    records = workdir / ".tao-hf" / task.MODEL
    report = json.loads((records / "report.json").read_text(encoding="utf-8"))
    report["training"] = training_losses(records / "results" / "train" / "status.json")
    return 0 if show(task, report, time.monotonic() - started, workdir) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"demo: {error}")
