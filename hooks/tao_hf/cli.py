"""The command line of a working directory: ./tao-hf status, check and test."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tao_hf import report, runner
from tao_hf.errors import UserError

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SOURCES = {"present": "yours", "clone": "cloned", "embedded": "embedded"}

EPILOG = """\
exit status:
  0  everything that was run passed
  1  a check or a test failed (the report says which)
  2  the command itself was wrong, or the working directory cannot be used

A model's report lies in .tao-hf/MODEL/report.md, the log of each step in .tao-hf/MODEL/logs/.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tao-hf",
        description="Look at, check and test the TAO models of this working directory.",
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
    test = commands.add_parser(
        "test",
        help="run a model's tests and write its report",
        description="Run the consistency check, the unit tests and lint; with --full the whole chain from training to "
        "the TensorRT engine as well. A full test writes .tao-hf/MODEL/results/ anew.",
    )
    test.add_argument("model", metavar="MODEL")
    test.add_argument("--full", action="store_true", help="also train, evaluate, export, build and compare")
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
    test.add_argument(
        "--precision", choices=("FP32", "FP16"), default="FP32", help="of the TensorRT engine (default: FP32)"
    )
    return parser


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
        return test(workdir, args)
    except UserError as error:
        print(f"tao-hf: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"tao-hf: {error.filename or workdir} cannot be used: {error.strerror or error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("tao-hf: interrupted; what was done until then is in the report", file=sys.stderr)
        return INTERRUPTED


def status(workdir: Path) -> int:
    """Print the models, the repositories and the stand-ins."""
    names = runner.models(workdir)
    print(f"{workdir}\n")
    if not names:
        print("  no model yet: run copier copy with this directory as the destination")
    width = max(map(len, names), default=0)
    used: set[str] = set()
    for name in names:
        home = workdir / ".tao-hf" / name
        info, last = runner.load_model(workdir, name), report.load(home)
        used.update(last["stand_ins"] if last else ())
        print(f"  {name:<{width}}  {info['task_type']}, from {report.plain(info['hf_model_id'])}")
        print(f"  {'':<{width}}  {_last_verdict(name, last)}")
    repositories = runner.repositories(workdir)
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


def _last_verdict(name: str, last: dict | None) -> str:
    if last is None:
        return f"not tested yet: ./tao-hf test {name}"
    failed = [step["title"] for step in last["steps"] if step["status"] == "failed"]
    what = f" ({', '.join(failed)})" if failed else ""
    return f"last test {report.verdict(last)}{what}: .tao-hf/{name}/report.md"


def _branch(folder: Path) -> str:
    """Return the branch a clone is on; its own git directory only, never one further up."""
    if not (folder / ".git").exists():
        return "–"
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "symbolic-ref", "--quiet", "--short", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return "–"
    return done.stdout.strip() or "(no branch)"


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


def test(workdir: Path, args: argparse.Namespace) -> int:
    """Run the tests of one model and print the summary."""
    if not args.full and (args.data or args.settings or args.precision != "FP32"):
        raise UserError("--data, --set and --precision are for the full test; add --full")
    level = "full" if args.full else "quick"
    result = runner.run_tests(workdir, args.model, level, args.data, args.settings, args.precision)
    print(f"\n{report.summary_table(result)}\n  report: {workdir / '.tao-hf' / args.model / 'report.md'}")
    return FAILED if report.verdict(result) == "failed" else FINE
