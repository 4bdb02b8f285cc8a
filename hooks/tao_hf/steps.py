"""The test steps of a generated model, one Step object each, numbered as in the porting procedure.

A step says what it runs (commands), in which isolation context, and how its artifacts prove that it worked (gate). A
new step is a new object in STEPS; the runner and the report know nothing but this list.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tao_hf.errors import UserError
from tao_hf.runtime import Runtime

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SYNTHETIC_CLASSES = 4
# Settings of the run itself: `--data`, `--precision` and the chain train -> export -> engine decide them.
OWNED_SETTINGS = re.compile(
    r"^(\w+\.)?(results_dir|checkpoint|onnx_file|trt_engine)$|^dataset\.(root_dir|classes_file|\w+_dataset\.images_dir)$"
    r"|^gen_trt_engine\.tensorrt\.data_type$"
)
SETTING = re.compile(r"^[A-Za-z_]\w*(\.\w+)*=", re.ASCII)
SAFE_PATH = re.compile(r"^[\w./+@:,=~-]+$")


class StepError(Exception):
    """A step did not do what it should; the text says what is wrong, for the report."""


class MissingArtifactError(StepError):
    """What a step should have written is not there, so a failed command's own words say more."""


@dataclass
class Job:
    """One test run of one model: what to test, where, with what; steps leave their figures here.

    Attributes:
        workdir: the working directory, absolute.
        info: the model's model.json.
        runtime: where the commands run.
        data: the person's dataset folder, None for the synthetic one.
        settings: key=value settings for the model's specs.
        precision: "FP32" or "FP16", of the TensorRT engine.
        metrics: "native" and "deployed" results.json once evaluated.
        cross_check: images, agreement, max_abs_diff, precision once compared.
    """

    workdir: Path
    info: dict[str, Any]
    runtime: Runtime
    data: Path | None = None
    settings: Sequence[str] = ()
    precision: str = "FP32"
    metrics: dict[str, dict[str, float] | None] = field(default_factory=lambda: {"native": None, "deployed": None})
    cross_check: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        """Name of the model, also that of its console command."""
        return self.info["model_name"]

    @property
    def home(self) -> Path:
        """The model's folder under .tao-hf."""
        return self.workdir / ".tao-hf" / self.model

    @property
    def results(self) -> Path:
        """Where the chain train -> ... -> TensorRT evaluation writes."""
        return self.home / "results"

    @property
    def logs(self) -> Path:
        """Where each step's log and machine-readable results go."""
        return self.home / "logs"

    @property
    def dataset(self) -> Path:
        """The dataset in use."""
        return self.data or self.results / "data"

    def inside(self, *parts: str | Path) -> str:
        """Return a path in the working directory as code inside the runtime sees it."""
        return self.runtime.path(self.workdir.joinpath(*parts))

    def tool(self, name: str) -> str:
        """Return one of the scripts of tao_hf/inside as the runtime sees it."""
        return self.inside(".tao-hf", "lib", "tao_hf", "inside", name)


@dataclass(frozen=True)
class Command:
    """One command of a step; `context` and `cwd` default to the step's context and the results folder."""

    argv: list[str]
    context: str | None = None
    cwd: Path | None = None


@dataclass(frozen=True)
class Step:
    """One step of the test.

    Attributes:
        id: the step's number in the porting procedure, with a part behind a point; names its log.
        title: what a person reads.
        context: "inspect", "pytorch" or "deploy", for commands that name none.
        commands: what runs, one after the other, all of them even when one fails.
        gate: reads the artifacts and raises StepError, or returns a short note on what it found (may be empty).
        needs: ids of the steps without which this one cannot work.
        quick: whether the quick test runs it too.
        explains: whether the gate tells better than the last line of output why a command failed.
    """

    id: str
    title: str
    context: str
    commands: Callable[[Job], list[Command]]
    gate: Callable[[Job], str]
    needs: tuple[str, ...] = ()
    quick: bool = False
    explains: bool = False


def check_settings(settings: Sequence[str]) -> None:
    """Raise UserError for a setting that is not key=value or that the run itself decides."""
    for setting in settings:
        if not SETTING.match(setting):
            raise UserError(f"the setting {setting!r} is not of the form key=value, such as train.num_epochs=2")
        key = setting.partition("=")[0]
        if OWNED_SETTINGS.match(key):
            raise UserError(f"{key} is decided by the test run itself; use --data and --precision instead")


def check_data(data: Path) -> list[str]:
    """Return the class names of a dataset folder; raise UserError when it is not laid out as TAO wants it."""
    try:
        text = (data / "classes.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{data} has no readable classes.txt (one class name per line)") from None
    names = [line for line in text.splitlines() if line.strip()]
    if len(names) < 2:
        raise UserError(f"{data / 'classes.txt'} must name at least two classes, one per line")
    for split in ("train", "val", "test"):
        if not (data / split).is_dir():
            raise UserError(f"{data} has no folder {split}/ (with one folder of images per class)")
    return names


def _images(folder: Path) -> int:
    return sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.rglob("*"))


def _needs_file(path: Path, what: str) -> Path:
    if not path.is_file() or path.stat().st_size == 0:
        raise MissingArtifactError(f"{what} is missing or empty: {path.name}")
    return path


# consistency


def _consistency(job: Job) -> list[Command]:
    out = job.inside(".tao-hf", job.model, "logs", "consistency.json")
    return [Command(["python", job.tool("consistency.py"), job.inside(), job.model, "--json", out])]


def _consistency_gate(job: Job) -> str:
    found = _needs_file(job.logs / "consistency.json", "the list of findings")
    findings = json.loads(found.read_text(encoding="utf-8"))["findings"]
    broken = [finding["title"] for finding in findings if not finding["ok"]]
    if broken:
        raise StepError(f"{len(broken)} of {len(findings)} items are broken: {'; '.join(broken)}")
    return f"{len(findings)} items agree"


# 17-19: unit tests

SCHEMA_CHECK = """
import importlib, sys
from omegaconf import OmegaConf
schema = importlib.import_module(f"nvidia_tao_core.config.{sys.argv[1]}.default_config").ExperimentConfig
sections = set(OmegaConf.structured(schema))
missing = {"model", "dataset", "train", "evaluate", "inference", "export", "gen_trt_engine", "quantize"} - sections
sys.exit(f"ExperimentConfig lacks the sections {sorted(missing)}" if missing else 0)
"""


def _pytest(job: Job, step_id: str, repo: str, tests: Sequence[str], *options: str) -> Command:
    junit = job.inside(".tao-hf", job.model, "logs", f"{step_id}.xml")
    argv = ["python", "-m", "pytest", *tests, "-v", "-p", "no:cacheprovider", f"--junitxml={junit}", *options]
    return Command(argv, cwd=job.workdir / repo)


def _pytest_gate(job: Job, step_id: str) -> str:
    report = _needs_file(job.logs / f"{step_id}.xml", "the test report")
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314 (pytest wrote it just now)
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    if bad:
        trouble = bad[0].find("failure") if bad[0].find("failure") is not None else bad[0].find("error")
        first = f"{bad[0].get('name')}: {(trouble.get('message') or '').strip()[:200]}"
        raise StepError(f"{len(bad)} of {len(cases)} tests failed; the first is {first}")
    if len(cases) == skipped:
        raise MissingArtifactError(f"no test ran ({skipped} skipped)")
    return f"{len(cases) - skipped} tests passed" + (f", {skipped} skipped" if skipped else "")


def _core_tests(job: Job) -> list[str]:
    root = job.workdir / "tao-core"
    found = (path for folder in ("tests", "nvidia_tao_core") for path in (root / folder).rglob("test_*.py"))
    return sorted(path.relative_to(root).as_posix() for path in found if job.model in (*path.parts, path.stem[5:]))


def _core(job: Job) -> list[Command]:
    commands = [Command(["python", "-c", SCHEMA_CHECK, job.model])]
    tests = _core_tests(job)
    return [*commands, _pytest(job, "17", "tao-core", tests)] if tests else commands


def _core_gate(job: Job) -> str:
    return _pytest_gate(job, "17") if _core_tests(job) else "the schema imports; tao-core holds no tests for it"


def _pytorch(job: Job) -> list[Command]:
    return [_pytest(job, "18", "tao-pytorch", [f"tests/cv_unit_test/{job.model}"], "-m", "cv_unit")]


def _deploy(job: Job) -> list[Command]:
    return [_pytest(job, "19", "tao-deploy", [f"tests/{job.model}"])]


# 20: lint


def _python_files(job: Job) -> dict[str, list[str]]:
    """Return the model's generated Python files by context, those that are still there."""
    files: dict[str, list[str]] = {"pytorch": [], "deploy": []}
    for name in job.info["files"]:
        if name.endswith(".py") and name.startswith(("tao-core/", "tao-pytorch/", "tao-deploy/")):
            if (job.workdir / name).is_file():
                files["deploy" if name.startswith("tao-deploy/") else "pytorch"].append(name)
    return {context: sorted(names) for context, names in files.items() if names}


def _lint(job: Job) -> list[Command]:
    by_context = _python_files(job)
    every = [name for names in by_context.values() for name in names]
    modules = [name for name in every if "/tests/" not in name]
    commands = [
        Command(["python", "-m", "flake8", "--isolated", "--max-line-length=120", *every], cwd=job.workdir),
        Command(["python", "-m", "pydocstyle", "--convention=google", *modules], cwd=job.workdir),
    ]
    for context, names in by_context.items():
        commands.append(Command(["python", job.tool("lint.py"), *names], context=context, cwd=job.workdir))
    return commands


def _lint_gate(job: Job) -> str:
    count = sum(map(len, _python_files(job).values()))
    if not count:
        raise StepError("none of the model's generated Python files is there any more")
    return f"{count} files clean"


# 22: the chain, through the model's own console commands


def _spec_values(job: Job, classes: int, batch: int) -> dict[str, dict[str, object]]:
    """Return what this run sets in the training spec and in each deploy spec, by spec name."""
    results, data = job.inside(".tao-hf", job.model, "results"), job.runtime.path(job.dataset)
    dataset: dict[str, object] = {"dataset.root_dir": data, "dataset.num_classes": classes}
    dataset |= {f"dataset.{name}_dataset.images_dir": f"{data}/{name}" for name in ("train", "val", "test")}
    checkpoint = f"{results}/train/{job.model}_model_latest.pth"
    onnx_file, engine = f"{results}/export/{job.model}.onnx", f"{results}/trt/{job.model}.engine"
    common = {"results_dir": results, **dataset}
    native = {
        **common,
        "dataset.batch_size": batch,
        "dataset.workers": 0,
        "train.num_epochs": 1,
        "train.checkpoint_interval": 1,
        "train.validation_interval": 1,
        "train.optim.warmup_epochs": 0,
        "export.onnx_file": onnx_file,
    }
    for task in ("train", "evaluate", "inference"):
        native |= {f"{task}.num_gpus": 1, f"{task}.gpu_ids": [0], f"{task}.results_dir": f"{results}/{task}"}
    native |= {f"{task}.checkpoint": checkpoint for task in ("evaluate", "inference", "export")}
    return {
        "experiment_spec": {**native, "export.results_dir": f"{results}/export"},
        "gen_trt_engine": {
            **common,
            "gen_trt_engine.results_dir": f"{results}/trt",
            "gen_trt_engine.onnx_file": onnx_file,
            "gen_trt_engine.trt_engine": engine,
            "gen_trt_engine.tensorrt.data_type": job.precision,
        },
        "inference": {**common, "inference.results_dir": f"{results}/trt_inference", "inference.trt_engine": engine},
        "evaluate": {**common, "evaluate.results_dir": f"{results}/trt_evaluate", "evaluate.trt_engine": engine},
    }


def _base_spec(job: Job, name: str) -> str:
    if name == "experiment_spec":
        return f"tao-pytorch/nvidia_tao_pytorch/cv/{job.model}/experiment_specs/{name}.yaml"
    return f"tao-deploy/nvidia_tao_deploy/cv/{job.model}/specs/{name}.yaml"


def _spec(job: Job, name: str) -> str:
    return job.inside(".tao-hf", job.model, "results", "specs", f"{name}.yaml")


def _prepare(job: Job) -> list[Command]:
    for path in (job.inside(), job.runtime.path(job.dataset)):
        if not SAFE_PATH.match(path):
            raise StepError(
                f"TAO's launcher cannot take a path with blanks or quotes; move {path} to a plainer one"
            )
    shutil.rmtree(job.results, ignore_errors=True)  # an old checkpoint would make the training resume
    job.results.mkdir(parents=True)
    commands = []
    if job.data:
        classes = len(check_data(job.data))
    else:
        classes = max(2, min(SYNTHETIC_CLASSES, job.info["num_labels"]))
        height, width = (str(size) for size in job.info["image_size"])
        argv = ["python", job.tool("dataset.py"), job.runtime.path(job.dataset), "--classes", str(classes)]
        argv += ["--height", height, "--width", width, "--channels", str(job.info["channels"])]
        commands.append(Command(argv))
    values = _spec_values(job, classes, batch=8)
    specs = [
        {"base": job.inside(_base_spec(job, name)), "out": _spec(job, name), "values": values[name]} for name in values
    ]
    task = {"model": job.model, "settings": list(job.settings), "specs": specs}
    (job.results / "specs.json").write_text(json.dumps(task, indent=2) + "\n", encoding="utf-8")
    argv = ["python", job.tool("specs.py"), job.inside(".tao-hf", job.model, "results", "specs.json")]
    return [*commands, Command(argv)]


def _prepare_gate(job: Job) -> str:
    for name in ("experiment_spec", "gen_trt_engine", "inference", "evaluate"):
        _needs_file(job.results / "specs" / f"{name}.yaml", "the run's spec file")
    count = _images(job.dataset / "test")
    if not count:
        raise StepError(f"no images under {job.dataset / 'test'}")
    kind = "your dataset" if job.data else "a synthetic dataset"
    return f"{kind}, {count} test images"


def _command(subtask: str, spec: str) -> Callable[[Job], list[Command]]:
    return lambda job: [Command([job.model, subtask, "-e", _spec(job, spec)])]


def _file_gate(relative: str, what: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        path = _needs_file(job.results / relative.format(model=job.model), what)
        return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"

    return gate


def _csv_gate(folder: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        path = _needs_file(job.results / folder / "result.csv", "the prediction table")
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row["img_name"] for row in csv.DictReader(file) if row.get("img_name")]
        count = _images(job.dataset / "test")
        if len(rows) != count or len(set(rows)) != count:
            raise StepError(
                f"result.csv holds {len(rows)} rows ({len(set(rows))} images), the test split {count} images"
            )
        return f"{count} images"

    return gate


def _metrics_gate(folder: str, side: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        path = _needs_file(job.results / folder / "results.json", "the metrics file")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise StepError("results.json is not valid JSON") from None
        numbers = {
            key: value
            for key, value in (found.items() if isinstance(found, dict) else ())
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        scores = {key: value for key, value in numbers.items() if key != "num_images"}
        if not scores or not all(map(math.isfinite, numbers.values())):
            raise StepError("results.json holds no metric, or one that is not finite")
        count = _images(job.dataset / "test")
        if numbers.get("num_images", count) != count:
            raise StepError(f"results.json counts {numbers['num_images']} images, the test split holds {count}")
        other = job.metrics["native"]
        if side == "deployed" and other and not (scores.keys() & other.keys()):
            raise StepError("native and deployed results.json have no metric in common")
        job.metrics[side] = numbers
        name, value = next(iter(scores.items()))
        return f"{name} {value:.4f}"

    return gate


def _cross_check(job: Job) -> list[Command]:
    native, deployed = (
        job.inside(".tao-hf", job.model, "results", folder, "result.csv") for folder in ("inference", "trt_inference")
    )
    out = job.inside(".tao-hf", job.model, "logs", "23.json")
    return [
        Command(["python", job.tool("crosscheck.py"), native, deployed, "--precision", job.precision, "--json", out])
    ]


def _cross_check_gate(job: Job) -> str:
    result = json.loads(_needs_file(job.logs / "23.json", "the comparison").read_text(encoding="utf-8"))
    job.cross_check = {key: result[key] for key in ("images", "agreement", "max_abs_diff", "precision")}
    if result["problems"]:
        raise StepError("; ".join(result["problems"]))
    return f"{result['agreement']:.2%} same label, largest difference {result['max_abs_diff']:.3g}"


def _unit_tests(step_id: str) -> Callable[[Job], str]:
    return lambda job: _pytest_gate(job, step_id)


STEPS: tuple[Step, ...] = (
    Step("consistency", "Consistency check", "pytorch", _consistency, _consistency_gate, quick=True, explains=True),
    Step("17", "tao-core tests", "pytorch", _core, _core_gate, quick=True, explains=True),
    Step("18", "tao-pytorch unit tests", "pytorch", _pytorch, _unit_tests("18"), ("17",), quick=True, explains=True),
    Step("19", "tao-deploy unit tests", "deploy", _deploy, _unit_tests("19"), ("17",), quick=True, explains=True),
    Step("20", "Lint", "pytorch", _lint, _lint_gate, quick=True),
    Step("22.prepare", "Data and spec files", "pytorch", _prepare, _prepare_gate, ("17",)),
    Step(
        "22.train",
        "Train",
        "pytorch",
        _command("train", "experiment_spec"),
        _file_gate("train/{model}_model_latest.pth", "the checkpoint"),
        ("22.prepare",),
    ),
    Step(
        "22.evaluate",
        "Evaluate",
        "pytorch",
        _command("evaluate", "experiment_spec"),
        _metrics_gate("evaluate", "native"),
        ("22.train",),
    ),
    Step(
        "22.inference",
        "Inference",
        "pytorch",
        _command("inference", "experiment_spec"),
        _csv_gate("inference"),
        ("22.train",),
    ),
    Step(
        "22.export",
        "Export to ONNX",
        "pytorch",
        _command("export", "experiment_spec"),
        _file_gate("export/{model}.onnx", "the ONNX file"),
        ("22.train",),
    ),
    Step(
        "22.gen_trt_engine",
        "Build the TensorRT engine",
        "deploy",
        _command("gen_trt_engine", "gen_trt_engine"),
        _file_gate("trt/{model}.engine", "the engine"),
        ("22.export",),
    ),
    Step(
        "22.trt_inference",
        "TensorRT inference",
        "deploy",
        _command("inference", "inference"),
        _csv_gate("trt_inference"),
        ("22.gen_trt_engine",),
    ),
    Step(
        "22.trt_evaluate",
        "TensorRT evaluation",
        "deploy",
        _command("evaluate", "evaluate"),
        _metrics_gate("trt_evaluate", "deployed"),
        ("22.gen_trt_engine",),
    ),
    Step(
        "23",
        "Native against deployed",
        "deploy",
        _cross_check,
        _cross_check_gate,
        ("22.inference", "22.trt_inference"),
        explains=True,
    ),
)
