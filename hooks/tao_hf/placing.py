"""After rendering: put the repositories around the generated files, on their branch, patched, recorded and tested."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tao_hf import branches, inspection, patches, report, runner, sources
from tao_hf.cache import write_atomic
from tao_hf.errors import UserError
from tao_hf.progress import step

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
    for source, target in (
        (template / "hooks" / "tao_hf", home / "lib" / "tao_hf"),
        (template / "standins" / "modules", home / "standins"),
        (template / "standins" / "hide_in_deploy", home / "hide_in_deploy"),
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        shutil.copytree(source, fresh, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        fresh.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    shutil.copy2(template / "standins" / "requirements.txt", home / "standins" / "requirements.txt")
    launcher = workdir / "tao-hf"
    shutil.copy2(template / "hooks" / "tao-hf", launcher)
    launcher.chmod(0o755)


def record_workdir(workdir: Path, answers: Mapping[str, Any]) -> None:
    """Write ``.tao-hf/workdir.json``: where code runs, and where each repository came from when it was put there."""
    record = {
        "template_version": answers.get("_commit"),
        "runtime": answers["containers"]["kind"],
        "gpu": answers["containers"]["gpu"],
        "repos": answers["workspace"]["repos"],
    }
    write_atomic(workdir / ".tao-hf" / "workdir.json", json.dumps(record, indent=2) + "\n")


def place(template: Path, workdir: Path, model_name: str) -> dict[str, Any]:
    """Make a rendered model part of its repositories.

    Args:
        template: Folder of the template.
        workdir: The working directory, with the model's files rendered.
        model_name: The model.

    Returns:
        The model's answers.
    """
    home = workdir / ".tao-hf" / model_name
    answers = yaml.safe_load((home / "answers.yml").read_text(encoding="utf-8"))
    model = json.loads((home / "model.json").read_text(encoding="utf-8"))
    repos = answers["workspace"]["repos"]

    with step("Putting the repositories around the generated files"):
        install_tools(template, workdir)
        sources.place(workdir, repos, answers["base_branch"])
        notes = branches.create(workdir, repos, answers["branch_name"], answers["base_branch"])
        patches.apply(workdir, model_name, model["backbone"]["module"], model["backbone"]["names"])
        record_workdir(workdir, answers)
        full_report = inspection.full_report_path(answers["findings"])
        if full_report.is_file():
            shutil.copyfile(full_report, home / "inspection.json")
    for note in notes:
        print(f"  – {note}", file=sys.stderr)
    print(f"  – all repositories are on the local branch {answers['branch_name']}", file=sys.stderr)
    return answers


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
    """Place and test a model; return the exit status, after saying what went wrong in one sentence."""
    try:
        answers = place(template, workdir, model_name)
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
