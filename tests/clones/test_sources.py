"""Where the repositories come from; putting them in place loses nothing and leaves no half of anything."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tao_hf.base import git as git_command
from tao_hf.base.errors import UserError
from tao_hf.clones import console_scripts, embedded, python_lists, repos, sources
from tests.support.clones import commit_all, fill, git, write
from tests.support.paths import HOOKS, ROOT

NAMES = ("tao-core", "tao-pytorch", "tao-deploy")
CORE, PYTORCH, DEPLOY, DATASERVICES = repos.REPOS


@pytest.fixture(autouse=True)
def _fresh(own_git: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own cache, memory and stand-in; GitHub's address leads to the `remotes`, if any."""
    monkeypatch.setenv("TAO_HF_CACHE", str(tmp_path / "cache"))
    sources._look_up.cache_clear()
    sources._SILENT.clear()
    monkeypatch.setattr(embedded, "STAND_IN", fill(tmp_path / "stand-in", "tao-pytorch"))
    own_git.write_text(
        own_git.read_text() + f'[url "{tmp_path}/remotes/"]\n\tinsteadOf = https://github.com/NVIDIA-TAO/\n'
    )


@pytest.fixture
def wheels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Serve tiny wheels in place of PyPI's; the list holds what was asked for."""
    asked: list[str] = []

    def download(wheel: str, version: str, scratch: Path) -> Path:
        asked.append(wheel)
        package = wheel.replace("-", "_")
        return make_wheel(scratch / f"{package}-{version}-py3-none-any.whl", package, version)

    monkeypatch.setattr(embedded, "_download", download)
    return asked


@pytest.fixture
def remotes(tmp_path: Path) -> Path:
    """Serve all but tao-core where GitHub would be; returns their folder."""
    folder = tmp_path / "remotes"
    for name, public in (
        ("tao-pytorch", "tao-pytorch"),
        ("tao-deploy", "tao-deploy"),
        ("tao-dataservices", "tao-data-services"),
    ):
        work = fill(tmp_path / "work" / name, name)
        commit_all(work, "seven")
        git(work, "tag", "7.0.1")
        git(work, "switch", "-q", "-c", "release/8")
        write(work / "only_eight.txt")
        commit_all(work, "eight")
        git(work, "switch", "-q", "main")
        write(work / "only_main.txt")
        commit_all(work, "later")
        folder.mkdir(exist_ok=True)
        git(folder, "clone", "-q", "--bare", str(work), public)
    return folder


def make_wheel(path: Path, package: str, version: str, extra: dict[str, str] | None = None) -> Path:
    """Write a wheel with a package, a console script and a licence."""
    info = f"{package}-{version}.dist-info"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/config/other_model/__init__.py": "",
        f"{package}/config/spec.yaml": "a: 1\r\n",
        f"{info}/entry_points.txt": f"[console_scripts]\nMixed-Case = {package}.cv.x.entrypoint.x:main\n",
        f"{info}/METADATA": f"Name: {package}\nVersion: {version}\n",
        f"{info}/LICENSE": "terms",
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file outside ``.git`` folders."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def leftovers(tmp_path: Path) -> list[str]:
    """Return what interrupted work has left in the cache and the working directory."""
    return [str(path) for path in tmp_path.rglob(".tao-hf-*")]


# --- which source -----------------------------------------------------------------------------------


def test_clones_that_are_there_are_used_as_they_are(tmp_path: Path) -> None:
    """Clones, and links to clones, are taken with their version and left alone."""
    workdir = tmp_path / "w"
    for name in NAMES:
        commit_all(fill(tmp_path / "elsewhere" / name, name))
    shutil.copytree(tmp_path / "elsewhere/tao-core", workdir / "tao-core")
    for name in NAMES[1:]:
        (workdir / name).symlink_to(tmp_path / "elsewhere" / name)
    git(workdir / "tao-deploy", "tag", "v7.1.0")
    before = tree(tmp_path / "elsewhere")
    resolved = sources.resolve(workdir, "7.0.1", "auto", "main")
    assert {entry["source"] for entry in resolved.values()} == {"present"}
    assert resolved["tao-core"]["version"] == "6.5.4"
    assert resolved["tao-deploy"]["version"] == "7.1.0"
    assert resolved["tao-core"]["commit"] == git(workdir / "tao-core", "rev-parse", "HEAD")
    sources.lay_out(workdir, resolved, "main")
    assert tree(tmp_path / "elsewhere") == before
    assert sources.describe(resolved).count("your own clone") == 3
    assert "tao-dataservices  not used" in sources.describe(resolved)


def test_missing_repositories_are_cloned_at_the_release(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """The tag of tao_version is checked out; what cannot be cloned is embedded, and both are said."""
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    origin = {name: entry["source"] for name, entry in resolved.items()}
    assert origin == {
        "tao-core": "embedded",
        "tao-pytorch": "clone",
        "tao-deploy": "clone",
        "tao-dataservices": "clone",
    }
    assert wheels == ["nvidia-tao-core"]
    assert resolved["tao-pytorch"]["version"] == "7.0.1"
    assert resolved["tao-pytorch"]["commit"] == git(remotes / "tao-pytorch", "rev-parse", "7.0.1")
    assert not (tmp_path / "w").exists()
    said = sources.describe(resolved)
    assert "cloned from https://github.com/NVIDIA-TAO/tao-pytorch, version 7.0.1" in said
    assert "the nvidia-tao-core 7.0.1 wheel from PyPI, because it could not be cloned: " in said


@pytest.mark.parametrize(
    ("version", "base", "expected", "file"),
    [
        ("7.0.1", "", "7.0.1", None),
        ("9.9.9", "", "main", "only_main.txt"),
        ("9.9.9", "main", "main", "only_main.txt"),
        ("7.0.1", "release/8", "release/8", "only_eight.txt"),
    ],
)
def test_tag_and_branch(
    tmp_path: Path, remotes: Path, wheels: list[str], version: str, base: str, expected: str, file: str | None
) -> None:
    """The release tag when there is one, else the default branch; another base branch is honoured."""
    entry = sources.resolve(tmp_path / "w", version, "auto", base)["tao-pytorch"]
    assert entry["commit"] == git(remotes / "tao-pytorch", "rev-parse", expected)
    assert {path.name for path in Path(entry["path"]).glob("only_*")} == ({file} if file else set())


def test_a_base_branch_that_is_nowhere(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """The error lists the branches that exist."""
    with pytest.raises(UserError, match=r"no branch nope.*main, release/8"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "nope")


def test_the_cache_saves_the_second_clone(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """With the release in the cache the network is not needed any more."""
    first = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    shutil.rmtree(remotes)
    sources._look_up.cache_clear()
    second = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    assert second["tao-pytorch"] == first["tao-pytorch"]
    assert wheels == ["nvidia-tao-core"]


def test_clone_never_embeds(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """tao_source=clone says which repository could not be cloned, and why."""
    with pytest.raises(
        UserError, match=r"tao-core cannot be cloned from https://github.com/NVIDIA-TAO/tao-core \(.+\)"
    ):
        sources.resolve(tmp_path / "w", "7.0.1", "clone", "main")
    assert wheels == []


def test_embedded_asks_no_remote(
    tmp_path: Path, remotes: Path, wheels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tao_source=embedded runs no git command that could go to a network."""
    real, ran = git_command.run, []

    def spy(*args: str, **kwargs: object) -> bytes:
        ran.append(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(git_command, "run", spy)
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    assert {entry["source"] for entry in resolved.values()} == {"embedded"}
    assert not {"clone", "fetch", "ls-remote"} & set(ran)
    assert "commit" in ran
    said = sources.describe(resolved)
    assert "the template's stand-in (base classes only), because tao_source=embedded was chosen" in said


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    """The choices are named."""
    with pytest.raises(UserError, match="auto, clone or embedded"):
        sources.resolve(tmp_path, "7.0.1", "github", "main")


# --- what is in the way -----------------------------------------------------------------------------


def test_something_else_in_its_place(tmp_path: Path) -> None:
    """A file, a dangling link, another repository, and sources without git are each named."""
    core = tmp_path / "w/tao-core"
    write(core)
    with pytest.raises(UserError, match="is a file"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    core.unlink()
    core.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not there; repair"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    core.unlink()
    fill(core, "tao-core")
    with pytest.raises(UserError, match="no git clone"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    shutil.rmtree(core)
    commit_all(fill(core, "tao-deploy"))
    with pytest.raises(UserError, match="it is not tao-core"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    shutil.rmtree(core / ".git")
    write(core / ".git", "gitdir: /nowhere\n")
    with pytest.raises(UserError, match="git cannot use it"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")


def test_a_repository_around_the_working_directory_is_not_taken(tmp_path: Path, wheels: list[str]) -> None:
    """The ledger lies around the repositories: a folder in it is no clone, and is neither taken nor replaced."""
    workdir = tmp_path / "w"
    write(workdir / "tao-core/nvidia_tao_core/__init__.py", "# mine\n")
    git(workdir, "init", "-q")
    with pytest.raises(UserError, match="tao-core is no git clone"):
        sources.lay_out(workdir, sources.resolve(workdir, "7.0.1", "embedded", "main"), "main")
    assert [path.name for path in workdir.iterdir() if path.name != ".git"] == ["tao-core"]
    assert (workdir / "tao-core/nvidia_tao_core/__init__.py").read_text(encoding="utf-8") == "# mine\n"


def test_a_surrounding_git_command_does_not_lead_astray(
    tmp_path: Path, wheels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run from a git hook, GIT_DIR and friends point at another repository."""
    other = tmp_path / "other"
    write(other / "file")
    head = commit_all(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    sources.lay_out(tmp_path / "w", resolved, "main")
    monkeypatch.undo()
    assert git(other, "rev-parse", "HEAD") == head
    assert git(tmp_path / "w/tao-core", "status", "--porcelain") == ""


# --- failing networks -------------------------------------------------------------------------------


def test_a_clone_that_breaks_off_leaves_nothing(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """The remote answers but its objects are damaged: embedded with the reason, or an error; no leftovers."""
    for pack in [*(remotes / "tao-pytorch/objects").rglob("*")]:
        if pack.is_file():
            pack.chmod(0o644)
            pack.write_bytes(b"damaged")
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    assert resolved["tao-pytorch"]["source"] == "embedded"
    assert "broke off" in resolved["tao-pytorch"]["reason"]
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "cache/sources/tao-pytorch-7.0.1").exists()
    commit_all(fill(tmp_path / "w/tao-core", "tao-core"))
    with pytest.raises(UserError, match=r"tao-pytorch cannot be cloned.*broke off"):
        sources.resolve(tmp_path / "w", "7.0.1", "clone", "main")


def test_a_silent_host_is_asked_once_and_not_for_long(
    tmp_path: Path,
    own_git: Path,
    wheels: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that accepts and never answers costs one time limit in all, not one per repository."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        own_git.write_text(f'[url "{address}"]\n\tinsteadOf = https://github.com/NVIDIA-TAO/\n')
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(sources, "LOOK_UP_SECONDS", 1.5)
        started = time.monotonic()
        resolved = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
        seconds = time.monotonic() - started
    assert {entry["source"] for entry in resolved.values()} == {"embedded"}
    assert "no answer within 1.5 s" in resolved["tao-deploy"]["reason"]
    assert 1.5 <= seconds < 6


def test_no_network(
    tmp_path: Path,
    own_git: Path,
    wheels: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host name that does not resolve fails at once; the reason names the host."""
    own_git.write_text("")
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for repo in repos.REPOS:
        assert repo.url.startswith("https://github.com/NVIDIA-TAO/")
    moved = [repo._replace(url=repo.url.replace("github.com", "github.invalid")) for repo in repos.REPOS]
    monkeypatch.setattr(sources, "REPOS", moved)
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    assert {entry["reason"] for entry in resolved.values()} == {"there is no way to github.invalid from here"}


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="git is not installed"):
        sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")


# --- laying out ----------------------------------------------------------------------------------------


def test_every_file_of_a_source_is_placed_and_git_sees_no_change(
    tmp_path: Path, remotes: Path, wheels: list[str]
) -> None:
    """Nothing is added, nothing left out; remotes stay those of the source."""
    workdir = tmp_path / "w"
    resolved = sources.resolve(workdir, "7.0.1", "auto", "main")
    sources.lay_out(workdir, resolved, "main")
    now = tree(workdir)
    for repo in resolved:
        source = tree(Path(resolved[repo]["path"]))
        assert {name.partition("/")[2]: now[name] for name in now if name.startswith(f"{repo}/")} == source
        assert git(workdir / repo, "status", "--porcelain") == ""
    assert git(workdir / "tao-pytorch", "config", "remote.origin.url") == PYTORCH.url
    assert git(workdir / "tao-pytorch", "rev-parse", "HEAD") == resolved["tao-pytorch"]["commit"]
    assert git(workdir / "tao-core", "log", "--format=%s") == "nvidia-tao-core 7.0.1 as published"
    assert git(workdir / "tao-core", "remote") == ""
    assert leftovers(tmp_path) == []


def test_laying_out_twice_changes_nothing(tmp_path: Path, wheels: list[str]) -> None:
    """What is in place stays, with the work done in it since."""
    workdir = tmp_path / "w"
    resolved = sources.resolve(workdir, "7.0.1", "embedded", "develop")
    sources.lay_out(workdir, resolved, "develop")
    assert git(workdir / "tao-core", "branch", "--show-current") == "develop"
    write(workdir / "tao-core/nvidia_tao_core/__init__.py", "# my change\n")
    before = tree(workdir)
    sources.lay_out(workdir, resolved, "develop")
    assert tree(workdir) == before
    assert sources.resolve(workdir, "7.0.1", "auto", "main")["tao-core"]["source"] == "present"


def test_a_generated_file_that_tao_has_too_is_a_collision(tmp_path: Path, wheels: list[str]) -> None:
    """It is told before anything is placed."""
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    file = "tao-deploy/nvidia_tao_deploy/config/other_model/__init__.py"
    assert sources.collisions(resolved, [file, "tao-core/new.py", ".tao-hf/x"]) == [file]


@pytest.mark.parametrize("failing_call", [1, 2, 3])
def test_a_disk_that_fills_up_while_laying_out_leaves_no_half_repository(
    tmp_path: Path, wheels: list[str], monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    """The repositories before it are whole, it and those after it are not there, and the next run goes on."""
    workdir = tmp_path / "w"
    resolved = sources.resolve(workdir, "7.0.1", "embedded", "main")
    names = list(resolved)
    failing = names[failing_call - 1]
    real, calls = Path.rename, []

    def broken(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing_call:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(UserError, match=rf"{failing} could not be put .*No space left"):
        sources.lay_out(workdir, resolved, "main")
    assert sorted(path.name for path in workdir.iterdir()) == sorted(names[: failing_call - 1])
    assert leftovers(tmp_path) == []
    monkeypatch.setattr(Path, "rename", real)
    sources.lay_out(workdir, resolved, "main")
    for name in names:
        assert git(workdir / name, "status", "--porcelain") == ""


def test_a_cache_emptied_meanwhile(tmp_path: Path, wheels: list[str]) -> None:
    """The person is told to run again."""
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match="removed from the cache"):
        sources.lay_out(tmp_path / "w", resolved, "main")


def test_the_cache_is_never_changed_by_work_in_a_placed_repository(tmp_path: Path, wheels: list[str]) -> None:
    """Editing and committing in the working directory leaves the pristine copy pristine."""
    workdir = tmp_path / "w"
    resolved = sources.resolve(workdir, "7.0.1", "embedded", "main")
    sources.lay_out(workdir, resolved, "main")
    write(workdir / "tao-core/nvidia_tao_core/__init__.py", "# my change\n")
    commit_all(workdir / "tao-core", "mine")
    pristine = Path(resolved["tao-core"]["path"])
    assert git(pristine, "rev-parse", "HEAD") == resolved["tao-core"]["commit"]
    assert git(pristine, "status", "--porcelain") == ""
    assert git(pristine, "fsck", "--strict") == ""


# --- embedding --------------------------------------------------------------------------------------


def test_a_wheel_becomes_a_repository_that_patches_work_on(tmp_path: Path, wheels: list[str]) -> None:
    """Packages at the top, licence kept, scripts in setup.py with their case, bytes as in the wheel."""
    path = Path(sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")["tao-deploy"]["path"])
    assert (path / "LICENSE").read_text() == "terms"
    assert (path / "nvidia_tao_deploy/config/spec.yaml").read_bytes() == b"a: 1\r\n"
    setup = (path / "setup.py").read_bytes()
    scripts = python_lists.strings(console_scripts.entries(ast.parse(setup)))
    assert scripts == ["Mixed-Case=nvidia_tao_deploy.cv.x.entrypoint.x:main"]
    script = "new=nvidia_tao_deploy.cv.new.entrypoint.new:main"
    patched = console_scripts.with_script(setup, script)
    assert python_lists.strings(console_scripts.entries(ast.parse(patched))) == [*scripts, script]
    assert repos.version(path, DEPLOY) == "7.0.1"
    assert git(path, "status", "--porcelain", "--ignored") == ""


def test_the_commit_is_the_same_under_any_git_configuration(
    tmp_path: Path,
    wheels: list[str],
    own_git: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No identity, line-end conversion, signing, ignoring or hooks of the person get in."""
    first = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    monkeypatch.setenv("TAO_HF_CACHE", str(tmp_path / "cache2"))
    hook = write(tmp_path / "hooks/pre-commit", "#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    write(tmp_path / "ignore", "*.yaml\n")
    own_git.write_text(
        f"[core]\n\tautocrlf = true\n\thooksPath = {hook.parent}\n\texcludesFile = {tmp_path}/ignore\n"
        "[commit]\n\tgpgSign = true\n[user]\n\tuseConfigOnly = true\n[init]\n\tdefaultBranch = trunk\n"
    )
    configured = own_git.read_bytes()
    second = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    assert {name: entry["commit"] for name, entry in second.items()} == {
        name: entry["commit"] for name, entry in first.items()
    }
    assert own_git.read_bytes() == configured


@pytest.mark.parametrize("name", ["../escape.py", "/abs.py", "pkg/../../escape.py", "a\\..\\b.py"])
def test_a_wheel_that_wants_out_of_its_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No file is written outside, and nothing stays in the cache."""

    def download(wheel: str, version: str, scratch: Path) -> Path:
        package = wheel.replace("-", "_")
        return make_wheel(scratch / f"{package}.whl", package, version, {name: "evil"})

    monkeypatch.setattr(embedded, "_download", download)
    with pytest.raises(UserError, match="unsafe path"):
        sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]
    assert os.listdir(tmp_path / "cache/sources") == []


def test_a_broken_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated download is no traceback."""

    def download(wheel: str, version: str, scratch: Path) -> Path:
        return write(scratch / "broken.whl", "not a zip file")

    monkeypatch.setattr(embedded, "_download", download)
    with pytest.raises(UserError, match="is broken"):
        sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")


def test_an_interrupted_layout_is_never_used(
    tmp_path: Path, wheels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves no folder; a damaged one in the cache is replaced."""
    real = embedded.lay_out

    def interrupted(*args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "lay_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    assert os.listdir(tmp_path / "cache/sources") == []
    monkeypatch.setattr(embedded, "lay_out", real)
    write(tmp_path / "cache/sources/tao-core-7.0.1-wheel/nvidia_tao_core/half.py", "half")
    path = Path(sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")["tao-core"]["path"])
    assert not (path / "nvidia_tao_core/half.py").exists()
    assert (path / "nvidia_tao_core/__init__.py").exists()


def test_two_runs_at_once_do_not_disturb_each_other(
    tmp_path: Path, wheels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another run fills the cache first, its folder is used and ours is dropped."""
    real, inner = embedded.lay_out, []

    def folders() -> dict[str, int]:
        return {folder.name: folder.stat().st_ino for folder in (tmp_path / "cache/sources").iterdir()}

    def slower(repo: repos.Repo, version: str, folder: Path) -> None:
        real(repo, version, folder)
        if not inner:
            inner.append(True)
            inner.append(sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main"))
            inner.append(folders())

    monkeypatch.setattr(embedded, "lay_out", slower)
    outer = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")
    assert outer == inner[1]
    assert folders().items() <= inner[2].items()
    assert leftovers(tmp_path) == []
    assert len(os.listdir(tmp_path / "cache/sources")) == 3


def test_a_changed_stand_in_gets_a_folder_of_its_own(tmp_path: Path, wheels: list[str]) -> None:
    """A newer template never serves the older template's stand-in from the cache."""
    first = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")["tao-pytorch"]
    write(embedded.STAND_IN / "nvidia_tao_pytorch/cv/added.py")
    second = sources.resolve(tmp_path / "w", "7.0.1", "embedded", "main")["tao-pytorch"]
    assert first["path"] != second["path"]
    assert (Path(second["path"]) / "nvidia_tao_pytorch/cv/added.py").exists()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the real wheels of TAO 7.0.1 once per test run."""
    folder = tmp_path_factory.mktemp("published")
    for repo in (CORE, DEPLOY):
        (folder / repo.name).mkdir()
        embedded.lay_out(repo, "7.0.1", folder / repo.name)
    return folder


def test_the_real_wheels(published: Path, tmp_path: Path) -> None:
    """nvidia-tao-core and nvidia-tao-deploy 7.0.1 come from PyPI with all that generated code builds on."""
    core, deploy = published / "tao-core", published / "tao-deploy"
    assert (core / "nvidia_tao_core/config/common/common_config.py").is_file()
    assert (core / "nvidia_tao_core/telemetry").is_dir()
    assert (deploy / "nvidia_tao_deploy/cv/classification_pyt/scripts/gen_trt_engine.py").is_file()
    scripts = python_lists.strings(console_scripts.entries(ast.parse((deploy / "setup.py").read_bytes())))
    assert "classification_pyt=nvidia_tao_deploy.cv.classification_pyt.entrypoint.classification_pyt:main" in scripts
    for repo, path in ((CORE, core), (DEPLOY, deploy)):
        assert repos.version(path, repo) == "7.0.1"
        assert git(path, "status", "--porcelain", "--ignored") == ""
        assert git(path, "log", "--format=%s") == f"{repo.wheel} 7.0.1 as published"


def test_a_release_that_is_not_on_pypi(tmp_path: Path) -> None:
    """Pip's reason is passed on, in one line."""
    with pytest.raises(UserError, match=r"nvidia-tao-core 0\.0\.404 cannot be had from PyPI") as caught:
        sources.resolve(tmp_path / "w", "0.0.404", "embedded", "main")
    assert "\n" not in str(caught.value)


def test_an_interpreter_without_pip_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipx and uv run Copier from environments without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    command = embedded._pip(tmp_path)
    assert command[0] != sys.executable
    assert subprocess.run([*command, "--version"], check=False, capture_output=True).returncode == 0


# --- local only -------------------------------------------------------------------------------------


def test_remotes_are_never_written(tmp_path: Path, remotes: Path, wheels: list[str]) -> None:
    """After everything was resolved and placed, the remotes hold the refs and files they held."""
    before = {path: path.read_bytes() for path in remotes.rglob("*") if path.is_file()}
    resolved = sources.resolve(tmp_path / "w", "7.0.1", "auto", "main")
    sources.lay_out(tmp_path / "w", resolved, "main")
    assert {path: path.read_bytes() for path in remotes.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["push", "send-pack", "send-email", "request-pull", "svn", "http-push"])
def test_git_commands_that_publish_cannot_be_run(command: str) -> None:
    """The one place that runs git refuses them."""
    with pytest.raises(ValueError, match="not among the commands"):
        git_command.run(command)


def test_no_module_knows_a_command_that_publishes() -> None:
    """The word does not occur as an argument anywhere in what runs beside Copier."""
    files = [*HOOKS.rglob("*.py"), *(ROOT / "extensions").rglob("*.py")]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "push" not in node.value.split()[:2], f"{file}:{node.lineno}"


def test_versions_are_read_without_running_anything(tmp_path: Path) -> None:
    """Tag first, then the version files, then setup.py; nothing else is guessed."""
    path = fill(tmp_path / "tao-pytorch", "tao-pytorch")
    commit_all(path)
    assert repos.version(path, PYTORCH) == "6.5.4"
    git(path, "tag", "nightly")
    assert repos.version(path, PYTORCH) == "6.5.4"
    git(path, "tag", "v7.0.1")
    assert repos.version(path, PYTORCH) == "7.0.1"
    git(path, "tag", "-d", "v7.0.1")
    write(path / "release/python/version.py", "raise SystemExit\n")
    assert repos.version(path, PYTORCH) == "unknown"
    write(path / "setup.py", "import setuptools\nsetuptools.setup(version='5.4.3')\n")
    assert repos.version(path, PYTORCH) == "5.4.3"
