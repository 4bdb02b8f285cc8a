"""Steps 17 to 19: the unit tests of the three repositories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tao_hf.selftest.steps.job import Command, Job, MissingArtifactError, Step, StepError, needs_file

SCHEMA_CHECK = """
import importlib, sys
from omegaconf import OmegaConf
schema = importlib.import_module(f"nvidia_tao_core.config.{sys.argv[1]}.default_config").ExperimentConfig
sections = set(OmegaConf.structured(schema))
missing = {"model", "dataset", "train", "evaluate", "inference", "export", "gen_trt_engine", "quantize"} - sections
sys.exit(f"ExperimentConfig lacks the sections {sorted(missing)}" if missing else 0)
"""
_SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


def _pytest(job: Job, step_id: str, repo: str, tests: Sequence[str], *options: str) -> Command:
    junit = f"--junitxml={job.log(f'{step_id}.xml')}"
    argv = ["python", "-m", "pytest", *tests, "-v", "-p", "no:cacheprovider", junit, *options]
    if not _has_settings(job.workdir / repo, tests):
        argv += ["-c", "/dev/null", "--rootdir", "."]  # or pytest would take those of any folder above the clone
    return Command(argv, cwd=job.workdir / repo)


def _has_settings(clone: Path, tests: Sequence[str]) -> bool:
    """Tell whether pytest finds settings on the way from the tests up to the clone's root."""
    paths = {path for test in tests for path in (Path(test), *Path(test).parents)}
    files = (clone / path / name for path in paths for name in _SETTINGS)
    return any("pytest" in file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())


def _pytest_gate(job: Job, step_id: str) -> str:
    report = needs_file(job.logs / f"{step_id}.xml", "the test report")
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
    inside = (path.relative_to(root) for path in found)
    return sorted(path.as_posix() for path in inside if job.model in (*path.parts, path.stem[5:]))


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


STEPS = (
    Step(
        id="17",
        title="tao-core tests",
        context="pytorch",
        commands=_core,
        gate=_core_gate,
        needs=("16.origin",),
        quick=True,
        explains=True,
    ),
    Step(
        id="18",
        title="tao-pytorch unit tests",
        context="pytorch",
        commands=_pytorch,
        gate=lambda job: _pytest_gate(job, "18"),
        needs=("17",),
        quick=True,
        explains=True,
    ),
    Step(
        id="19",
        title="tao-deploy unit tests",
        context="deploy",
        commands=_deploy,
        gate=lambda job: _pytest_gate(job, "19"),
        needs=("17",),
        quick=True,
        explains=True,
    ),
)
