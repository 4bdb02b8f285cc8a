"""`copier update`, `./tao-hf update` and `./tao-hf restore` as a person uses them, between real versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.copies import MODEL
from tests.support.template_versions import COPIER, Template, run, tao_hf, update

pytestmark = pytest.mark.runtime

OPT = "tao-pytorch/nvidia_tao_pytorch/cv/MODEL/utils/optimization.py"
EXTRA = "tao-core/nvidia_tao_core/config/MODEL/extra.py"
NOTES = "tao-deploy/nvidia_tao_deploy/cv/MODEL/utils/notes.py"
CONFIG = "tao-core/nvidia_tao_core/config/MODEL/default_config.py"
HEADS = "tao-pytorch/nvidia_tao_pytorch/cv/MODEL/scripts/train.py"
REPOS = ("tao-core", "tao-pytorch", "tao-deploy")
OLD = "0.1.1"
IDENTITY = ("-c", "user.name=P", "-c", "user.email=p@example.org")
# What the hooks of the test's template do first: tell that they ran, and wait while they are told to.
TOLD = """
import os, pathlib, time
if os.environ.get("TEST_COUNT"):
    with open(os.environ["TEST_COUNT"], "a") as file:
        file.write(pathlib.Path(__file__).stem + "\\n")
if os.environ.get("TEST_HOLD"):
    pathlib.Path(os.environ["TEST_HOLD"] + ".reached").touch()
    while os.path.exists(os.environ["TEST_HOLD"]):
        time.sleep(0.05)
"""
NO_NETWORK = """
import os, socket
real = socket.socket.connect
def connect(self, address):
    if self.family != socket.AF_UNIX:
        with open(os.environ["TEST_CALLS"], "a") as file:
            file.write(f"connect {address}\\n")
        raise OSError("no network in this test")
    return real(self, address)
socket.socket.connect = connect
"""


def place(workdir: Path, name: str) -> Path:
    """Return a generated file, with ``MODEL`` in its name for the model."""
    return workdir / name.replace("MODEL", MODEL)


def text(workdir: Path, name: str) -> str:
    return place(workdir, name).read_text(encoding="utf-8")


def edit_start(workdir: Path, name: str = OPT, line: str = "# mine") -> None:
    """Write a line of a person's above a file."""
    place(workdir, name).write_text(f"{line}\n{text(workdir, name)}", encoding="utf-8")


def edit_end(workdir: Path, name: str = OPT, line: str = "# mine") -> None:
    """Write a line of a person's below a file, which is where version 0.2.0 adds one too."""
    place(workdir, name).write_text(f"{text(workdir, name)}{line}\n", encoding="utf-8")


def answers(workdir: Path, model: str = MODEL) -> dict:
    return yaml.safe_load((workdir / f".tao-hf/{model}/answers.yml").read_bytes())


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def everything(workdir: Path) -> dict[str, bytes | str]:
    """Return all there is, clones and ledger included; not locks, caches, and what git keeps of a look at its index."""
    found: dict[str, bytes | str] = {}
    for path in sorted(workdir.rglob("*")):
        name = path.relative_to(workdir).as_posix()
        if name.startswith(".tao-hf/locks/") or "__pycache__" in path.parts or name == ".git/index":
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert that a command was refused in a sentence with these words."""
    assert done.returncode > (0 if "copier" in done.args else 1), done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    for word in words:
        assert word in done.stdout, done.stdout
    told = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith(("  · ", "  ✗ "))]
    assert len([line for line in told if " > Running task" not in line and "Updating to" not in line]) == 1, done.stdout


def second_version(new: Template) -> None:
    """What 0.2.0 changes: a line below a file, a new file, and one file less."""
    new.append(OPT, "# from the template\n")
    new.add(EXTRA, "VALUE = 1\n\n\n\nEND = 2\n")
    new.drop(NOTES)


@pytest.fixture(scope="module")
def released(first_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Return a template with the versions `OLD` and 0.2.0, whose hooks tell that they ran; do not change it."""
    new = Template.of(first_template, tmp_path_factory.mktemp("released") / "template")

    def tell(template: Template) -> None:
        template.add(NOTES)
        for name in ("post_copy.py", "post_update.py"):
            path = template.path / "hooks" / name
            head, _, rest = path.read_text(encoding="utf-8").partition("\nimport sys\n")
            path.write_text(f"{head}\n{TOLD}\nimport sys\n{rest}", encoding="utf-8")

    new.release(tell, OLD)
    new.release(second_version)
    return new


@pytest.fixture(scope="module")
def pristine(released: Template, tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with one model at version `OLD`; its Hugging Face model is gone; do not change it."""
    folder = tmp_path_factory.mktemp("pristine")
    model = Path(shutil.copytree(tiny_vit, folder / "tiny-vit"))
    done = released.copy(folder / "workdir", model, OLD, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    shutil.rmtree(model)
    return folder / "workdir"


@pytest.fixture
def workdir(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy of `pristine` that a test may change, in another place than it was made in."""
    return Path(shutil.copytree(pristine, tmp_path / "workdir", symlinks=True))


@pytest.fixture(scope="module")
def two(released: Template, pristine: Path, tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with two models at `OLD`, `MODEL` and second_vit; do not change it."""
    there = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("two") / "workdir", symlinks=True))
    done = released.copy(there, tiny_vit, OLD, model_name="second_vit")
    assert done.returncode == 0, done.stdout
    return there


# --- what an update makes of files --------------------------------------------------------------------


def test_update_merges_and_can_be_undone_and_redone(workdir: Path, released: Template, tmp_path: Path) -> None:
    edit_start(workdir)
    place(workdir, HEADS).unlink()
    edit_end(workdir, NOTES)
    edit_start(workdir, CONFIG, "# mine, where the template has nothing new")
    before = everything(workdir)
    clones = {name: content for name, content in before.items() if "/.git/" in name}
    count = tmp_path / "count"

    done = update(workdir, env={"TEST_COUNT": str(count)})
    assert done.returncode == 0, done.stdout
    assert count.read_text(encoding="utf-8") == "post_update\n", "no task or migration runs in temporary renderings"
    merged = text(workdir, OPT)
    assert merged.startswith("# mine\n") and merged.endswith("# from the template\n")
    assert not place(workdir, HEADS).exists(), "deleted stays deleted"
    assert text(workdir, NOTES).endswith("# mine\n"), "dropped by the template but edited"
    assert "kept because you edited it" in done.stdout and "notes.py" in done.stdout
    assert text(workdir, CONFIG).startswith("# mine, where")
    assert text(workdir, EXTRA).startswith("VALUE = 1\n")
    assert answers(workdir)["_commit"] == released.versions[-1]
    assert not (workdir / f".tao-hf/{MODEL}/incoming").exists()
    after = everything(workdir)
    assert {name: content for name, content in after.items() if "/.git/" in name} == clones, "clones' git is no concern"
    assert git(workdir, "status", "--porcelain") == "", "the ledger is clean"

    def files(of: dict) -> dict:
        return {name: data for name, data in of.items() if name.startswith("tao-") or name.endswith("answers.yml")}

    undone = tao_hf(workdir, "update", "--undo")
    assert undone.returncode == 0, undone.stdout
    assert files(everything(workdir)) == files(before)
    refused(tao_hf(workdir, "update", "--undo"), "no update")
    edit_start(workdir, OPT, "# after the undo")
    again = tao_hf(workdir, "update")
    assert again.returncode == 0, again.stdout
    assert text(workdir, OPT) == f"# after the undo\n{merged}"
    assert text(workdir, EXTRA).startswith("VALUE = 1\n") and not place(workdir, HEADS).exists()


def test_an_unedited_model_becomes_what_a_new_copy_is(
    workdir: Path, pristine: Path, released: Template, tiny_vit: Path, tmp_path: Path
) -> None:
    done = update(workdir, "--quiet")
    assert done.returncode == 0, done.stdout
    assert not place(workdir, NOTES).exists(), "dropped by the template and not edited"
    model = Path(shutil.copytree(tiny_vit, pristine.parent / "tiny-vit"))  # where it was when `pristine` was made
    fresh = released.copy(tmp_path / "fresh", model, "0.2.0", model_name=MODEL)
    shutil.rmtree(model)
    assert fresh.returncode == 0, fresh.stdout

    def files(folder: Path) -> dict:
        return {name: content for name, content in everything(folder).items()
                if name.startswith("tao-") and "/.git/" not in name}  # fmt: skip

    assert files(workdir) == files(tmp_path / "fresh")


def test_both_changed_the_same_place(workdir: Path) -> None:
    edit_end(workdir)
    before = text(workdir, OPT)
    done = tao_hf(workdir, "update")
    assert done.returncode == 1, done.stdout
    conflict = text(workdir, OPT)
    assert "<<<<<<< your version\n# mine\n" in conflict and "# from the template\n>>>>>>> template 0.2.0" in conflict
    assert "CONFLICT" in done.stdout
    there = everything(workdir)
    refused(tao_hf(workdir, "update"), "conflict", "--undo")
    refused(update(workdir, "--data", "num_labels=12"), "conflict", "optimization.py")
    assert everything(workdir) == there
    resolved = workdir.with_name("resolved")
    shutil.copytree(workdir, resolved, symlinks=True)
    assert tao_hf(workdir, "update", "--undo").returncode == 0
    assert text(workdir, OPT) == before
    place(resolved, OPT).write_text("# from me and the template\n", encoding="utf-8")
    done = tao_hf(resolved, "update", "--data", "num_labels=12")
    assert done.returncode == 0, done.stdout
    assert text(resolved, OPT) == "# from me and the template\n"


def test_a_new_file_is_adopted(workdir: Path, released: Template, tmp_path: Path) -> None:
    newer = Template.of(released, tmp_path / "template")
    newer.release(lambda new: new.replace(EXTRA, "END = 2", "END = 3"), "0.3.0")
    for record in workdir.glob(".tao-hf/*/answers.yml"):
        record.write_text(record.read_text(encoding="utf-8").replace(str(released.path), str(newer.path)))
    # The ledger knows another source; that is of no effect on what is rendered.
    first = tao_hf(workdir, "update", "--to", "0.2.0")
    assert first.returncode == 0, first.stdout
    edit_start(workdir, EXTRA)
    done = tao_hf(workdir, "update")
    assert done.returncode == 0, done.stdout
    assert text(workdir, EXTRA) == "# mine\nVALUE = 1\n\n\n\nEND = 3\n"
    there = everything(workdir)
    refused(tao_hf(workdir, "update", "--to", "0.2.0"), "downgrad")
    assert everything(workdir) == there


def test_changed_answers_are_rendered_and_recorded(workdir: Path) -> None:
    edit_start(workdir, CONFIG)
    done = update(workdir, "--data", "num_labels=12", "--data", "image_size=[32, 48]")
    assert done.returncode == 0, done.stdout
    now = answers(workdir)
    assert (now["num_labels"], now["image_size"]) == (12, [32, 48])
    config = text(workdir, CONFIG)
    assert config.startswith("# mine\n") and "12" in config
    assert tao_hf(workdir, "update").returncode == 0
    assert answers(workdir)["num_labels"] == 12, "a later update keeps it"


@pytest.mark.parametrize(
    "how",
    ["committed", "linked", *(pytest.param(how, marks=pytest.mark.exhaustive) for how in ("uncommitted", "staged"))],
)
def test_edits_merge_wherever_git_has_them(workdir: Path, tmp_path: Path, how: str) -> None:
    edit_start(workdir)
    clone = workdir / "tao-pytorch"
    if how in ("staged", "committed"):
        git(clone, "add", "-A")
    if how == "committed":
        git(clone, "commit", "-qm", "mine")
    if how == "linked":
        clone.rename(tmp_path / "elsewhere")
        clone.symlink_to(tmp_path / "elsewhere")
    index = (clone / ".git/index").read_bytes()
    done = update(workdir)
    assert done.returncode == 0, done.stdout
    merged = text(workdir, OPT)
    assert merged.startswith("# mine\n") and merged.endswith("# from the template\n")
    assert (clone / ".git/index").read_bytes() == index
    assert clone.is_symlink() == (how == "linked")


# --- several models -----------------------------------------------------------------------------------


def test_with_several_models_one_is_named(two: Path, tmp_path: Path) -> None:
    workdir = Path(shutil.copytree(two, tmp_path / "workdir", symlinks=True))
    there = everything(workdir)
    refused(update(workdir), "-a .tao-hf/MODEL/answers.yml", MODEL, "second_vit")
    refused(tao_hf(workdir, "update"), MODEL, "second_vit")
    assert everything(workdir) == there
    done = update(workdir, "-a", ".tao-hf/second_vit/answers.yml")
    assert done.returncode == 0, done.stdout
    assert answers(workdir, "second_vit")["_commit"] == "0.2.0" and answers(workdir)["_commit"] == OLD
    assert "# from the template" not in text(workdir, OPT)
    done = tao_hf(workdir, "update", "--all")
    assert done.returncode == 0, done.stdout
    assert answers(workdir)["_commit"] == "0.2.0" and "# from the template" in text(workdir, OPT)


# --- what is refused ----------------------------------------------------------------------------------


def test_answers_that_cannot_change_are_refused_and_nothing_happens(workdir: Path) -> None:
    edit_start(workdir)
    there = everything(workdir)
    for given, *words in (
        ("model_name=other_vit", "cannot be renamed", "copier copy", f"./tao-hf remove {MODEL}"),
        ("hf_model_id=acme/other", "hf_model_id", "does not inspect"),
        ("tao_version=8.0.0", "tao_version", "settled by copier copy"),
        ("branch_name=other", "branch_name", "git"),
        ("runtime=docker", "runtime", "settled"),
        ("num_labels=banana", "num_labels", "banana"),
        ("num_labels=1", "num_labels", "at least 2"),
        ("num_labels=true", "num_labels"),
        ("image_size=33", "multiple of the model's patch size"),
        ("image_size=[32, 32, 32]", "image_size"),
        ("image_size=-8", "image_size"),
        ("image_size=tall", "one number, or [height, width]"),
        ("image_size=0x20", "one number, or [height, width]"),
        ("strategy=magic", "strategy"),
        ("strategy=timm", "strategy=timm was not proven for this model", "copier copy"),
        ("num_label=12", "num_label", "num_labels"),
    ):
        refused(update(workdir, "--data", given), *words)
        assert everything(workdir) == there, given
    refused(tao_hf(workdir, "update", "--data", "num_labels=banana"), "tao-hf: ", "banana")
    refused(tao_hf(workdir, "update", "--data", "banana"))
    refused(tao_hf(workdir, "update", "--to", "9.9.9"), "9.9.9")
    refused(tao_hf(workdir, "update", "no_such_model"), "no_such_model", MODEL)
    assert everything(workdir) == there


def _list(_: str) -> str:
    return "- a\n- list\n"


def _line(name: str, value: str) -> Callable[[str], str]:
    def change(content: str) -> str:
        lines = [f"{name}: {value}" if line.startswith(f"{name}:") else line for line in content.splitlines()]
        assert lines != content.splitlines()
        return "\n".join(lines) + "\n"

    return change


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda content: content + "\n}{: [\n", "answers"),
        (_list, "answers"),
        (_line("num_labels", "many"), "num_labels"),
        (_line("hf_model_id", "acme/other"), "hf_model_id"),
        (_line("model_name", "other"), "renamed"),
        (_line("_commit", "0.2.0"), "_commit"),
        (lambda content: content.replace("model_type: vit", "model_type: bert"), "findings"),
        (None, "answers"),
    ],
    ids=["broken", "list", "type", "hf_model_id", "model_name", "_commit", "findings", "missing"],
)
def test_nonsense_in_the_answers_file(workdir: Path, damage: Callable[[str], str] | None, word: str) -> None:
    """Refused in a sentence; `./tao-hf restore` leads back, and the edit is there after the update."""
    edit_start(workdir)
    record = workdir / f".tao-hf/{MODEL}/answers.yml"
    if damage:
        content = record.read_text(encoding="utf-8")
        assert damage(content) != content
        record.write_text(damage(content), encoding="utf-8")
    else:
        record.unlink()
    there = everything(workdir)
    done = tao_hf(workdir, "update")
    refused(done, word)
    plain = update(workdir)
    assert plain.returncode != 0 and "# from the template" not in text(workdir, OPT)
    assert everything(workdir) == there
    restored = tao_hf(workdir, "restore", MODEL)
    assert restored.returncode == 0, restored.stdout
    done = update(workdir)
    assert done.returncode == 0, done.stdout
    assert text(workdir, OPT).startswith("# mine\n") and answers(workdir)["_commit"] == "0.2.0"


def test_something_staged_in_the_ledger(workdir: Path) -> None:
    (workdir / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(workdir, "add", "-f", "mine.txt")
    there = everything(workdir)
    refused(tao_hf(workdir, "update"), "mine.txt", "git")
    assert update(workdir).returncode != 0
    assert everything(workdir) == there
    git(workdir, "rm", "-q", "--cached", "mine.txt")
    assert update(workdir).returncode == 0
    assert (workdir / "mine.txt").read_text(encoding="utf-8") == "mine\n"


def test_a_ledger_that_was_deleted(workdir: Path) -> None:
    edit_start(workdir)
    shutil.rmtree(workdir / ".git")
    there = everything(workdir)
    plain = update(workdir)
    assert plain.returncode != 0 and "Traceback" not in plain.stdout, plain.stdout
    assert everything(workdir) == there
    done = tao_hf(workdir, "update")
    assert done.returncode == 0, done.stdout
    merged = text(workdir, OPT)
    assert merged.startswith("# mine\n") and merged.endswith("# from the template\n")
    assert tao_hf(workdir, "update", "--undo").returncode == 0
    assert "# from the template" not in text(workdir, OPT)


def test_two_updates_at_once(workdir: Path, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    first = subprocess.Popen(
        [*COPIER, "update", "--trust", "--defaults"], cwd=workdir, env={**os.environ, "TEST_HOLD": str(hold)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        reached, end = Path(f"{hold}.reached"), time.monotonic() + 120
        while not reached.exists():
            assert first.poll() is None and time.monotonic() < end, "the first update does not get there"
            time.sleep(0.05)
        there = everything(workdir)
        refused(tao_hf(workdir, "update"), "Another command", str(first.pid))
        refused(update(workdir), "Another command")
        assert everything(workdir) == there
    finally:
        hold.unlink()
        told, _ = first.communicate(timeout=120)
    assert first.returncode == 0, told
    assert text(workdir, OPT).endswith("# from the template\n")


# --- what an update does without ----------------------------------------------------------------------


def test_an_update_needs_no_network_no_container_and_no_model(workdir: Path, tmp_path: Path) -> None:
    """The Hugging Face model is gone, the cache is empty, and whoever is asked is recorded."""
    calls, fakes, guard = tmp_path / "calls", tmp_path / "fakes", tmp_path / "guard"
    fakes.mkdir()
    guard.mkdir()
    for name in ("docker", "podman", "curl", "nvidia-smi", "pip", "uv"):
        (fakes / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$TEST_CALLS"\nexit 1\n', encoding="utf-8")
        (fakes / name).chmod(0o755)
    (guard / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    dead = "http://127.0.0.1:9"
    env = {
        "PATH": f"{fakes}:{os.environ['PATH']}", "PYTHONPATH": str(guard), "TEST_CALLS": str(calls),
        "TAO_HF_CACHE": str(tmp_path / "cache"), "TAO_HF_PYTHON": "/nonexistent/python",
        "http_proxy": dead, "https_proxy": dead, "HTTP_PROXY": dead, "HTTPS_PROXY": dead,
    }  # fmt: skip
    probe = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError as e: print(e)"
    assert "no network in this test" in run([sys.executable, "-c", probe], env=env).stdout
    assert run(["docker", "info"], env=env).returncode == 1
    assert len(calls.read_text(encoding="utf-8").splitlines()) == 2, "the guards work"
    calls.unlink()
    done = update(workdir, "--data", "num_labels=12", env=env)
    assert done.returncode == 0, done.stdout
    done = tao_hf(workdir, "update", "--undo", env=env)
    assert done.returncode == 0, done.stdout
    assert not calls.exists(), calls.read_text(encoding="utf-8")
    assert not (tmp_path / "cache").exists()


# --- what people do in the clones ---------------------------------------------------------------------


def _committed(clone: Path) -> None:
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "the model")


def _stash(clone: Path) -> None:
    git(clone, "stash", "-u", "-q")


def _pop(clone: Path) -> None:
    git(clone, "stash", "pop", "-q")


def _other_branch(clone: Path) -> None:
    _committed(clone)
    git(clone, "switch", "-q", "main")


def _back(clone: Path) -> None:
    git(clone, "switch", "-q", "feature/add-tiny-vit")


def _rebase(clone: Path) -> None:
    _committed(clone)
    git(clone, "switch", "-qc", "other", "HEAD~1")
    (clone / "setup.py").write_text("# something else\n", encoding="utf-8")
    git(clone, "commit", "-qam", "other")
    git(clone, "switch", "-q", "feature/add-tiny-vit")
    subprocess.run(["git", *IDENTITY, "rebase", "-q", "other"], cwd=clone, check=False, capture_output=True)


def _abort(clone: Path) -> None:
    git(clone, "rebase", "--abort")


def _clean(clone: Path) -> None:
    git(clone, "clean", "-fdq")


def _fresh(clone: Path) -> None:
    clone.rename(clone.parent.parent / "old")
    git(clone.parent, "clone", "-q", str(clone.parent.parent / "old"), str(clone), "-b", "main")


def _gone(clone: Path) -> None:
    clone.rename(clone.parent.parent / "old")


def _another(clone: Path) -> None:
    git(clone.parent, "clone", "-q", str(clone.parent.parent / "old"), str(clone), "-b", "main")


@pytest.mark.parametrize(
    ("action", "words", "back", "edited"),
    [
        (_stash, ["git stash pop", "restore"], _pop, True),
        pytest.param(_stash, ["restore"], None, False, marks=pytest.mark.exhaustive),
        pytest.param(_other_branch, ["git switch", "is on main"], _back, True, marks=pytest.mark.exhaustive),
        (_other_branch, ["restore"], None, True),
        (_rebase, ["rebase", "finish or abort"], _abort, True),
        pytest.param(_clean, ["restore"], None, False, marks=pytest.mark.exhaustive),
        pytest.param(_fresh, ["restore", "is on main"], None, False, marks=pytest.mark.exhaustive),
        (_gone, ["tao-pytorch is not in", "restore"], _another, False),
    ],
    ids=["stash-pop", "stash-restore", "branch-back", "branch-restore", "rebase", "clean", "fresh", "gone"],
)
def test_what_people_do_in_a_clone(
    workdir: Path, action: Callable[[Path], None], words: list[str], back: Callable[[Path], None] | None, edited: bool
) -> None:
    """An update waits until the files are there again; edits that git has, or the ledger has, are in it."""
    clone = workdir / "tao-pytorch"
    edit_start(workdir)
    if not edited:  # what git forgets is in the ledger as of the last operation
        assert tao_hf(workdir, "update", "--data", "num_labels=11", "--to", OLD).returncode == 0
    action(clone)
    there = everything(workdir)
    refused(tao_hf(workdir, "update"), *words)
    refused(update(workdir), *words)
    assert everything(workdir) == there
    if back:
        back(clone)
    if not back or back is _another:
        restored = tao_hf(workdir, "restore", MODEL)
        assert restored.returncode == 0, restored.stdout
    done = tao_hf(workdir, "update")
    assert done.returncode == 0, done.stdout
    merged = text(workdir, OPT)
    assert merged.startswith("# mine\n") and merged.endswith("# from the template\n")
    assert f"{MODEL}=" in text(workdir, "tao-pytorch/setup.py")


def test_a_setup_py_that_lost_the_model_is_patched_again(workdir: Path) -> None:
    """As after a `git pull`, or a `git checkout` of TAO's own files."""
    clone = workdir / "tao-pytorch"
    git(clone, "checkout", "-q", "--", "setup.py", "nvidia_tao_pytorch/cv/backbone_v2/__init__.py")
    (clone / "setup.py").write_text("# pulled\n" + (clone / "setup.py").read_text(encoding="utf-8"), encoding="utf-8")
    git(clone, "commit", "-qm", "pulled", "setup.py")
    assert f"{MODEL}=" not in text(workdir, "tao-pytorch/setup.py")
    done = update(workdir)
    assert done.returncode == 0, done.stdout
    setup = text(workdir, "tao-pytorch/setup.py")
    assert setup.startswith("# pulled\n") and f"{MODEL}=" in setup
    assert MODEL in text(workdir, "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__init__.py")


# --- versions -----------------------------------------------------------------------------------------


def test_a_versioned_migration_runs_once(
    first_template: Template, tiny_vit: Path, tmp_path: Path
) -> None:
    template = Template.of(first_template, tmp_path / "template")
    done = template.copy(tmp_path / "workdir", tiny_vit, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    note = tmp_path / "note"

    def migrate(new: Template) -> None:
        config = new.path / "copier.yml"
        entry = f'\n  - version: 0.2.0\n    command: "echo $STAGE >> {note}"\n'
        config.write_text(config.read_text(encoding="utf-8").rstrip("\n") + entry, encoding="utf-8")

    template.release(migrate)
    workdir = tmp_path / "workdir"
    assert update(workdir).returncode == 0
    assert note.read_text(encoding="utf-8").split() == ["after"]
    template.release()
    assert update(workdir).returncode == 0
    assert note.read_text(encoding="utf-8").split() == ["after"]
    assert answers(workdir)["_commit"] == "0.3.0"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["reuse", pytest.param("hf", marks=pytest.mark.exhaustive)])
def test_an_updated_model_passes_its_tests(
    first_template: Template, tiny_vit: Path, tmp_path: Path, strategy: str
) -> None:
    template = Template.of(first_template, tmp_path / "template")
    workdir = tmp_path / "workdir"
    done = template.copy(workdir, tiny_vit, model_name=MODEL, strategy=strategy)
    assert done.returncode == 0, done.stdout
    template.release(lambda new: new.append(OPT, "# from the template\n"))
    edit_start(workdir, OPT, "# mine")
    done = update(workdir, "--data", "num_labels=12")
    assert done.returncode == 0, done.stdout
    tested = tao_hf(workdir, "test", MODEL)
    assert tested.returncode == 0, tested.stdout
