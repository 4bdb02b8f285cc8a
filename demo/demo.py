"""The main job on the embedded default: a Hugging Face ViT becomes a trained, exported and deployed TAO model.

``make demo`` calls this with the project's own interpreter; everything heavy runs in the local runtime.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "hooks"))

from tao_hf.errors import UserError  # noqa: E402
from tao_hf.progress import step  # noqa: E402
from tao_hf.runtime import get_runtime  # noqa: E402

HOME = ROOT / "build" / "demo"
MODEL = "digits_vit"
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
    print(f"{'the whole demo':<40}{'≤ 6 min':>10}{seconds / 60:>10.1f} min  {'✓' if seconds <= 360 else '✗ MISSED'}")
    print(f"\nStand-ins used: {', '.join(report['stand_ins']) or 'none'}")
    print(f"The report:     {workdir / '.tao-hf' / MODEL / 'report.md'}")
    print(f"The model:      {workdir}  (try ./tao-hf status there)")
    return reached


def main() -> int:
    """Run the demo; the exit status is 0 when every figure reached its goal."""
    runtime = get_runtime("local")
    runtime.prepare()  # downloads packages on the first run, which does not count as demo time
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    hf_model, dataset, workdir = HOME / "hf-model", HOME / "digits", HOME / "workdir"
    with step("Making a small Hugging Face ViT and the digits dataset"):
        made = runtime.run(
            ["python", str(ROOT / "demo" / "make_inputs.py"), str(hf_model), str(dataset)],
            context="inspect",
            log=HOME / "make_inputs.log",
        )
        if made.returncode:
            raise UserError(f"the demo's inputs could not be made: {made.tail}")
    answers = {
        "hf_model_id": hf_model,
        "model_name": MODEL,
        "runtime": "local",
        "tao_source": "embedded",
        "run_tests": "none",
    }
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
