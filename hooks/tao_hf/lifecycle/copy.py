"""After rendering: the repositories in their place, on their branch, the model in them, recorded and tested."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tao_hf.answers.recorded import check_values
from tao_hf.answers.recorded import load as load_answers
from tao_hf.base import atomic, lock
from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity
from tao_hf.clones import branches, sources
from tao_hf.inspection import inspect
from tao_hf.lifecycle import checks, registration, summary
from tao_hf.selftest import report, runner
from tao_hf.workdir import staging
from tao_hf.workdir.merge import Change

EXIT_FAILED_TESTS = 1
EXIT_USER_ERROR = 2
UNTESTED = (
    "  – nothing was tested, because there are no TAO images here: prepare them with ./tao-hf phase0, then run "
    "./tao-hf test {model}"
)


def install_tools(template: Path, workdir: Path) -> None:
    """Copy what ``./tao-hf`` needs into the working directory, replacing what an older template put there.

    Args:
        template: Folder of the template.
        workdir: The working directory.
    """
    home = workdir / ".tao-hf"
    parts = {
        "lib/tao_hf": template / "hooks" / "tao_hf",
        "standins": template / "standins" / "modules",
        "hide_in_deploy": template / "standins" / "hide_in_deploy",
        **{f"tasks/{path.parent.name}/runtime": path for path in sorted((template / "tasks").glob("*/runtime"))},
    }
    requirements = sorted((template / "standins").glob("requirements*.txt"))
    version = _digest([*parts.values(), *requirements, template / "hooks" / "tao-hf"])
    tools = home / "tools" / version
    if not tools.is_dir():
        tools.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=atomic.SCRATCH, dir=tools.parent))
        for name, source in parts.items():
            shutil.copytree(source, fresh / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in requirements:
            shutil.copy2(file, fresh / "standins" / file.name)
        fresh.chmod(0o755)
        fresh.rename(tools)
    for name in ("lib", "standins", "hide_in_deploy"):
        atomic.point(home / name, Path("tools") / version / name)
    launcher = workdir / "tao-hf"
    atomic.sweep([launcher])
    atomic.write(launcher, (template / "hooks" / "tao-hf").read_bytes())
    launcher.chmod(0o755)
    for old in tools.parent.iterdir():
        if old.name != version:
            shutil.rmtree(old, ignore_errors=True)


def _digest(paths: Iterable[Path]) -> str:
    """Return a name for the content of files and folders."""
    digest = hashlib.sha256()
    for top in paths:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(top.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def record_workdir(workdir: Path, answers: Mapping[str, Any]) -> None:
    """Write ``.tao-hf/workdir.json``: where code runs, and where each repository came from when it was put there."""
    record = {
        "template_version": answers.get("_commit"),
        "runtime": answers["containers"]["kind"],
        "gpu": answers["containers"]["gpu"],
        "copier": sys.executable,
        "repos": answers["workspace"]["repos"],
    }
    path = workdir / ".tao-hf" / "workdir.json"
    atomic.sweep([path])
    atomic.write(path, json.dumps(record, indent=2) + "\n")


def add_model(template: Path, workdir: Path, model_name: str) -> dict[str, Any]:
    """Make a rendered model part of its repositories.

    Args:
        template: Folder of the template.
        workdir: The working directory, with the model rendered into its ``incoming`` folder.
        model_name: The model.

    Returns:
        The model's answers.
    """
    lock.hold_model(workdir, model_name)
    answers = load_answers(workdir, model_name)
    repos = answers["workspace"]["repos"]
    with activity("Putting the repositories and the model in place"), lock.repositories(workdir):
        install_tools(template, workdir)
        record_workdir(workdir, answers)  # before a repository is there, which would pass for the person's own then
        sources.lay_out(workdir, repos, answers["base_branch"])
        notes = branches.create(workdir, repos, answers["branch_name"], answers["base_branch"])
        changes = _take_in(workdir, model_name, "copy", answers)
        full_report = inspect.full_report_path(answers["findings"])
        if full_report.is_file():
            shutil.copyfile(full_report, workdir / ".tao-hf" / model_name / "inspection.json")
    for note in notes:
        print(f"  – {note}", file=sys.stderr)
    print(f"  – all repositories are on the local branch {answers['branch_name']}", file=sys.stderr)
    if any(change.kind not in ("added", "same") for change in changes):
        print(summary.of_changes(model_name, changes, _label(answers)), file=sys.stderr)
    return answers


def _take_in(workdir: Path, model_name: str, operation: str, answers: Mapping[str, Any]) -> list[Change]:
    """Take a rendering into the repositories and register the model there."""
    changes = staging.take_in(workdir, model_name, operation, _label(answers))
    registration.register(workdir, model_name)
    staging.clear(workdir, model_name)
    registration.link_answers(workdir)
    return changes


def _label(answers: Mapping[str, Any]) -> str:
    return f"template {answers.get('_commit') or 'of unknown version'}"


def update(template: Path, workdir: Path, model_name: str) -> int:
    """Take in what `copier update` has rendered; return the exit status."""
    try:
        lock.hold_model(workdir, model_name)
        answers = load_answers(workdir, model_name)
        check_values(answers)
        with lock.repositories(workdir):
            staging.finish(workdir, model_name)
            checks.check_clones(workdir, model_name)
            install_tools(template, workdir)
            record_workdir(workdir, answers)
            changes = _take_in(workdir, model_name, "update", answers)
    except UserError as error:
        print(f"tao-hf: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return 130
    print(summary.of_changes(model_name, changes, _label(answers)))  # Copier's own messages go to standard error
    return 0


def test(workdir: Path, model_name: str, level: str) -> int:
    """Run the consistency check, and the tests that were asked for; return the exit status."""
    if level == "none":
        findings = runner.check_model(workdir, model_name)
        broken = [finding for finding in findings if not finding["ok"]]
        for finding in broken:
            print(f"  ✗ {finding['title']}: {finding['detail']}", file=sys.stderr)
        print(f"  {len(findings) - len(broken)} of {len(findings)} consistency checks passed", file=sys.stderr)
        return EXIT_FAILED_TESTS if broken else 0
    result = runner.run_tests(workdir, model_name, level)
    print("\n" + report.summary_table(result), file=sys.stderr)
    return 0 if report.verdict(result) == "passed" else EXIT_FAILED_TESTS


def main(template: Path, workdir: Path, model_name: str) -> int:
    """Add a model and test it; return the exit status, after saying what went wrong in one sentence."""
    try:
        answers = add_model(template, workdir, model_name)
        if answers["containers"]["fallback"]:
            print(UNTESTED.format(model=model_name), file=sys.stderr)
            return 0
        status = test(workdir, model_name, answers["run_tests"])
    except UserError as error:
        print(f"tao-hf: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return 130
    if status:
        print(
            f"tao-hf: {model_name} was generated but did not pass its tests; everything is still in place, "
            f"see .tao-hf/{model_name}/report.md and run ./tao-hf test {model_name} again.",
            file=sys.stderr,
        )
    return status
