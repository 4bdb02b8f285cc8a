"""Patches while TAO's files move underneath: the public history of TAO, and a clone that pulls."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.clones import backbone_imports, console_scripts, patches, python_lists
from tests.support.clones import commit_all, fill, git, write

INIT = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
HISTORY = {"tao-pytorch": ("setup.py", INIT), "tao-deploy": ("setup.py",)}
PACKAGES = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
NEW = ("new", "hf_new", ["new"])
Clone = Callable[[str], Path]
TWO = ("two", "hf_two", ["two", "two_large"])


def script(repo: str, model: str = "new") -> str:
    """Return the console script of a model."""
    return f"{model}={PACKAGES[repo]}.cv.{model}.entrypoint.{model}:main"


def listed(content: bytes) -> list[str]:
    """Return the console scripts of a setup.py, else what ``__all__`` lists."""
    tree = python_lists.Source(content).tree
    is_setup = b"console_scripts" in content
    return python_lists.strings(console_scripts.entries(tree) if is_setup else backbone_imports.exported(tree))


def on_disk(repo: Path) -> dict[str, bytes]:
    """Return the files of a clone."""
    names = (path.relative_to(repo) for path in repo.rglob("*") if path.is_file())
    return {name.as_posix(): (repo / name).read_bytes() for name in names if name.parts[0] != ".git"}


# --- every version that was ever published ------------------------------------------------------------


@functools.cache
def versions(history: Path, file: str) -> list[bytes]:
    """Return the distinct versions of a file in all branches and tags, oldest first."""
    rows = git(
        history, "log", "--all", "--topo-order", "--reverse", "--format=", "--raw", "-m", "--no-abbrev",
        "--no-renames", "--diff-filter=AM", "--", file,
    )  # fmt: skip
    blobs = dict.fromkeys(row.split()[3] for row in rows.splitlines())
    show = functools.partial(subprocess.run, cwd=history, capture_output=True, check=True)
    return [show(["git", "cat-file", "blob", blob]).stdout for blob in blobs]


@pytest.mark.parametrize(("repo", "file"), [(repo, file) for repo in HISTORY for file in HISTORY[repo]])
def test_every_published_version(
    tmp_path: Path,
    public_history: Clone,
    repo: str,
    file: str,
) -> None:
    """Two models go in once, however often they are put there, and come out in either order; no byte is lost."""
    for name in HISTORY:
        fill(tmp_path / name, name)
    path = tmp_path / repo / file
    for content in versions(public_history(repo), file):
        path.write_bytes(content)
        patches.apply(tmp_path, *NEW)
        only_new = path.read_bytes()
        assert f"{repo}/{file}" in patches.apply(tmp_path, *TWO)
        both = path.read_bytes()
        assert [patches.apply(tmp_path, *model) for model in (NEW, TWO)] == [[], []]
        for model in (NEW, TWO):
            assert patches.edits(tmp_path, *model) == {}
        names = [script(repo), script(repo, "two")] if file == "setup.py" else ["new", "two", "two_large"]
        assert listed(both) == [*listed(content), *names]
        compile(both, file, "exec", dont_inherit=True)
        if file == INIT:
            imported = [alias.name for node in ast.parse(both).body[-8:] for alias in getattr(node, "names", [])]
            assert imported[-3:] == names

        patches.unapply(tmp_path, *TWO[:2])
        assert path.read_bytes() == only_new
        patches.apply(tmp_path, *TWO)
        patches.unapply(tmp_path, *NEW[:2])
        assert listed(path.read_bytes()) == [*listed(content), *names[1:]]
        patches.unapply(tmp_path, *TWO[:2])
        assert path.read_bytes() == content


@pytest.mark.parametrize(("repo", "file"), [(repo, file) for repo in HISTORY for file in HISTORY[repo]])
def test_a_committed_patch_goes_along_from_version_to_version(
    tmp_path: Path,
    public_history: Clone,
    repo: str,
    file: str,
) -> None:
    """Git merges the next version into the patched one, a person theirs in a conflict: it is there once."""
    for name in HISTORY:
        fill(tmp_path / name, name)
    path = tmp_path / repo / file
    name = script(repo) if file == "setup.py" else "new"
    for old, new in pairwise(versions(public_history(repo), file)):
        path.write_bytes(old)
        patches.apply(tmp_path, *NEW)
        sides = [write(tmp_path / side, content.decode()) for side, content in (("base", old), ("theirs", new))]
        merge = ["git", "merge-file", "-p", str(path), *map(str, sides)]
        merged = subprocess.run(merge, check=False, capture_output=True)
        resolved = subprocess.run([*merge, "--theirs"], check=True, capture_output=True).stdout
        if merged.returncode:
            path.write_bytes(merged.stdout)
            with pytest.raises(UserError, match="conflict blocks"):
                patches.apply(tmp_path, *NEW)
            assert path.read_bytes() == merged.stdout
        path.write_bytes(resolved)
        patches.apply(tmp_path, *NEW)
        assert sorted(listed(path.read_bytes())) == sorted([*listed(new), name])
        patches.unapply(tmp_path, "new", "hf_new")
        assert path.read_bytes() == new


def test_there_are_enough_versions(
    public_history: Clone,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The two tests above see at least fifteen distinct versions."""
    counts = {f"{repo}/{file}": len(versions(public_history(repo), file)) for repo in HISTORY for file in HISTORY[repo]}
    with capsys.disabled():
        print("", *(f"{count:3} published versions of {name}" for name, count in counts.items()), sep="\n")
    assert sum(counts.values()) >= 15


# --- a clone that pulls ------------------------------------------------------------


@pytest.fixture
def upstream(tmp_path: Path, own_git: Path) -> Path:
    """Give the folder of two repositories that others work on, with clones of them in ``workdir`` beside it."""
    for name in HISTORY:
        commit_all(fill(tmp_path / "upstream" / name, name))
        git(tmp_path, "clone", "-q", str(tmp_path / "upstream" / name), str(tmp_path / "workdir" / name))
    return tmp_path / "upstream"


@pytest.fixture
def workdir(upstream: Path) -> Path:
    """Give the working directory, with the model in it."""
    patches.apply(upstream.parent / "workdir", *NEW)
    return upstream.parent / "workdir"


def edit(path: Path, old: str, new: str) -> None:
    """Replace text in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text, text
    path.write_text(text.replace(old, new), encoding="utf-8")


@contextmanager
def once_and_gone(workdir: Path, upstream: Path) -> Iterator[None]:
    """Do what is to be done, then expect every registration once after an apply, and none after an unapply."""
    yield
    patches.apply(workdir, *NEW)
    assert patches.edits(workdir, *NEW) == {}
    assert patches.apply(workdir, *NEW) == []
    for repo in HISTORY:
        setup = (workdir / repo / "setup.py").read_bytes()
        assert sorted(listed(setup)) == sorted([*listed((upstream / repo / "setup.py").read_bytes()), script(repo)])
    init = (workdir / "tao-pytorch" / INIT).read_bytes()
    assert init.count(b"import (\n    new,\n)") == 1 and listed(init).count("new") == 1
    patches.unapply(workdir, "new", "hf_new")
    for repo in HISTORY:
        assert on_disk(workdir / repo) == on_disk(upstream / repo)


def test_a_checkout_underneath(workdir: Path, upstream: Path) -> None:
    """A patch that git took back is seen to be lost, and comes again as it was."""
    repo = workdir / "tao-pytorch"
    before = {path: path.read_bytes() for path in patches.files(workdir) if path.exists()}
    git(repo, "checkout", "-q", "setup.py")
    git(repo, "clean", "-fdq")
    assert patches.apply(workdir, *NEW) == ["tao-pytorch/setup.py"]
    assert {path: path.read_bytes() for path in patches.files(workdir) if path.exists()} == before
    with once_and_gone(workdir, upstream):
        git(repo, "checkout", "-q", ".")


ADVANCES = {
    "elsewhere": lambda setup: edit(setup, "import setuptools", "import os\nimport setuptools"),
    "an entry above": lambda setup: edit(setup, "        'old", "        'first=a.b:main',\n            'old"),
    "entries after ours": lambda setup: edit(setup, "        ]\n", "            'late=a.b:main',\n        ]\n"),
    "written anew": lambda setup: edit(
        setup,
        setup.read_text(),
        'import setuptools\nsetuptools.setup(entry_points={"console_scripts": ["old=a:main", "late=b:main"]})\n',
    ),
    "moved": lambda setup: edit(
        setup,
        setup.read_text(),
        "import setuptools\nSCRIPTS = (\n  'late=a.b:main',\n)\n"
        "setuptools.setup(entry_points=dict(console_scripts=SCRIPTS))\n",
    ),
}


def resolve(path: Path, how: str) -> None:
    """Resolve the conflict blocks in a file: ``theirs`` (upstream's side), ``ours`` or ``both``."""
    text: list[str] = []
    side = ""
    for row in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if row[:7] in ("<<<<<<<", "=======", ">>>>>>>"):
            side = {"<": "first", "=": "second", ">": ""}[row[0]]
        elif how == "both" or side in ("", how):
            text.append(row)
    path.write_text("".join(text), encoding="utf-8")


@pytest.mark.parametrize("title", ADVANCES)
@pytest.mark.parametrize("how", ["stash", "merge", "rebase"])
def test_upstream_moves_its_lists(workdir: Path, upstream: Path, title: str, how: str) -> None:
    """Ours uncommitted (stashed and popped) or committed (merged, rebased); a conflict is upstream's to win."""
    repo = workdir / "tao-pytorch"
    ADVANCES[title](upstream / "tao-pytorch/setup.py")
    commit_all(upstream / "tao-pytorch", title)
    commands = {
        "stash": [["stash", "-q"], ["pull", "-q"], ["stash", "pop", "-q"]],
        "merge": [["pull", "-q", "--no-rebase", "--no-edit"]],
        "rebase": [["pull", "-q", "--rebase"]],
    }[how]
    if how != "stash":
        commit_all(repo, "ours")
    with once_and_gone(workdir, upstream):
        done = [subprocess.run(["git", *args], cwd=repo, check=False, capture_output=True) for args in commands]
        assert all(run.returncode == 0 for run in done[:-1])
        if done[-1].returncode:
            disk = on_disk(repo)
            with pytest.raises(UserError, match=r"tao-pytorch/setup\.py holds the conflict blocks of a merge"):
                patches.apply(workdir, *NEW)
            with pytest.raises(UserError, match="conflict blocks"):
                patches.unapply(workdir, *NEW[:2])
            assert on_disk(repo) == disk
            resolve(repo / "setup.py", "first" if how != "merge" else "second")
            if how == "stash":
                git(repo, "reset", "-q")


def test_both_sides_of_a_merge_hold_our_entry(workdir: Path, upstream: Path) -> None:
    """A colleague published the model, from an older template; git takes both, and one of each stays."""
    repo = workdir / "tao-pytorch"
    older = script("tao-pytorch").replace("entrypoint.new:main", "entrypoint.run:cli")
    edit(upstream / "tao-pytorch/setup.py", "        'old", f"        '{older}',\n            'old")
    init = upstream / "tao-pytorch" / INIT
    edit(init, "\nfrom nvidia_tao_pytorch.cv.backbone_v2.net", f"from {BACKBONES_OLD} import new\n\nfrom {NET}")
    edit(init, "__all__ = [", '__all__ = [\n    "new",')
    commit_all(upstream / "tao-pytorch", "a colleague's")
    commit_all(repo, "ours")
    git(repo, "pull", "-q", "--no-rebase", "--no-edit")
    assert len([text for text in listed((repo / "setup.py").read_bytes()) if text.startswith("new=")]) == 2
    assert listed((repo / INIT).read_bytes()).count("new") == 2

    assert sorted(patches.apply(workdir, *NEW)) == [f"tao-pytorch/{INIT}", "tao-pytorch/setup.py"]
    assert [text for text in listed((repo / "setup.py").read_bytes()) if text.startswith("new=")] == [
        script("tao-pytorch")
    ]
    assert listed((repo / INIT).read_bytes()).count("new") == 1
    assert (repo / INIT).read_text().count("hf_new import") == 1
    patches.unapply(workdir, "new", "hf_new")
    assert not [text for text in listed((repo / "setup.py").read_bytes()) if text.startswith("new=")]
    assert "new" not in (repo / INIT).read_text()


NET = "nvidia_tao_pytorch.cv.backbone_v2.net"
BACKBONES_OLD = "nvidia_tao_pytorch.cv.backbone_v2.hf_new"


@pytest.mark.parametrize("how", ["first", "second", "both"])
def test_however_a_conflict_is_resolved(workdir: Path, upstream: Path, how: str) -> None:
    """Ours, theirs or both: the model is registered once, upstream's entry as far as the person kept it."""
    repo = workdir / "tao-pytorch"
    edit(upstream / "tao-pytorch/setup.py", "        ]\n", "            'late=a.b:main',\n        ]\n")
    commit_all(upstream / "tao-pytorch", "late")
    commit_all(repo, "ours")
    pull = ["git", "pull", "-q", "--no-rebase", "--no-edit"]
    assert subprocess.run(pull, cwd=repo, check=False, capture_output=True).returncode
    resolve(repo / "setup.py", how)
    git(repo, "commit", "-qam", "merged")
    patches.apply(workdir, *NEW)
    names = [text.partition("=")[0] for text in listed((repo / "setup.py").read_bytes())]
    assert sorted(names) == sorted(["old_model", "new", *(["late"] if how != "first" else [])])
    assert patches.edits(workdir, *NEW) == {}


def test_a_second_model_beside_a_committed_one_is_no_change_of_the_person(workdir: Path) -> None:
    """With one model's patches in the last commit and another's on top, there is still only ours in the way."""
    repo = workdir / "tao-pytorch"
    commit_all(repo, "ours")
    patches.apply(workdir, *TWO)
    models = {"new": "hf_new", "two": "hf_two"}
    for name in ("setup.py", INIT):
        assert git(repo, "diff", "--name-only", name) == name
        assert patches.only_ours(repo, name, models)
        (repo / name).write_bytes((repo / name).read_bytes() + b"\n# mine\n")
        assert not patches.only_ours(repo, name, models)


def test_what_a_killed_write_leaves_is_beside_a_file_we_name(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`files` names the neighbours of all that apply and unapply ever stage."""
    staged = []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (staged.append(Path(target)), real(source, target)))
    patches.unapply(workdir, "new", "hf_new")
    patches.apply(workdir, *NEW)
    assert staged and set(staged) <= set(patches.files(workdir))
    assert len(patches.files(workdir)) == len(set(patches.files(workdir))) == 11
