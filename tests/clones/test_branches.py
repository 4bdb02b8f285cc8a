"""One branch in all clones: refused in time, all or none, and no change lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tao_hf.base import git as git_command
from tao_hf.base.errors import UserError
from tao_hf.clones import branches, patches
from tests.support.clones import commit_all, fill, git, write

NAMES = ("tao-core", "tao-pytorch", "tao-deploy")
BRANCH = "feature/add-mine"
pytestmark = pytest.mark.usefixtures("own_git")


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Give a working directory with three clones, each with an upstream, standing on main."""
    for name in NAMES:
        work = tmp_path / "work" / name
        commit_all(fill(work, name))
        git(work, "branch", "develop")
        git(tmp_path, "clone", "-q", "--bare", str(work), f"remote-{name}")
        (tmp_path / "w").mkdir(exist_ok=True)
        git(tmp_path / "w", "clone", "-q", str(tmp_path / f"remote-{name}"), name)
    return tmp_path / "w"


def current(workdir: Path) -> list[str]:
    """Return the branch each clone is on."""
    return [git(workdir / name, "branch", "--show-current") for name in NAMES]


def advance(workdir: Path, name: str) -> str:
    """Add a commit to a clone's upstream and return it."""
    other = workdir.parent / f"other-{name}"
    git(workdir.parent, "clone", "-q", str(workdir.parent / f"remote-{name}"), other.name)
    write(other / "news.txt")
    commit = commit_all(other)
    git(other, "push", "-q")
    return commit


# --- creating ---------------------------------------------------------------------------------------


def test_the_same_branch_in_all(workdir: Path) -> None:
    """All clones are on it, it starts from the base, and it is no remote's."""
    branches.check(workdir, BRANCH, "main")
    assert branches.create(workdir, NAMES, BRANCH, "main") == []
    assert current(workdir) == [BRANCH] * 3
    for name in NAMES:
        clone = workdir / name
        assert git(clone, "rev-parse", BRANCH) == git(clone, "rev-parse", "main")
        assert BRANCH not in git(clone, "ls-remote", "origin")
        assert git(clone, "for-each-ref", "--format=%(upstream)", f"refs/heads/{BRANCH}") == ""


def test_twice_changes_nothing(workdir: Path) -> None:
    """A clone that is on the branch is left alone, whatever has been changed in it."""
    branches.create(workdir, NAMES, BRANCH, "main")
    write(workdir / "tao-core/nvidia_tao_core/__init__.py", "# my change\n")
    before = git(workdir / "tao-core", "status", "--porcelain")
    branches.check(workdir, BRANCH, "main")
    assert branches.create(workdir, NAMES, BRANCH, "main") == []
    assert git(workdir / "tao-core", "status", "--porcelain") == before != ""


def test_an_existing_branch_is_switched_to(workdir: Path) -> None:
    """Its commits stay, and the base is not looked at."""
    git(workdir / "tao-core", "switch", "-q", "-c", BRANCH)
    write(workdir / "tao-core/mine.txt")
    commit = commit_all(workdir / "tao-core")
    git(workdir / "tao-core", "switch", "-q", "main")
    branches.create(workdir, NAMES, BRANCH, "main")
    assert current(workdir) == [BRANCH] * 3
    assert git(workdir / "tao-core", "rev-parse", "HEAD") == commit


def test_untracked_files_come_along(workdir: Path) -> None:
    """Rendered files do not stand in the way of a switch."""
    write(workdir / "tao-core/nvidia_tao_core/config/mine/__init__.py", "x")
    branches.check(workdir, BRANCH, "main")
    branches.create(workdir, NAMES, BRANCH, "main")
    assert (workdir / "tao-core/nvidia_tao_core/config/mine/__init__.py").read_text() == "x"


def test_another_base(workdir: Path) -> None:
    """A branch that only the remote has is a base too; from there the new branch starts."""
    for name in NAMES:
        assert "develop" not in git(workdir / name, "branch")
    write(workdir.parent / "work/tao-core/dev.txt")
    branches.check(workdir, BRANCH, "develop")
    branches.create(workdir, NAMES, BRANCH, "develop")
    assert git(workdir / "tao-core", "rev-parse", "HEAD") == git(workdir / "tao-core", "rev-parse", "origin/develop")
    assert git(workdir / "tao-core", "for-each-ref", "--format=%(upstream)", f"refs/heads/{BRANCH}") == ""


def test_a_base_that_is_missing_names_those_that_exist(workdir: Path) -> None:
    """Both before writing and when creating."""
    for call in (
        lambda: branches.check(workdir, BRANCH, "nope"),
        lambda: branches.create(workdir, NAMES, BRANCH, "nope"),
    ):
        with pytest.raises(UserError, match=r"tao-core has no branch nope; .*develop, main"):
            call()
    assert current(workdir) == ["main"] * 3


# --- bringing the base forward ----------------------------------------------------------------------


def test_a_clean_base_is_fast_forwarded(workdir: Path) -> None:
    """The new branch holds what the upstream holds."""
    commit = advance(workdir, "tao-core")
    assert branches.create(workdir, NAMES, BRANCH, "main") == []
    assert git(workdir / "tao-core", "rev-parse", BRANCH) == commit


def test_offline_is_a_note(workdir: Path) -> None:
    """Without its remote a clone is used as it is, and that is said."""
    shutil.rmtree(workdir.parent / "remote-tao-core")
    notes = branches.create(workdir, NAMES, BRANCH, "main")
    assert current(workdir) == [BRANCH] * 3
    assert len(notes) == 1
    assert "tao-core: main could not be brought up to date" in notes[0]


def test_a_diverged_base_is_a_note_and_keeps_its_commits(workdir: Path) -> None:
    """Only fast-forward: local commits are neither merged nor lost."""
    advance(workdir, "tao-core")
    write(workdir / "tao-core/mine.txt")
    commit = commit_all(workdir / "tao-core")
    notes = branches.create(workdir, NAMES, BRANCH, "main")
    assert len(notes) == 1
    assert git(workdir / "tao-core", "rev-parse", BRANCH) == commit


def test_a_clone_with_our_patches_is_not_pulled(workdir: Path) -> None:
    """Never a pull into changed files, also when the changes are ours."""
    advance(workdir, "tao-pytorch")
    head = git(workdir / "tao-pytorch", "rev-parse", "HEAD")
    write(workdir / ".tao-hf/old/model.json", '{"backbone": {"module": "hf_old", "names": ["old"]}}')
    patches.apply(workdir, "old", "hf_old", ["old"])
    changed = (workdir / "tao-pytorch/setup.py").read_bytes()
    branches.check(workdir, BRANCH, "main")
    branches.create(workdir, NAMES, BRANCH, "main")
    assert git(workdir / "tao-pytorch", "rev-parse", "HEAD") == head
    assert (workdir / "tao-pytorch/setup.py").read_bytes() == changed


def test_another_branch_is_not_pulled(workdir: Path) -> None:
    """Only the base the clone stands on is brought forward."""
    advance(workdir, "tao-core")
    git(workdir / "tao-core", "switch", "-q", "-c", "elsewhere")
    head = git(workdir / "tao-core", "rev-parse", "main")
    branches.create(workdir, NAMES, BRANCH, "main")
    assert git(workdir / "tao-core", "rev-parse", "main") == head


# --- detached -----------------------------------------------------------------------------------------


def test_a_release_tag_is_its_own_base(workdir: Path) -> None:
    """A clone fresh at a tag stays at that release, although it has a main branch."""
    clone = workdir / "tao-core"
    git(clone, "tag", "7.0.1")
    write(clone / "later.txt")
    commit_all(clone)
    git(clone, "switch", "-q", "--detach", "7.0.1")
    branches.check(workdir, BRANCH, "main")
    branches.create(workdir, NAMES, BRANCH, "main")
    assert git(clone, "rev-parse", BRANCH) == git(clone, "rev-parse", "7.0.1")


def test_commits_on_no_branch_are_not_left_behind(workdir: Path) -> None:
    """The new branch starts from them; an existing branch would lose them, so that is refused."""
    clone = workdir / "tao-core"
    git(clone, "switch", "-q", "--detach")
    write(clone / "mine.txt")
    commit = commit_all(clone)
    git(clone, "branch", BRANCH, "main")
    with pytest.raises(UserError, match="no branch holds"):
        branches.check(workdir, BRANCH, "main")
    git(clone, "branch", "-D", BRANCH)
    branches.create(workdir, NAMES, BRANCH, "main")
    assert git(clone, "rev-parse", BRANCH) == commit


# --- refused in time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "a b", "-x", "a..b", "x.lock", "/x", "x/", "@", "HEAD", "a~1", "a^", "@{-1}", "a\nb", "a\\b", "a\0"],
)
def test_names_that_git_does_not_take(workdir: Path, name: str) -> None:
    """One sentence, and nothing is switched."""
    with pytest.raises(UserError, match="no name that git takes"):
        branches.check(workdir, name, "main")
    with pytest.raises(UserError, match="no name that git takes"):
        branches.create(workdir, NAMES, name, "main")
    assert current(workdir) == ["main"] * 3


def test_a_name_beside_which_git_cannot_store_ours(workdir: Path) -> None:
    """``feature`` and ``feature/add-mine`` exclude each other."""
    git(workdir / "tao-deploy", "branch", "feature")
    with pytest.raises(UserError, match="has a branch feature"):
        branches.check(workdir, BRANCH, "main")


@pytest.mark.parametrize("staged", [False, True])
def test_a_dirty_clone_is_named_with_its_files(workdir: Path, staged: bool) -> None:
    """Only tracked files count; nothing is lost or switched."""
    file = write(workdir / "tao-deploy/setup.py", "# my change\n")
    if staged:
        git(workdir / "tao-deploy", "add", "-A")
    for call in (
        lambda: branches.check(workdir, BRANCH, "main"),
        lambda: branches.create(workdir, NAMES, BRANCH, "main"),
    ):
        with pytest.raises(UserError, match=r"tao-deploy has uncommitted changes \(setup.py\)"):
            call()
    assert file.read_text() == "# my change\n"
    assert current(workdir) == ["main"] * 3


def test_our_patches_and_their_changes_in_one_file(workdir: Path) -> None:
    """A patched file counts as changed as soon as a person changes it too."""
    write(workdir / ".tao-hf/old/model.json", "{}")
    patches.apply(workdir, "old")
    branches.check(workdir, BRANCH, "main")
    setup = workdir / "tao-pytorch/setup.py"
    setup.write_text(setup.read_text() + "# mine\n")
    with pytest.raises(UserError, match=r"\(setup.py\)"):
        branches.check(workdir, BRANCH, "main")


def test_a_deleted_file_is_a_change(workdir: Path) -> None:
    """Deleting is a change of theirs as well."""
    (workdir / "tao-pytorch/setup.py").unlink()
    with pytest.raises(UserError, match="uncommitted changes"):
        branches.check(workdir, BRANCH, "main")


@pytest.mark.parametrize("folder", ["", ".git", "nvidia_tao_core"])
def test_a_read_only_clone(workdir: Path, folder: str) -> None:
    """Refused for root too, whom the kernel would let write."""
    path = workdir / "tao-core" / folder
    path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="read-only"):
            branches.check(workdir, BRANCH, "main")
    finally:
        path.chmod(0o755)


def test_an_unfinished_merge(workdir: Path) -> None:
    """Nothing is done in the middle of one."""
    clone = workdir / "tao-core"
    git(clone, "switch", "-q", "-c", "other")
    write(clone / "a.txt", "1")
    commit_all(clone)
    git(clone, "switch", "-q", "main")
    git(clone, "merge", "-q", "--no-commit", "--no-ff", "other")
    with pytest.raises(UserError, match="in the middle of a merge"):
        branches.check(workdir, BRANCH, "main")


def test_clones_that_are_not_there_yet_are_no_concern(tmp_path: Path) -> None:
    """The check runs before anything is placed."""
    branches.check(tmp_path / "nothing", BRANCH, "main")


# --- all or none --------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["main", "detached"])
def test_when_one_clone_fails_the_others_go_back(workdir: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """Branches made on the way are removed, existing ones kept, changes kept."""
    git(workdir / "tao-pytorch", "branch", BRANCH)
    if start == "detached":
        git(workdir / "tao-core", "switch", "-q", "--detach")
    write(workdir / "tao-core/untracked.txt", "mine")
    heads = [git(workdir / name, "rev-parse", "HEAD") for name in NAMES]
    before = current(workdir)
    real = git_command.run

    def failing(*args: str, **kwargs: object) -> bytes:
        if args[0] == "switch" and str(kwargs["cwd"]).endswith("tao-deploy"):
            raise git_command.GitError(args, "no luck")
        return real(*args, **kwargs)

    monkeypatch.setattr(git_command, "run", failing)
    with pytest.raises(UserError, match=r"could not switch tao-deploy .*no luck"):
        branches.create(workdir, NAMES, BRANCH, "main")
    assert current(workdir) == before
    assert [git(workdir / name, "rev-parse", "HEAD") for name in NAMES] == heads
    assert BRANCH not in git(workdir / "tao-core", "branch")
    assert BRANCH in git(workdir / "tao-pytorch", "branch")
    assert (workdir / "tao-core/untracked.txt").read_text() == "mine"


def test_an_untracked_file_in_the_way_is_never_overwritten(workdir: Path) -> None:
    """Git refuses the switch; everything is as it was."""
    git(workdir / "tao-deploy", "switch", "-q", "-c", BRANCH)
    write(workdir / "tao-deploy/notes.txt", "theirs")
    commit_all(workdir / "tao-deploy")
    git(workdir / "tao-deploy", "switch", "-q", "main")
    write(workdir / "tao-deploy/notes.txt", "mine")
    with pytest.raises(UserError, match="could not switch tao-deploy"):
        branches.create(workdir, NAMES, BRANCH, "main")
    assert (workdir / "tao-deploy/notes.txt").read_text() == "mine"
    assert current(workdir) == ["main"] * 3
    assert BRANCH not in git(workdir / "tao-core", "branch")


# --- the name to propose ------------------------------------------------------------------------------


def test_default_branch(tmp_path: Path) -> None:
    """Named after the model, else the branch of the model's own or the newest other record."""
    assert branches.default_branch(tmp_path, "vit_base_p16") == "feature/add-vit-base-p16"
    write(tmp_path / ".tao-hf/one/answers.yml", "model_name: one\nbranch_name: feature/one\nx: 1\n")
    assert branches.default_branch(tmp_path, "two") == "feature/one"
    write(tmp_path / ".tao-hf/two/answers.yml", "branch_name: 'it''s'\n")
    assert branches.default_branch(tmp_path, "two") == "it's"
    write(tmp_path / ".tao-hf/three/answers.yml", 'branch_name: "caf\\u00e9"\n')
    assert branches.default_branch(tmp_path, "three") == "café"
    write(tmp_path / ".tao-hf/four/answers.yml", "branch_name: null\n")
    write(tmp_path / ".tao-hf/five/answers.yml", 'branch_name: "broken\n')
    assert branches.default_branch(tmp_path, "three") == "café"
