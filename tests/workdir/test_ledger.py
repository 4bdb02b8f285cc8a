"""The ledger: it returns what it was given, whatever is configured, and takes no repository of a person's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tao_hf.base import git as git_command
from tao_hf.base.errors import UserError
from tao_hf.workdir.ledger import Commit, Ledger


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a new ledger in a directory of its own."""
    (tmp_path / "w").mkdir()
    new = Ledger(tmp_path / "w")
    new.create()
    return new


NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and name.lower().rstrip(" .") != ".git" and len(name.encode()) < 200)


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_under_any_name(ledger: Ledger, files: dict[str, bytes]) -> None:
    files = {f"folder/{name}": content for name, content in files.items()}
    commit = ledger.write("template/m", [Commit("m", (), files)])[-1]
    assert ledger.files(commit) == files
    assert ledger.tip("template/m") == commit


def test_hard_names_and_contents(ledger: Ledger) -> None:
    files = {
        'a "quoted" name': b"",
        "back\\slash": b"\0\1\2\xff",
        "new\nline": b"no end of line",
        "tab\there": b"\r\n\r\n",
        "ümläut/日本": b"data 5\nhello\ndone\n",
        " blank ": b"<<<<<<< a\n=======\n>>>>>>> b\n",
        "-dash": b"x" * 2_000_000,
    }
    assert ledger.files(ledger.write("ledger/m", [Commit("m", (), files)])[-1]) == files


def test_several_commits_with_parents_among_them(ledger: Ledger) -> None:
    first = ledger.write("ledger/m", [Commit("first", (), {"a": b"1", "gone": b"x"})])[-1]
    before, rendered, merged = ledger.write(
        "refs/tao-hf/pending/m",
        [
            Commit("before", (first,), {"a": b"2"}),
            Commit("rendered", (), {"b": b"3"}),
            Commit("merged\n\nOperation: update\n", (0, 1), {"a": b"2", "b": b"3"}),
        ],
    )
    assert ledger.parents(merged) == [before, rendered]
    assert ledger.parents(before) == [first] and ledger.parents(rendered) == []
    assert ledger.files(before) == {"a": b"2"}, "what a commit does not name is not in it"
    assert ledger.files(merged) == {"a": b"2", "b": b"3"}
    assert ledger.message(merged) == "merged\n\nOperation: update\n"
    assert ledger.tip("refs/tao-hf/pending/m") == merged and ledger.tip("ledger/m") == first
    assert ledger.tip("ledger/other") is None


def test_refs_move_together_or_not_at_all(ledger: Ledger) -> None:
    one, other = (ledger.write(ref, [Commit(ref, (), {"a": ref.encode()})])[-1] for ref in ("ledger/m", "template/m"))
    with pytest.raises(git_command.GitError):
        ledger.move({"ledger/m": other, "template/m": "0123456789012345678901234567890123456789"})
    assert (ledger.tip("ledger/m"), ledger.tip("template/m")) == (one, other)
    ledger.move({"ledger/m": other, "template/m": None})
    assert (ledger.tip("ledger/m"), ledger.tip("template/m")) == (other, None)


def test_a_write_that_fails_moves_nothing(ledger: Ledger) -> None:
    commit = ledger.write("ledger/m", [Commit("m", (), {"a": b"1"})])[-1]
    with pytest.raises(git_command.GitError):
        ledger.write("ledger/m", [Commit("m", (commit,), {"a": b"2"}), Commit("m", (0, "0" * 40), {"a": b"3"})])
    assert ledger.tip("ledger/m") == commit


def test_a_hostile_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people (or their companies) have in their global configuration neither runs nor changes anything."""
    hooks, template = tmp_path / "hooks", tmp_path / "template"
    ran = tmp_path / "ran"
    for folder in (hooks, template / "hooks"):
        folder.mkdir(parents=True)
        for name in ("pre-commit", "post-commit", "reference-transaction", "post-index-change", "pre-push", "evil"):
            (folder / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\nexit 1\n", encoding="utf-8")
            (folder / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n hooksPath = {hooks}\n autocrlf = true\n fsmonitor = {hooks}/evil\n safecrlf = true\n"
        "[commit]\n gpgSign = true\n[user]\n useConfigOnly = true\n[merge]\n conflictStyle = diff3\n"
        f"[init]\n templateDir = {template}\n defaultBranch = trunk\n[gpg]\n program = {hooks}/evil\n"
        "[status]\n showUntrackedFiles = all\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    monkeypatch.delenv("EMAIL", raising=False)
    workdir = tmp_path / "w"
    workdir.mkdir()
    ledger = Ledger(workdir)
    ledger.create()
    files = {"a": b"one\r\ntwo\n"}
    commit = ledger.write("ledger/m", [Commit("m", (), files)])[-1]
    ledger.move({"template/m": commit})
    monkeypatch.delenv("GIT_DIR")
    assert ledger.files(commit) == files
    assert not ran.exists(), ran.read_text(encoding="utf-8")
    assert git(workdir, "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    said = git(workdir, "log", "-1", "--format=%an <%ae> %cn <%ce>", commit)
    assert said.strip() == " ".join(["tao-hf-template <tao-hf-template@localhost>"] * 2)
    assert not (workdir / ".git/hooks").exists()


def test_it_is_clean_and_without_a_remote_whatever_lies_in_the_directory(ledger: Ledger) -> None:
    workdir = ledger.workdir
    for name in ("tao-core/nvidia_tao_core/x.py", "mine.txt", ".hidden", ".gitignore", ".tao-hf/m/model.json"):
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_text("!*\n", encoding="utf-8")
    (workdir / "clone").mkdir()
    git(workdir / "clone", "init", "-q")
    assert git(workdir, "remote") == ""
    assert ledger.staged() == []
    (workdir / ".gitignore").unlink()
    assert git(workdir, "status", "--porcelain") == ""


def test_what_a_person_stages_is_told(ledger: Ledger) -> None:
    (ledger.workdir / "a file").write_text("mine\n", encoding="utf-8")
    git(ledger.workdir, "add", "-f", "a file")
    assert ledger.staged() == ["a file"]


def test_making_it_twice_keeps_it(ledger: Ledger) -> None:
    commit = ledger.write("ledger/m", [Commit("m", (), {"a": b"1"})])[-1]
    ledger.create()
    assert ledger.tip("ledger/m") == commit
    assert [path.name for path in ledger.workdir.iterdir()] == [".git"], "nothing is left beside it"


def test_a_repository_of_a_persons_own_is_refused_untouched(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "mine").write_text("mine\n", encoding="utf-8")

    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = tree()
    for action in (Ledger(tmp_path).exists, Ledger(tmp_path).create):
        with pytest.raises(UserError, match="git repository of its own"):
            action()
    assert tree() == before


def test_a_broken_ledger_is_one_sentence(ledger: Ledger) -> None:
    (ledger.workdir / ".git/HEAD").write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(UserError, match="git cannot use it"):
        ledger.exists()


def test_a_repository_around_the_working_directory_is_not_the_ledger(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "w").mkdir()
    ledger = Ledger(tmp_path / "w")
    assert not ledger.exists()
    ledger.create()
    ledger.write("ledger/m", [Commit("m", (), {"a": b"1"})])
    assert git(tmp_path, "for-each-ref") == ""
