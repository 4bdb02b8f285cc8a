"""The main job on the embedded default: a Hugging Face ViT becomes a trained, exported and deployed TAO model.

``make demo`` calls this with the project's own interpreter; everything heavy runs in the local runtime. With
``--runtime docker`` it runs in the prepared TAO images, or in those that the environment names.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "hooks"))

from tao_hf import host  # noqa: E402
from tao_hf.errors import UserError  # noqa: E402
from tao_hf.progress import step  # noqa: E402
from tao_hf.runtime import KINDS, get_runtime  # noqa: E402

HOME = ROOT / "build" / "demo"
MODEL = "digits_vit"
MINUTES = {"local": 6, "docker": 10}
TRAINING = (
    "train.num_epochs=16",
    "train.checkpoint_interval=16",
    "train.optim.lr=0.001",
    "train.optim.warmup_epochs=2",
    "dataset.batch_size=32",
    "dataset.augmentation.random_flip.enable=false",
)
GOALS = (
    ("native top-1", "≥ 0.90", lambda r: r["metrics"]["native"]["top_1_accuracy"], lambda v: v >= 0.90),
    (
        "deployed top-1, distance from native",
        "≤ 0.005",
        lambda r: abs(r["metrics"]["native"]["top_1_accuracy"] - r["metrics"]["deployed"]["top_1_accuracy"]),
        lambda v: v <= 0.005,
    ),
    ("same label, native and deployed", "≥ 0.995", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.995),
    ("largest logit difference", "≤ 0.001", lambda r: r["cross_check"]["max_abs_diff"], lambda v: v <= 1e-3),
    ("same label, native and FP16", "≥ 0.98", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.98),
)


def run(title: str, *command: str, cwd: Path) -> None:
    """Run a command as a person would type it; stop the demo when it fails."""
    print(f"\n── {title}\n$ {' '.join(command)}", flush=True)
    if subprocess.run(command, cwd=cwd, check=False).returncode:
        sys.exit(f"demo: {title} failed; its output is above.")


def show(report: dict, seconds: float, workdir: Path) -> bool:
    """Print the figures against their goals and return whether all are reached."""
    print(f"\n{'figure':<40}{'goal':>10}{'measured':>14}")
    reached = True
    for title, goal, read, holds in GOALS:
        value = read(report)
        reached = reached and holds(value)
        print(f"{title:<40}{goal:>10}{value:>14.3g}  {'✓' if holds(value) else '✗ MISSED'}")
    limit = MINUTES[report["runtime"]]
    mark = "✓" if seconds <= limit * 60 else "✗ MISSED"
    print(f"{'the whole demo':<40}{f'≤ {limit} min':>10}{seconds / 60:>10.1f} min  {mark}")
    print(f"\nStand-ins used: {', '.join(report['stand_ins']) or 'none'}")
    print(f"The report:     {workdir / '.tao-hf' / MODEL / 'report.md'}")
    print(f"The model:      {workdir}  (try ./tao-hf status there)")
    return reached


def make_inputs(kind: str, hf_model: Path, dataset: Path) -> None:
    """Write the Hugging Face model and the dataset that the demo starts from."""
    with contextlib.closing(get_runtime(kind, HOME)) as runtime:
        runtime.prepare()
        script, *folders = (runtime.path(path) for path in (ROOT / "demo" / "make_inputs.py", hf_model, dataset))
        with step("Making a small Hugging Face ViT and the digits dataset"):
            made = runtime.run(["python", script, *folders], context="inspect", log=HOME / "make_inputs.log")
            if made.returncode:
                raise UserError(f"the demo's inputs could not be made: {made.tail}")


def main() -> int:
    """Run the demo; the exit status is 0 when every figure reached its goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=KINDS, default="local")
    kind = parser.parse_args().runtime
    get_runtime(kind).prepare()  # downloads packages on the first run, which does not count as demo time
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    hf_model, dataset, workdir = HOME / "hf-model", HOME / "digits", HOME / "workdir"
    make_inputs(kind, hf_model, dataset)
    answers = {
        "hf_model_id": hf_model,
        "model_name": MODEL,
        "runtime": kind,
        "tao_source": "embedded",
        "run_tests": "none",
    }
    if kind == "docker" and not host.gpus():
        answers["without_gpu"] = "true"
    data = [item for name, value in answers.items() for item in ("--data", f"{name}={value}")]
    copier = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD"]
    run("copier copy", *copier, *data, str(ROOT), str(workdir), cwd=ROOT)
    settings = [item for setting in TRAINING for item in ("--set", setting)]
    test = ["./tao-hf", "test", MODEL, "--full", "--data", str(dataset), *settings]
    run("train, export, deploy, compare", *test, cwd=workdir)
    report = json.loads((workdir / ".tao-hf" / MODEL / "report.json").read_text(encoding="utf-8"))
    return 0 if show(report, time.monotonic() - started, workdir) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"demo: {error}")
