"""./tao-hf remove: the clones as before the copy, nothing of a person's lost, killed at any point or not."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tao_hf.clones import branches
from tao_hf.lifecycle import registration
from tao_hf.workdir import staging
from tests.support import renderings, trees
from tests.support.clones import commit_all, git, write
from tests.support.copies import MODEL, copier_copy
from tests.support.paths import HOOKS

REPOS = ("tao-core", "tao-pytorch", "tao-deploy")
BRANCH = "tao-hf"
UTILS = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils"
EDITED = f"{UTILS}/config.py"
ADDED = f"tao-deploy/tests/{MODEL}/data/notes.md"
PYTEST_INI = "[pytest]\ntestpaths = tests\nmarkers =\n    slow: mine\n"
OWN_TESTS = {"tao-pytorch/tests/cv_unit_test/other/test_it.py": "", "tao-deploy/tests/conftest.py": ""}
QUIET = {"PYTHONPATH": str(HOOKS), "PYTHONDONTWRITEBYTECODE": "1"}

# Runs a command of ./tao-hf. The audit events are the steps that change something; at one of them it kills itself.
COMMAND = """
import os, signal, sys
from pathlib import Path
from tao_hf import cli
kill_at, log, seen = int(sys.argv[2]), os.environ.get("STEPS"), []

def watch(event, arguments):
    changes = event in ("os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod")
    if changes or event == "subprocess.Popen" and {"fast-import", "update-ref"} & set(arguments[1]):
        path = "" if event == "subprocess.Popen" else os.path.relpath(os.fspath(arguments[0]), sys.argv[1])
        seen.append(f"{event} {path.split(os.sep)[:2]}")
        if len(seen) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
status = cli.main(Path(sys.argv[1]), sys.argv[3:])
if log:
    Path(log).write_text("\\n".join(seen))
sys.exit(status)
"""


def tao_hf(workdir: Path, *arguments: str, kill_at: int = 0, log: Path | None = None) -> subprocess.CompletedProcess:
    """Run ``./tao-hf`` in a process of its own, which may kill itself at one of its steps."""
    environment = {**os.environ, **QUIET, **({"STEPS": str(log)} if log else {})}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, str(workdir), str(kill_at), *arguments],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, env=environment,
    )  # fmt: skip


def remove(workdir: Path, model: str = MODEL) -> str:
    """Remove a model and return what was said."""
    done = tao_hf(workdir, "remove", "--yes", model)
    assert done.returncode == 0, done.stderr
    return done.stdout


def clones(workdir: Path, **more: str) -> Path:
    """Make a working directory with clones of a person's, each on its branch main."""
    workdir.mkdir()
    for name, text in {**trees.SURROUNDINGS, "tao-core/nvidia_tao_core/config/a.py": "", **more}.items():
        write(workdir / name, text.lstrip("\n"))
    write(workdir / "tao-deploy/nvidia_tao_deploy/cv/__init__.py")
    for repo in REPOS:
        write(workdir / repo / ".gitignore", "__pycache__\n")
        commit_all(workdir / repo)
    return workdir


def add(workdir: Path, model: str = MODEL) -> Path:
    """Do what a copy does with a rendered model."""
    names = renderings.classifier_context(model_name=model)
    waiting = staging.incoming(workdir, model)
    for repo in REPOS:
        renderings.render(repo, names, waiting / repo)
    write(waiting / "model.json", json.dumps(names["model_record"]))
    write(workdir / staging.answers_file(model), f"_commit: 1\nbase_branch: main\nbranch_name: {BRANCH}\n")
    branches.create(workdir, REPOS, BRANCH, "main")
    staging.take_in(workdir, model, "copy", "template 1")
    registration.register(workdir, model)
    staging.clear(workdir, model)
    registration.link_answers(workdir)
    return workdir


def state(workdir: Path) -> dict[str, object]:
    """Return every file, link and folder of the clones with its content, and what git says of them."""
    found: dict[str, object] = {}
    for repo in REPOS:
        for top, folders, files in os.walk(workdir / repo):
            folders[:] = [name for name in folders if name != ".git"]
            found |= {str(Path(top, name).relative_to(workdir)): None for name in folders}
            found |= {str(Path(top, name).relative_to(workdir)): Path(top, name).read_bytes() for name in files}
        found[f"{repo} status"] = git(workdir / repo, "status", "--porcelain", "--untracked-files=all", "--ignored")
        found[f"{repo} index"] = git(workdir / repo, "ls-files", "--stage")
        found[f"{repo} refs"] = git(workdir / repo, "for-each-ref")
    return found


def without_branch(found: dict[str, object]) -> dict[str, object]:
    """Return a state without the branches, to which a copy adds one that stays."""
    return {name: value for name, value in found.items() if not name.endswith(" refs")}


def records(workdir: Path) -> dict[str, object]:
    """Return all that the working directory holds besides the clones, with every time taken out."""

    def plain(text: str) -> str:
        return re.sub(r"-\d{8}-\d{6}", "-TIME", text)

    found: dict[str, object] = {}
    for top, folders, files in os.walk(workdir):
        if Path(top) == workdir:
            folders[:] = [name for name in folders if name not in (*REPOS, ".git")]
        for path in (Path(top, name) for name in (*folders, *files)):
            content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else None
            found[plain(str(path.relative_to(workdir)))] = content and plain(content)
    del found[".tao-hf/locks/repositories.lock"]
    refs = git(workdir, "for-each-ref", "--format=%(refname) %(tree) %(contents:subject)")
    return {**found, "ledger": plain(refs)}


def backup(workdir: Path, model: str = MODEL) -> Path:
    """Return the only backup of a model."""
    (found,) = (workdir / ".tao-hf/removed").glob(f"{model}-*")
    return found


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with one model and a git configuration of its own; do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        config = write(tmp_path_factory.mktemp("home") / "gitconfig", "[user]\nname = T\nemail = t@example.org\n")
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        return add(clones(tmp_path_factory.mktemp("pristine") / "w"))


@pytest.fixture
def workdir(pristine: Path, tmp_path: Path, own_git: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(pristine, tmp_path / "w", symlinks=True))


@pytest.fixture
def edited(workdir: Path) -> Path:
    """Return a working directory with work of a person's in it."""
    with (workdir / EDITED).open("a") as file:
        file.write("# mine\n")
    write(workdir / ADDED, "mine\n").chmod(0o600)
    (workdir / UTILS / "link").symlink_to("../model")
    write(workdir / f".tao-hf/{MODEL}/results/train/model.pth", "trained")
    write(workdir / UTILS / "__pycache__/config.cpython-312.pyc")
    write(workdir / f"tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__pycache__/hf_{MODEL}.cpython-312.pyc")
    write(workdir / ".tao-hf/bin/pytorch" / MODEL)
    return workdir


@pytest.mark.parametrize(
    ("own", "model"),
    [
        ({}, MODEL),
        ({"tao-pytorch/pytest.ini": PYTEST_INI}, MODEL),
        *((OWN_TESTS, name) for name in (MODEL, "cv", "config", "cv_unit_test", "model")),
    ],
)
@pytest.mark.usefixtures("own_git")
def test_the_clones_are_as_before_the_copy(tmp_path: Path, own: dict[str, str], model: str) -> None:
    workdir = clones(tmp_path / "w", **own)
    before = state(workdir)
    add(workdir, model)
    assert without_branch(state(workdir)) != without_branch(before)
    remove(workdir, model)
    assert without_branch(state(workdir)) == without_branch(before)
    assert not (workdir / ".copier-answers.yml").is_symlink()
    assert not (workdir / ".tao-hf" / model).exists()
    assert {git(workdir / repo, "branch", "--show-current") for repo in REPOS} == {BRANCH}


@pytest.mark.usefixtures("own_git")
def test_clones_that_are_links(tmp_path: Path) -> None:
    workdir = clones(tmp_path / "w")
    (workdir / "tao-pytorch").rename(tmp_path / "elsewhere")
    (workdir / "tao-pytorch").symlink_to(tmp_path / "elsewhere")
    before = state(workdir)
    write(add(workdir) / UTILS / "mine.py", "1\n")
    remove(workdir)
    assert without_branch(state(workdir)) == without_branch(before)
    assert (backup(workdir) / UTILS / "mine.py").read_text() == "1\n"


@pytest.mark.parametrize("order", [("a_vit", "b_vit"), ("b_vit", "a_vit")])
@pytest.mark.usefixtures("own_git")
def test_two_models_come_and_go(tmp_path: Path, order: tuple[str, str]) -> None:
    first, second = order
    workdir = clones(tmp_path / "w", **{"tao-deploy/pytest.ini": PYTEST_INI})
    before = state(workdir)
    alone = state(add(Path(shutil.copytree(workdir, tmp_path / "alone")), second))
    add(add(workdir, "a_vit"), "b_vit")
    remove(workdir, first)
    left = state(workdir)
    assert {name for name in left if first in name} == set()
    patched = [name for name in alone if name.endswith(("setup.py", "backbone_v2/__init__.py"))]
    assert len(patched) == 3 and {name: left[name] for name in patched} == {name: alone[name] for name in patched}
    assert without_branch(left) == without_branch(alone)
    assert (workdir / ".copier-answers.yml").readlink() == Path(staging.answers_file(second))
    assert "nothing was missing" in tao_hf(workdir, "restore", second).stdout
    remove(workdir, second)
    assert without_branch(state(workdir)) == without_branch(before)


def test_what_a_person_made_is_in_the_backup(edited: Path) -> None:
    text = (edited / EDITED).read_text()
    said = remove(edited)
    kept = backup(edited)
    assert (kept / EDITED).read_text() == text and text.endswith("# mine\n")
    assert (kept / ADDED).read_text() == "mine\n" and (kept / ADDED).stat().st_mode & 0o777 == 0o600
    assert (kept / UTILS / "link").readlink() == Path("../model")
    assert (kept / f".tao-hf/{MODEL}/results/train/model.pth").read_text() == "trained"
    assert (kept / staging.answers_file(MODEL)).is_file()
    of_clones = {path.relative_to(kept).as_posix() for repo in REPOS for path in (kept / repo).rglob("*")}
    assert {path for path in of_clones if not (kept / path).is_dir() or (kept / path).is_symlink()} == {
        EDITED, ADDED, f"{UTILS}/link",
    }, "nothing that the template can make again is kept"  # fmt: skip
    assert not list(edited.glob(f"tao-*/**/*{MODEL}*")) and not list((edited / ".tao-hf").glob(f"*/*/{MODEL}"))
    assert re.search(rf"edited +{EDITED}\n", said) and re.search(rf"added +{ADDED}\n", said)
    assert str(kept.relative_to(edited)) in said
    assert f"stay on {BRANCH}" in said and "switch main" in said
    last = f"refs/tao-hf/removed/{kept.name}"
    assert git(edited, "cat-file", "blob", f"{last}:{EDITED}") == text.strip()
    assert f"{MODEL}: copy, template 1" in git(edited, "log", "--format=%s", last)
    assert git(edited, "for-each-ref", "refs/heads", "--format=%(refname)") == "refs/heads/main"


def test_a_model_of_that_name_can_come_again(edited: Path) -> None:
    remove(edited)
    removed = without_branch(state(edited))
    add(edited)
    text = (edited / EDITED).read_text()
    assert "# mine" not in text and "CONFLICT" not in text
    remove(edited)
    assert without_branch(state(edited)) == removed
    assert len(list((edited / ".tao-hf/removed").iterdir())) == 2


def test_committed_files_are_said_to_be_so(workdir: Path) -> None:
    core = workdir / "tao-core"
    commit_all(core)
    commits = git(core, "rev-parse", "HEAD")
    said = remove(workdir)
    assert re.search(r"tao-core: 3 of the files are committed .* git -C tao-core add --update", said)
    assert "tao-pytorch:" not in said
    assert git(core, "rev-parse", "HEAD") == commits
    rows = git(core, "status", "--porcelain").splitlines()
    assert len(rows) == 3 and all(row.lstrip().startswith("D ") and MODEL in row for row in rows)
    git(core, "add", "--update")
    git(core, "commit", "-q", "-m", "removed")
    assert git(core, "status", "--porcelain") == ""


def test_a_clone_that_is_on_another_branch(workdir: Path) -> None:
    commit_all(workdir / "tao-core")
    git(workdir / "tao-core", "switch", "-q", "main")
    said = remove(workdir)
    assert f"tao-core is not on {BRANCH}; what is committed there stays" in said
    assert "tao-pytorch, tao-deploy stay on" in said
    assert git(workdir / "tao-core", "status", "--porcelain") == ""
    assert git(workdir / "tao-core", "ls-tree", "-r", "--name-only", BRANCH).count(f"{MODEL}/") == 3


def test_missing_files_and_unresolved_conflicts_are_no_obstacle(workdir: Path) -> None:
    shutil.rmtree(workdir / UTILS)
    shutil.rmtree(workdir / f"tao-core/nvidia_tao_core/config/{MODEL}")
    shutil.rmtree(workdir / "tao-deploy")
    conflict = workdir / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/model/utils.py"
    conflict.write_text("<<<<<<< yours\n1\n=======\n2\n>>>>>>> template\n")
    remove(workdir)
    assert (backup(workdir) / conflict.relative_to(workdir)).read_text().startswith("<<<<<<<")
    assert not list(workdir.glob(f"tao-*/**/*{MODEL}*"))


def test_unknown_and_removed_models(workdir: Path) -> None:
    done = tao_hf(workdir, "remove", "--yes", "no_such")
    assert done.returncode == 2 and f"the models here are {MODEL}" in done.stderr
    remove(workdir)
    after = records(workdir)
    again = tao_hf(workdir, "remove", "--yes", MODEL)
    assert again.returncode == 2
    assert f"was removed from {workdir} before" in again.stderr and str(backup(workdir)) in again.stderr
    assert records(workdir) == after
    assert "before" not in tao_hf(workdir, "remove", "--yes", "no_such").stderr


def test_nothing_happens_unasked(edited: Path) -> None:
    before = state(edited)
    done = tao_hf(edited, "remove", MODEL)
    assert done.returncode == 2 and "--yes" in done.stderr and done.stdout == ""
    assert state(edited) == before


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("", 1), ("y", 0)])
def test_a_terminal_is_asked_once(edited: Path, answer: str, status: int) -> None:
    before = state(edited)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", COMMAND, str(edited), "0", "remove", MODEL]
    env = {**os.environ, **QUIET}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        shown = b""
        while b"removed" not in shown:
            shown += os.read(ours, 4096)
        assert process.wait(60) == status
    os.close(ours)
    files = len(json.loads((workdir_of(edited) / "model.json").read_text())["files"]) + 2
    assert f"Remove {MODEL} ({files} files, 3 edited or added by you)? [y/N]" in shown.decode()
    assert (state(edited) == before) == (status == 1)


def workdir_of(workdir: Path) -> Path:
    """Return where the records of the model are, removed or not."""
    home = workdir / ".tao-hf" / MODEL
    return home if home.exists() else backup(workdir) / ".tao-hf" / MODEL


def test_a_clone_in_the_middle_of_a_merge_is_left_alone(edited: Path) -> None:
    (edited / "tao-deploy/.git/MERGE_HEAD").write_text(git(edited / "tao-deploy", "rev-parse", "HEAD") + "\n")
    before = state(edited)
    done = tao_hf(edited, "remove", "--yes", MODEL)
    assert done.returncode == 2 and "in the middle of a merge" in done.stderr
    assert state(edited) == before and not (edited / ".tao-hf/removed").exists()


def test_a_registration_that_cannot_be_taken_out_is_left_alone(edited: Path) -> None:
    setup = edited / "tao-deploy/setup.py"
    setup.write_text(setup.read_text() + "(\n")
    before = state(edited)
    done = tao_hf(edited, "remove", "--yes", MODEL)
    assert done.returncode == 2 and str(setup) in done.stderr
    assert state(edited) == before and not (edited / ".tao-hf/removed").exists()
    setup.write_text(setup.read_text().removesuffix("(\n"))
    assert tao_hf(edited, "restore", MODEL).returncode == 0, "it is not half removed"


def test_without_a_ledger_everything_is_kept(edited: Path) -> None:
    shutil.rmtree(edited / ".git")
    files = json.loads((edited / staging.model_file(MODEL)).read_text())["files"]
    said = remove(edited)
    assert f"all {len(files) + 2} files are in" in said
    assert [name for name in files if not (backup(edited) / name).is_file()] == []
    assert not list(edited.glob(f"tao-*/**/*{MODEL}*"))


def test_a_disk_that_refuses_loses_nothing(edited: Path) -> None:
    place = write(edited / ".tao-hf/removed")
    done = tao_hf(edited, "remove", "--yes", MODEL)
    assert done.returncode == 2 and "run the same command again" in done.stderr
    assert (edited / EDITED).read_text().endswith("# mine\n") and (edited / ADDED).is_file()
    for command in ("restore", "update"):
        refused = tao_hf(edited, command, MODEL)
        assert refused.returncode == 2 and f"./tao-hf remove {MODEL} goes on" in refused.stderr
    place.unlink()
    remove(edited)
    assert (backup(edited) / EDITED).read_text().endswith("# mine\n") and (backup(edited) / ADDED).is_file()


def worth_killing(steps: list[str]) -> list[int]:
    """Return the places of the steps that differ from the one before, and of the last."""
    return sorted({0, len(steps) - 1, *(at for at in range(1, len(steps)) if steps[at] != steps[at - 1])})


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_killed_at_any_step_and_run_again(edited: Path, tmp_path: Path, every: int) -> None:
    undisturbed = Path(shutil.copytree(edited, tmp_path / "undisturbed", symlinks=True))
    done = tao_hf(undisturbed, "remove", "--yes", MODEL, log=tmp_path / "steps")
    assert done.returncode == 0, done.stderr
    expected = state(undisturbed), records(undisturbed)
    rows = (tmp_path / "steps").read_text().splitlines()
    assert len(rows) > 80 and len(worth_killing(rows)) > 25
    assert sum(row.startswith("subprocess.Popen") for row in rows) == 2
    for at in worth_killing(rows)[::every]:
        workdir = Path(shutil.copytree(edited, tmp_path / f"killed-{at}", symlinks=True))
        killed = tao_hf(workdir, "remove", "--yes", MODEL, kill_at=at + 1)
        assert killed.returncode == -9, killed
        for half in workdir.glob(".tao-hf/removed/*/.tao-hf-copying"):
            if not half.is_symlink():
                half.write_text("ha")
        again = tao_hf(workdir, "remove", "--yes", MODEL)
        assert again.returncode == 0 or "was removed from" in again.stderr, (at, rows[at], again.stderr)
        assert (state(workdir), records(workdir)) == expected, (at, rows[at])
        shutil.rmtree(workdir)


def test_work_between_a_kill_and_the_next_command_is_kept(edited: Path) -> None:
    at = 0
    while not list(edited.glob(f".tao-hf/removed/*/{EDITED}")):
        at += 1
        tao_hf(edited, "remove", "--yes", MODEL, kill_at=at + 3)
        assert at < 200
    older = (backup(edited) / EDITED).read_text()
    write(edited / EDITED, "written anew\n")
    remove(edited)
    assert (backup(edited) / EDITED).read_text() == older
    assert (backup(edited) / f"{EDITED}.later").read_text() == "written anew\n"


@pytest.mark.runtime
def test_a_real_copy_comes_and_goes(own_copy: Path, tiny_vit: Path) -> None:
    """Embedded repositories, whose status was empty before the copy; the other model stays whole."""
    second = copier_copy(own_copy, tiny_vit, model_name="second_vit")
    assert second.returncode == 0, second.stdout
    remove(own_copy)
    left = [git(own_copy / repo, "status", "--porcelain", "--untracked-files=all") for repo in REPOS]
    assert MODEL not in "".join(left) and all("second_vit" in rows for rows in left)
    checked = subprocess.run(["./tao-hf", "check", "second_vit"], cwd=own_copy, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    remove(own_copy, "second_vit")
    assert [git(own_copy / repo, "status", "--porcelain", "--untracked-files=all") for repo in REPOS] == ["", "", ""]
    again = copier_copy(own_copy, tiny_vit, model_name=MODEL)
    assert again.returncode == 0, again.stdout
