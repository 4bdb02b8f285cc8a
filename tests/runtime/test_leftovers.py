"""./tao-hf clean: lists what killed containers leave behind, removes it, and takes nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tao_hf.runtime import engine as docker
from tao_hf.runtime import leftovers
from tests.support.clones import write
from tests.support.somebody import UID, Somebody

CLEAN = """
import sys
from pathlib import Path
from tao_hf.runtime import leftovers
sys.exit(leftovers.clean(Path(sys.argv[1]), len(sys.argv) > 2))
"""
MINE = ("tao-core/pkg/module.py", "tao-core/build/kept.txt", "tao-core/notes/build.txt", "tao-deploy/dist-notes/a")
MADE = ("tao-core/pkg/__pycache__/module.pyc", "tao-core/nvidia.egg-info/PKG-INFO", "tao-pytorch/build/lib/a.py")


@pytest.fixture
def workdir(tmp_path: Path, own_git: None) -> Path:
    """Return a working directory with clones, files of the person's (some in a tracked `build`), and leftovers."""
    for clone in ("tao-core", "tao-pytorch", "tao-deploy"):
        write(tmp_path / clone / ".gitignore", "__pycache__\n*.egg-info\nbuild/lib\nbuild\n")
        subprocess.run(["git", "init", "--quiet", str(tmp_path / clone)], check=True)
    for name in MINE:
        write(tmp_path / name, "mine\n")
    subprocess.run(["git", "-C", str(tmp_path / "tao-core"), "add", "--force", "build/kept.txt", "pkg"], check=True)
    for name in MADE:
        write(tmp_path / name, "made\n")
    return tmp_path


def test_dry_run_lists_and_keeps(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leftovers.clean(workdir, dry_run=True) == 0
    said = capsys.readouterr().out
    for name in ("tao-core/pkg/__pycache__", "tao-core/nvidia.egg-info", "tao-pytorch/build"):
        assert f"    {name}\n" in said
    assert all((workdir / name).exists() for name in (*MINE, *MADE))


def test_clean_takes_nothing_of_the_person(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tracked files in a folder called build stay, and so does what only looks alike."""
    leftovers.clean(workdir, dry_run=False)
    assert [name for name in MINE if not (workdir / name).exists()] == []
    assert [name for name in MADE if (workdir / name).exists()] == []
    assert "3 removed or handed back" in capsys.readouterr().out
    leftovers.clean(workdir, dry_run=False)
    assert "nothing left behind" in capsys.readouterr().out


def test_unignored_folder_called_build_stays(workdir: Path) -> None:
    """Without git's word that it is made, a folder may be the person's work."""
    write(workdir / "tao-deploy" / ".gitignore", "__pycache__\n")
    write(workdir / "tao-deploy" / "build" / "model.py", "mine\n")
    leftovers.clean(workdir, dry_run=False)
    assert (workdir / "tao-deploy" / "build" / "model.py").exists()


@pytest.mark.docker
@pytest.mark.usefixtures("engine", "prepared", "no_leftovers")
def test_what_belongs_to_root(workdir: Path, somebody: Somebody) -> None:
    """A person who is not root gets rid of root's build folders and gets the other files back."""
    home = somebody.own(Path(shutil.move(workdir, somebody.home / "workdir")))
    for name in ("tao-deploy/build/lib/a.py", "tao-deploy/dist/a.whl", ".tao-hf/model/results/train/last.pth"):
        write(home / name, "of root\n")
    os.chown(home / ".tao-hf", UID, UID)
    status, said = somebody.run(CLEAN, home, "dry")
    assert status == 0 and "owned by root:\n    .tao-hf/model\n" in said and "    tao-deploy/build\n" in said
    status, said = somebody.run(CLEAN, home)
    assert status == 0, said
    assert not (home / "tao-deploy" / "build").exists()
    assert (home / "tao-deploy" / "dist" / "a.whl").exists(), "a wheel is no waste"
    assert (home / ".tao-hf" / "model" / "results" / "train" / "last.pth").read_text() == "of root\n"
    assert not [path for path in home.rglob("*") if path.lstat().st_uid == 0]


@pytest.mark.docker
@pytest.mark.usefixtures("engine", "prepared", "no_leftovers")
def test_container_without_a_process(workdir: Path) -> None:
    """One whose process has ended is removed; one whose process lives is not."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = []
    for pid in (ended.pid, os.getpid()):
        labels = ["--label", f"{docker.LABEL}.root={workdir}", "--label", f"{docker.LABEL}.pid={pid}"]
        command = ["--rm", "--detach", *labels, "--entrypoint", "sleep", docker.prepared("deploy"), "600"]
        identity = docker.run("run", *command).strip()
        names.append(docker.run("inspect", "--format", "{{.Name}}", identity).strip().removeprefix("/"))
    try:
        assert leftovers.find(workdir).containers == (names[0],)
        leftovers.clean(workdir, dry_run=False)
        running = docker.run("ps", "--filter", f"label={docker.LABEL}.root={workdir}", "--format", "{{.Names}}")
        assert running.split() == [names[1]]
    finally:
        docker.run("rm", "--force", names[1])
