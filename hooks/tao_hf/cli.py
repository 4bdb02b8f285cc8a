"""The command line of a working directory: ./tao-hf and its subcommands."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.clones import branches
from tao_hf.lifecycle import checks, remove, update
from tao_hf.runtime import host_check, leftovers
from tao_hf.runtime.kinds import get_runtime
from tao_hf.runtime.shims import CLONES
from tao_hf.selftest import report, runner
from tao_hf.selftest.steps import STEPS, selection
from tao_hf.selftest.steps.specs import PREPARE
from tao_hf.workdir import records

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SOURCES = {"present": "yours", "clone": "cloned", "embedded": "embedded"}

EPILOG = """\
exit status:
  0  everything that was run passed
  1  a check or a test failed, or could not be run because of another one (the report says which)
  2  the command itself was wrong, or the working directory cannot be used

A model's report lies in .tao-hf/MODEL/report.md, the log of each step in .tao-hf/MODEL/logs/.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tao-hf",
        description="Look at, check, test, update and remove the TAO models of this working directory.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "status",
        help="list the models, the TAO repositories and the last verdicts",
        description="List the models with their last verdict, where each TAO repository came from, and the stand-ins.",
    )
    check = commands.add_parser(
        "check",
        help="check that a model's files agree with each other (seconds)",
        description="Check that the model's files in tao-core, tao-pytorch and tao-deploy still agree with each other.",
    )
    check.add_argument("model", metavar="MODEL")
    _add_test(commands)
    host_check.add_arguments(
        commands.add_parser(
            "phase0",
            help="check this machine and prepare the TAO images",
            description="Check what the TAO containers need on this machine, pull the TAO images and prepare them.",
        )
    )
    _add_update(commands)
    restore = commands.add_parser(
        "restore",
        help="put missing files of a model back",
        description="Put back the files of a model that are missing, as the ledger recorded them last, with its branch "
        "and its patches. Files that are there stay as they are.",
    )
    restore.add_argument("model", metavar="MODEL")
    remove.add_arguments(
        commands.add_parser(
            "remove",
            help="take a model out of this working directory",
            description="Take a model's files, registrations and records out of this working directory. What you "
            "edited, added or trained goes to .tao-hf/removed/.",
        )
    )
    shell = commands.add_parser(
        "shell",
        help="open a shell in which the models' commands work",
        description="Open an interactive shell in the container (or the local runtime) that tests run in.",
    )
    shell.add_argument("context", choices=tuple(CLONES))
    clean = commands.add_parser(
        "clean",
        help="remove what interrupted tests left behind",
        description="List and remove containers, build folders and files of root's that interrupted tests left behind.",
    )
    clean.add_argument("--dry-run", action="store_true", help="list only")
    return parser


def _add_test(commands: argparse._SubParsersAction) -> None:
    test = commands.add_parser(
        "test",
        help="run a model's tests and write its report",
        description="Run the consistency check, the unit tests and lint; with --full the whole chain from training to "
        "the TensorRT engine as well. A full test writes .tao-hf/MODEL/results/ anew.",
    )
    test.add_argument("model", metavar="MODEL")
    test.add_argument("--full", action="store_true", help="also build wheels, train, evaluate, export and compare")
    test.add_argument(
        "--steps", metavar="LIST", help="run these steps alone, such as 17-19,22.train (22: all that begin with 22)"
    )
    test.add_argument("--resume", action="store_true", help="go on after the last failure or interruption")
    test.add_argument("--list", action="store_true", help="list the steps and how each ended last")
    test.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="your dataset for --full: classes.txt and train/, val/, test/ with a folder of images per class "
        "(default: a small synthetic one)",
    )
    test.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="settings for --full as in the model's spec, such as train.num_epochs=3",
    )


def _add_update(commands: argparse._SubParsersAction) -> None:
    update = commands.add_parser(
        "update",
        help="bring models to a newer version of the template",
        description="Bring models to a newer version of the template. Your edits are merged; what cannot be merged is "
        "marked in the file. Nothing is inspected, no container is started.",
    )
    update.add_argument("model", metavar="MODEL", nargs="?", help="not needed when there is one model")
    update.add_argument("--all", action="store_true", help="every model, one after the other")
    update.add_argument("--undo", action="store_true", help="take the last update back")
    update.add_argument(
        "--data",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="answers",
        help="change an answer, such as num_labels=12",
    )
    update.add_argument("--to", metavar="VERSION", help="version of the template (default: the newest)")


def main(workdir: Path, argv: Sequence[str]) -> int:
    """Run one command in `workdir` and return the exit status (see EPILOG)."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # a terminal that cannot show ✓ still shows the rest
    args = _parser().parse_args(argv)
    try:
        if args.command == "status":
            return status(workdir)
        if args.command == "check":
            return check(workdir, args.model)
        if args.command == "phase0":
            return host_check.main(workdir, args)
        if args.command == "shell":
            return shell(workdir, args.context)
        if args.command == "update":
            return update_models(workdir, args)
        if args.command == "restore":
            return restore(workdir, args.model)
        if args.command == "remove":
            return remove.main(workdir, args.model, args.yes)
        if args.command == "clean":
            return leftovers.clean(workdir, args.dry_run)
        return list_steps(workdir, args.model) if args.list else test(workdir, args)
    except UserError as error:
        print(f"tao-hf: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"tao-hf: {error.filename or workdir} cannot be used: {error.strerror or error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        hint = f"; go on with ./tao-hf test {args.model} --resume" if args.command == "test" else ""
        print(f"tao-hf: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED


def status(workdir: Path) -> int:
    """Print the models, the repositories and the stand-ins."""
    names = records.models(workdir)
    print(f"{workdir}\n")
    if not names:
        print("  no model yet: run copier copy with this directory as the destination")
    width = max(map(len, names), default=0)
    used: set[str] = set()
    for name in names:
        home = workdir / ".tao-hf" / name
        info, last = records.load_model(workdir, name), report.load(home)
        used.update(last["stand_ins"] if last else ())
        print(f"  {name:<{width}}  {info['task_type']}, from {report.plain(info['hf_model_id'])}")
        print(f"  {'':<{width}}  {_last_verdict(workdir, name, last)}")
    repositories = records.repositories(workdir)
    if repositories:
        print("\n  repository         source    version   branch")
    for name, entry in repositories.items():
        folder = workdir / name
        branch = _branch(folder) if folder.is_dir() else "(not there)"
        source = SOURCES.get(entry.get("source"), str(entry.get("source")))
        print(f"  {name:<18} {source:<9} {entry.get('version') or '–'!s:<9} {branch}")
    if used:
        print(f"\n  the last tests ran on stand-ins for: {', '.join(sorted(used))}")
    return FINE


def _last_verdict(workdir: Path, name: str, last: dict | None) -> str:
    if last is None:
        return f"not tested yet: ./tao-hf test {name}"
    home = workdir / ".tao-hf" / name
    answers = home / "answers.yml"
    if answers.exists() and answers.stat().st_mtime > (home / "report.json").stat().st_mtime:
        return f"not tested since its last update: ./tao-hf test {name}"
    failed = [step["title"] for step in last["steps"] if step["status"] == "failed"]
    what = f" ({', '.join(failed)})" if failed else ""
    return f"last test {report.verdict(last)}{what}: .tao-hf/{name}/report.md"


def _branch(folder: Path) -> str:
    """Return the branch a clone is on; its own git directory only, never one further up."""
    if not (folder / ".git").exists():
        return "–"
    try:
        return branches.current(folder) or "(no branch)"
    except UserError:  # git is not installed
        return "–"


def check(workdir: Path, model: str) -> int:
    """Run the consistency check of one model and print every item."""
    findings = runner.check_model(workdir, model)
    for finding in findings:
        print(f"  {'✓' if finding['ok'] else '✗'} {finding['title']}")
        for line in finding["detail"].splitlines():
            print(f"      {line}")
    broken = sum(not finding["ok"] for finding in findings)
    print(f"\n  {model}: " + (f"{broken} of {len(findings)} items are broken" if broken else "everything agrees"))
    return FAILED if broken else FINE


def list_steps(workdir: Path, model: str) -> int:
    """Print every step of a model's test: where it runs, the least test that runs it, and how it ended last."""
    records.load_model(workdir, model)
    last = report.load(workdir / ".tao-hf" / model)
    states = {step["id"]: step["status"] for step in last["steps"]} if last else {}
    with contextlib.closing(get_runtime(records.runtime_kind(workdir), workdir)) as runtime:
        docker = runtime.kind == "docker"
    rows = [("id", "step", "runs in", "test", "last")]
    for step in STEPS:
        place = (", ".join(step.images) or "this machine") if docker else "local runtime"
        if step.docker_only and not docker:
            place = "–"
        rows.append((step.id, step.title, place, step.level, states.get(step.id, "–")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return FINE


def shell(workdir: Path, context: str) -> int:
    """Open a shell; return its exit status."""
    with contextlib.closing(get_runtime(records.runtime_kind(workdir), workdir)) as runtime:
        runtime.prepare()
        return runtime.shell(context, workdir)


def update_models(workdir: Path, args: argparse.Namespace) -> int:
    """Update models, or take that back; conflicts count as failure."""
    known = records.models(workdir)
    if args.all:
        if args.model or args.undo:
            raise UserError("--all is for updates of all models; leave out the other options")
        models = known
    else:
        models = [args.model or checks.model_of(workdir, "")]
    if not models:
        raise UserError(f"there is no model in {workdir} yet")
    if args.undo:
        if args.answers or args.to:
            raise UserError("--undo takes the last update back as a whole; leave out --data and --to")
        changed = [change.path for change in update.undo(workdir, models[0]) if change.before != change.after]
        for path in changed:
            print(f"  back  {path}")
        print(f"  {models[0]} is as it was before its last update, which stays in the ledger")
        return FINE
    clean = [update.update(workdir, model, args.answers, args.to) for model in models]
    return FINE if all(clean) else FAILED


def restore(workdir: Path, model: str) -> int:
    """Put missing files back and print them."""
    written = update.restore(workdir, model)
    for path in written:
        print(f"  restored  {path}")
    print(f"  {model}: " + (f"{len(written)} files restored" if written else "nothing was missing"))
    return FINE


def test(workdir: Path, args: argparse.Namespace) -> int:
    """Run the tests of one model and print the summary."""
    if args.resume:
        if args.full or args.steps or args.data or args.settings:
            raise UserError("--resume goes on with the last test as it was; leave out the other options")
        result = runner.resume(workdir, args.model)
        if result is None:
            print(f"  {args.model}: nothing to go on with, no step of the last test failed or was left out")
            return FINE
    else:
        selected = selection.parse(args.steps, STEPS) if args.steps is not None else None
        if args.data or args.settings:
            if selected is not None and PREPARE.id not in selected:
                raise UserError(f"--data and --set are for the step {PREPARE.id}; add it to --steps")
            if selected is None and not args.full:
                raise UserError("--data and --set are for the full test; add --full")
        level = "full" if args.full else "quick"
        result = runner.run_tests(workdir, args.model, level, args.data, args.settings, selected=selected)
    print(f"\n{report.summary_table(result)}\n  report: {workdir / '.tao-hf' / args.model / 'report.md'}")
    return FINE if report.succeeded(result) else FAILED
