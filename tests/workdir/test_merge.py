"""Random edits of generated files meet random changes of their templates, through the real intake and a real ledger."""

from __future__ import annotations

import contextlib
import functools
import random
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tao_hf.workdir import ledger, merge, staging
from tao_hf.workdir.ledger import Ledger
from tao_hf.workdir.merge import Change
from tests.support.renderings import classifier_context, render

MODEL = "tiny_vit"
LABEL = "template 0.2.0"
BESIDE = {"tao-core/README.md": b"mine\n", "tao-deploy/nvidia_tao_deploy/cv/other/labels.py": b"# TAO's\n"}
# What a person or a new template writes; a number makes each line one of its kind.
LINES = (
    "    x = {}", "# mine {}", "", "    return None  # {}", "größe = '→ {}'", "<<<<<<< {}", "=======", ">>>>>>> {}",
    "||||||| {}", "\t{}  ", "naïve\u2028{}", "a\rb {}",
)  # fmt: skip


@functools.cache
def generated() -> dict[str, bytes]:
    """Return real generated files, by their path in the working directory."""
    with tempfile.TemporaryDirectory() as folder:
        for repo in ("tao-core", "tao-pytorch", "tao-deploy"):
            render(repo, classifier_context(model_name=MODEL), Path(folder, repo))
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }


# --- random changes of a text ---


def _edited(content: bytes, kind: str, chance: random.Random, who: str) -> bytes:
    """Return a text after one change of a kind; what is written anew says `who`."""
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(lines) + 1)
    ending = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"

    def fresh() -> bytes:
        text = chance.choice(LINES).format(f"{who} {chance.randrange(10**6)}")
        return text.encode() + ending

    if kind == "insert":
        lines[at:at] = [fresh() for _ in range(chance.randint(1, 3))]
    elif kind == "delete":
        del lines[at : at + chance.randint(1, 4)]
    elif kind == "replace":
        lines[at : at + 1] = [fresh()]
    elif kind == "move":
        block = lines[at : at + 3]
        del lines[at : at + 3]
        to = chance.randrange(len(lines) + 1)
        lines[to:to] = block
    elif kind == "append":
        if lines and not lines[-1].endswith(b"\n"):
            lines[-1] += ending
        lines.append(fresh())
    elif kind == "rewrite":
        lines = [fresh() for _ in range(chance.randint(1, 8))]
    elif kind == "crlf":
        return re.sub(rb"(?<!\r)\n", b"\r\n", content)
    elif kind == "no newline at the end":
        return content.removesuffix(b"\n").removesuffix(b"\r")
    elif kind == "empty":
        return b""
    elif kind == "binary":
        return b"\0\1\2" + content[:50]
    return b"".join(lines)


KINDS = ("insert", "insert", "delete", "replace", "replace", "move", "append", "rewrite", "crlf",
         "no newline at the end", "empty", "binary")  # fmt: skip
EDITS = st.lists(st.sampled_from(KINDS), max_size=3)


class Case(NamedTuple):
    """Which files, what happens to them on either side (`None`: the file goes), new files, and the dice."""

    files: list[int]
    person: list[list[str] | None]
    template: list[list[str] | None]
    added: int
    seed: int


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a case takes half a second: too long to shrink it
CASES = st.builds(
    Case,
    st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True),
    st.lists(EDITS | st.none(), min_size=4, max_size=4),
    st.lists(EDITS | st.none(), min_size=4, max_size=4),
    st.integers(0, 2),
    st.integers(0, 2**32),
)


class Versions(NamedTuple):
    """The three versions of every file, by path: `None` where there is none."""

    base: dict[str, bytes]
    ours: dict[str, bytes]
    theirs: dict[str, bytes]


def versions(case: Case) -> Versions:
    """Turn a case into files."""
    known = list(generated())
    names = [known[index % len(known)] for index in case.files]
    base = {name: generated()[name] for name in names}
    chance = random.Random(case.seed)  # noqa: S311
    sides: list[dict[str, bytes]] = []
    for who, changes in (("person", case.person), ("template", case.template)):
        side = {}
        for (name, content), kinds in zip(base.items(), changes, strict=False):
            if kinds is not None:
                side[name] = functools.reduce(lambda text, kind: _edited(text, kind, chance, who), kinds, content)
        sides.append(side)
    ours, theirs = sides
    for number in range(case.added):
        name = f"tao-core/nvidia_tao_core/config/{MODEL}/extra {number} ü/new.py"
        theirs[name] = b"".join(b"# new %d\n" % line for line in range(chance.randrange(4)))
        if chance.random() < 0.5:  # the person has one of that name, which the template never made
            ours[name] = chance.choice((theirs[name], b"# the person's\n", b""))
    return Versions(base, ours, theirs)


# --- the working directory ---


def lay(workdir: Path, files: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    """Make `wanted` of `files` on the disk."""
    for name in files:
        (workdir / name).unlink(missing_ok=True)
    for name, content in wanted.items():
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_bytes(content)


def rendering(workdir: Path, files: Mapping[str, bytes], version: str) -> None:
    """Do what Copier does: render into incoming, and write the answers."""
    folder = staging.incoming(workdir, MODEL)
    lay(folder, {}, {**files, "model.json": b'{"model_name": "tiny_vit"}\n'})
    (workdir / staging.answers_file(MODEL)).write_text(f"_commit: {version}\n")


def taken_in(workdir: Path, files: Mapping[str, bytes], version: str, operation: str) -> list[Change]:
    """Render and take in."""
    rendering(workdir, files, version)
    changes = staging.take_in(workdir, MODEL, operation, f"template {version}")
    staging.clear(workdir, MODEL)
    return changes


def disk(workdir: Path) -> dict[str, bytes]:
    """Return every file in the clones, those of the person's .git too."""
    found = {}
    for clone in ("tao-core", "tao-pytorch", "tao-deploy"):
        files = [path for path in (workdir / clone).rglob("*") if path.is_file()]
        found.update({path.relative_to(workdir).as_posix(): path.read_bytes() for path in files})
    return found


def git(folder: Path, *args: str) -> str:
    """Run git as a person."""
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the clones before the template came: one is a git repository with a branch, an index and a config."""
    folder = tmp_path_factory.mktemp("clones")
    lay(folder, {}, BESIDE)
    (folder / "tao-pytorch").mkdir()
    repo = folder / "tao-core"
    git(repo, "init", "--quiet", "--initial-branch=feature")
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "add", "README.md")
    git(repo, "commit", "--quiet", "--message", "first")
    (repo / "staged.py").write_text("staged\n")
    git(repo, "add", "staged.py")
    return folder


@contextlib.contextmanager
def at_work(clones: Path, base: Mapping[str, bytes]) -> Iterator[Path]:
    """Give a working directory with the first version in it."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder, "workdir")
        shutil.copytree(clones, workdir)
        (workdir / ".tao-hf" / MODEL).mkdir(parents=True)
        taken_in(workdir, base, "0.1.0", "copy")
        yield workdir


# --- what must hold ---


def merged_by_git(base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, int]:
    """Return what git merge-file makes of a file, and its exit status: the number of conflicts, or 255."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            Path(folder, name).write_bytes(content)
        labels = ["-L", merge.YOURS, "-L", "template before", "-L", LABEL]
        command = ["git", "-c", "merge.conflictStyle=merge", "merge-file", "-p", "-q", *labels]
        command += ["ours", "base", "theirs"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return done.stdout, done.returncode


def expected(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> bytes | None:
    """Return what has to be on the disk after an update, told apart from how the hooks decide it."""
    if ours in (base, theirs):
        return theirs  # untouched: the template's, whatever it is
    if ours is None or theirs is None or theirs == base:
        return ours  # deleted stays deleted; edited and dropped, or nothing new: the person's
    result, status = merged_by_git(base or b"", ours, theirs)
    return ours if status == 255 else result


def lost_lines(base: bytes | None, ours: bytes | None, now: bytes | None) -> list[bytes]:
    """Return the lines that a person wrote and that are gone; line endings aside."""

    def lines(text: bytes | None) -> Counter[bytes]:
        return Counter(line.rstrip(b"\r") for line in (text or b"").split(b"\n"))

    written = lines(ours) - lines(base)
    have = lines(now)
    return [line for line in written if line.strip() and not have[line]]


def check(clones: Path, case: Case) -> None:
    """Update once, twice, and back."""
    base, ours, theirs = versions(case)
    with at_work(clones, base) as workdir:
        lay(workdir, base, ours)
        before = disk(workdir)
        changes = taken_in(workdir, theirs, "0.2.0", "update")
        after = disk(workdir)
        names = {*base, *ours, *theirs}

        for name in sorted(names):
            one, mine, new = base.get(name), ours.get(name), theirs.get(name)
            assert lost_lines(one, mine, after.get(name)) == [], f"{name}: a person's line is gone"
            assert after.get(name) == expected(one, mine, new), f"{name}: not what git makes of it"
        assert {name: text for name, text in after.items() if name not in names} == {
            name: text for name, text in before.items() if name not in names
        }, "something else was changed"
        told = {change.path: (change.before, change.after) for change in changes}
        assert told == {name: (before.get(name), after.get(name)) for name in {*base, *theirs}}, "it says otherwise"

        tip = Ledger(workdir).tip(f"ledger/{MODEL}")
        refs = git(workdir, "for-each-ref")
        taken_in(workdir, theirs, "0.2.0", "update")
        assert disk(workdir) == after, "the same update again changes something"
        assert git(workdir, "for-each-ref") == refs, "and is written into the ledger"

        if tip and "Operation: update" in Ledger(workdir).message(tip):
            staging.go_back(workdir, MODEL)
            assert disk(workdir) == before, "not everything was taken back"
        else:
            assert after == before, "changed and not recorded"
        assert git(workdir, "for-each-ref", "refs/tao-hf") == ""


@settings(phases=PHASES)
@given(case=CASES)
def test_random_edits_and_template_changes(clones: Path, case: Case) -> None:
    check(clones, case)


# --- a broken merge is seen ---

Decide = Callable[[str, bytes | None, bytes | None, bytes | None, str], Change]
_real: Decide = merge._change


def _take_theirs(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    return Change(path, "updated", ours, theirs)


def _drop_edited(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    return Change(path, "removed", ours, None) if theirs is None else _real(path, base, ours, theirs, label)


def _ours_over(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    return Change(path, "yours", ours, ours) if base != ours else _real(path, base, ours, theirs, label)


def _bring_deleted_back(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    return Change(path, "added", ours, theirs) if ours is None else _real(path, base, ours, theirs, label)


def _no_conflicts(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    change = _real(path, base, ours, theirs, label)
    return Change(path, "merged", ours, theirs) if change.kind == "conflict" else change


def _loose_ends(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    change = _real(path, base, ours, theirs, label)
    return change._replace(after=change.after.rstrip(b"\n") + b"\n") if change.after else change


@pytest.mark.parametrize(
    "broken", [_take_theirs, _drop_edited, _ours_over, _bring_deleted_back, _no_conflicts, _loose_ends]
)
def test_a_broken_merge_is_seen(clones: Path, broken: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_change", broken)
    _expect_failure(clones)


def test_a_forgotten_snapshot_is_seen(clones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that does not keep what was on the disk cannot be taken back."""
    real = Ledger.write

    def write(self: Ledger, ref: str, commits: list[ledger.Commit]) -> list[str]:
        kept = [replace(commit, files={}) if "as it was" in commit.message else commit for commit in commits]
        return real(self, ref, kept)

    monkeypatch.setattr(Ledger, "write", write)
    _expect_failure(clones)


def test_a_touched_index_is_seen(clones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = staging.take_in

    def take_in(workdir: Path, *rest: str) -> list[Change]:
        changes = real(workdir, *rest)
        git(workdir / "tao-core", "add", "--all")
        return changes

    monkeypatch.setattr(staging, "take_in", take_in)
    _expect_failure(clones)


def _expect_failure(clones: Path) -> None:
    """See to it that the property does not hold, in no more cases than `make test` tries."""

    @settings(max_examples=30, deadline=None, database=None, phases=PHASES, report_multiple_bugs=False)
    @given(case=CASES)
    def property_holds(case: Case) -> None:
        check(clones, case)

    with pytest.raises(AssertionError):
        property_holds()
