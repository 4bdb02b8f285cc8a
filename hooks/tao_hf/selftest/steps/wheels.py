"""Step 21: the wheels of tao-pytorch and tao-deploy, each with the model in it."""

from __future__ import annotations

import configparser
import json
import zipfile
from pathlib import Path

from tao_hf.runtime.shims import CLONES
from tao_hf.selftest.steps.job import Command, Job, MissingArtifactError, Step, StepError, clear, needs_file


def _record(clone: str) -> str:
    return f"21-{clone}.json"


def _wheels(job: Job) -> list[Command]:
    commands = []
    for context, clone in CLONES.items():
        clear(job.logs / _record(clone))
        argv = [*job.tool("tools.wheel"), job.inside(clone), "--json", job.log(_record(clone))]
        commands.append(Command(argv, context=context, cwd=job.workdir / clone))
    return commands


def built(job: Job, clone: str) -> tuple[Path | None, str]:
    """Return the wheel that step 21 made of a clone, or None and the reason why it made none.

    Raises:
        MissingArtifactError: it was to make one, and that is not there.
    """
    record = needs_file(job.logs / _record(clone), f"the record of the {clone} wheel")
    found = json.loads(record.read_text(encoding="utf-8"))
    if found["wheel"] is None:
        return None, found["reason"]
    return needs_file(job.workdir / clone / "dist" / found["wheel"], f"the {clone} wheel"), ""


def _packaged(job: Job, clone: str) -> list[str]:
    """Return the model's files that belong into the clone's wheel: its modules, and what lies beside them.

    Folders of specs are no packages in NVIDIA's repositories either, and stay out of the wheels.
    """
    package = f"{clone}/{clone.replace('tao-', 'nvidia_tao_')}/"
    files = [name for name in job.info["files"] if name.startswith(package) and (job.workdir / name).is_file()]
    return [name for name in files if name.endswith(".py") or (job.workdir / name).with_name("__init__.py").is_file()]


def _check(job: Job, clone: str, wheel: Path) -> None:
    """Raise StepError unless the wheel holds the model's files and its console command."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            listed = [archive.read(name).decode() for name in names if name.endswith(".dist-info/entry_points.txt")]
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise StepError(f"{wheel.name} cannot be read: {error}") from error
    files = _packaged(job, clone)
    lacking = [name for name in files if name.removeprefix(f"{clone}/") not in names]
    if not files:
        raise StepError(f"none of the model's files is in {clone} any more")
    if lacking:
        raise StepError(f"{wheel.name} lacks {len(lacking)} of {len(files)} files of the model, such as {lacking[0]}")
    scripts = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    scripts.optionxform = str
    scripts.read_string("\n".join(listed))
    target = scripts.get("console_scripts", job.model, fallback="")
    if not target:
        raise StepError(f"{wheel.name} does not have the console command {job.model}")
    if f"{target.partition(':')[0].replace('.', '/')}.py" not in names:
        raise StepError(f"the console command {job.model} of {wheel.name} names {target}, which is not in it")


def _wheels_gate(job: Job) -> str:
    notes = []
    for clone in CLONES.values():
        try:
            wheel, reason = built(job, clone)
        except json.JSONDecodeError as error:
            raise MissingArtifactError(f"the record of the {clone} wheel cannot be read") from error
        if wheel:
            _check(job, clone, wheel)
        notes.append(f"{clone}/dist/{wheel.name}" if wheel else f"{clone} not built: {reason}")
    return "; ".join(notes)


STEPS = (
    Step(
        id="21",
        title="Wheels",
        context="pytorch",
        also_in=("deploy",),
        commands=_wheels,
        gate=_wheels_gate,
        needs=("16.origin",),
    ),
)
