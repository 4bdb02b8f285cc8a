"""``kill -9`` at any point: the same command again ends where an undisturbed one does, and no file is ever half there.

A command is killed with all its processes after a random time, or inside the hooks just before the N-th call that
changes something. Every case works in the same folder, so that what is recorded can be compared byte by byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tao_hf.rendering import layers
from tests.support.copies import MODEL
from tests.support.template_versions import COPIER, FIRST, LAYERS, Template

pytestmark = [pytest.mark.runtime, pytest.mark.slow]
CLONES = ("tao-core", "tao-pytorch", "tao-deploy")
SEED = int(os.environ.get("TAO_HF_KILL_SEED", "4"))
CV = "tao-pytorch/nvidia_tao_pytorch/cv/MODEL"
COMMANDS = {
    "copy": [*COPIER, "copy", "--trust", "--defaults"],
    "copier update": [*COPIER, "update", "--trust", "--defaults"],
    "tao-hf update": [sys.executable, "tao-hf", "update", "--data", "num_labels=12"],
    "remove": [sys.executable, "tao-hf", "remove", MODEL, "--yes"],
}
POINTS = {  # in time, and at calls
    "copy": (8, 16), "copier update": (8, 16), "tao-hf update": (6, 16), "remove": (6, 16),
}  # fmt: skip

_STAMP = re.compile(r"-\d{8}-\d{6}\b")  # in the name of a backup

# Kills the process (or its whole group) before the N-th change that it or another process of the hooks makes.
KILLER = '''
import os, signal, sys
if any(part.rpartition("/")[2] in ("post_copy.py", "post_update.py", "tao-hf") for part in sys.orig_argv):
    import pathlib, shutil, subprocess, tempfile
    counter = os.open(os.environ["TAO_HF_KILL_COUNTER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    at = int(os.environ.get("TAO_HF_KILL_AT", "0"))
    copied = 0

    def watch(owner, name, every=1):
        original = getattr(owner, name)

        def wrapper(*args, **kwargs):
            global copied
            copied += every > 1
            if (every == 1 or copied % every == 0) and "dir_fd" not in kwargs:
                os.write(counter, b".")
                if os.fstat(counter).st_size == at:
                    if os.environ["TAO_HF_KILL_WHOM"] == "group":
                        os.killpg(0, signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, name, wrapper)

    for name in ("replace", "unlink", "rename", "symlink", "fsync", "ftruncate"):
        watch(os, name)
    for name in ("rename", "unlink", "replace"):
        if sys.version_info < (3, 11) or name == "unlink":
            watch(pathlib.Path, name)
    for name in ("copytree", "rmtree"):
        watch(shutil, name)
    watch(shutil, "copyfile", every=40)
    watch(os, "mkdir", every=20)
    watch(subprocess.Popen, "__init__")
'''


@dataclass
class Scene:
    """A command, the disk before it, and what it makes of it when nothing disturbs it."""

    name: str
    command: Sequence[str]
    base: Path | None
    workdir: Path
    env: Mapping[str, str]
    seconds: float = 0
    calls: int = 0
    before: dict[str, str] = field(default_factory=dict)
    between: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def reset(self) -> None:
        """Put the disk back to what it was before the command."""
        shutil.rmtree(self.workdir, ignore_errors=True)
        Path(self.env["TAO_HF_KILL_COUNTER"]).unlink(missing_ok=True)
        shutil.rmtree(self.env["TMPDIR"], ignore_errors=True)
        Path(self.env["TMPDIR"]).mkdir()
        if self.base:
            shutil.copytree(self.base, self.workdir, symlinks=True)

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Start the command as the head of a process group of its own."""
        log = (self.workdir.parent / "said").open("wb")
        return subprocess.Popen(
            self.command, cwd=self.workdir if self.workdir.exists() else None, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **self.env, **env},
        )  # fmt: skip

    def finish(self) -> None:
        """Run the command without disturbing it; what is removed already cannot be removed again."""
        status = self.start().wait()
        said = (self.workdir.parent / "said").read_text()
        assert status == 0 or (self.name == "remove" and "was removed" in said), said

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the command, and wait for the gits that it leaves to their own devices."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while _busy_in(self.workdir):
            assert time.monotonic() < deadline, "something does not end"
            time.sleep(0.02)


def _busy_in(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                    found.append(int(entry.name))
    return found


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _files(folder: Path, without: tuple[str, ...] = ("__pycache__",)) -> dict[str, str]:
    """Return the digest of every file and link below `folder`."""
    found = {}
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for name in (*names, *(name for name in folders if Path(top, name).is_symlink())):
            path = Path(top, name)
            found[path.relative_to(folder).as_posix()] = _digest(path)
    return found


def _in_clones(workdir: Path) -> dict[str, str]:
    files = {}
    for clone in CLONES:
        if (workdir / clone).exists():
            inside = _files(workdir / clone, ("__pycache__", ".git"))
            files.update({f"{clone}/{name}": digest for name, digest in inside.items()})
    return files


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def state(workdir: Path) -> dict[str, Any]:
    """Return all that has to be the same however a command came to its end."""
    found: dict[str, Any] = {"top": sorted(path.name for path in workdir.iterdir()), "files": _in_clones(workdir)}
    for clone in CLONES:
        if (workdir / clone).exists():
            look = ("status --porcelain", "branch --list", "rev-parse HEAD", "config --list --local")
            found[clone] = [_git(workdir / clone, *command.split()) for command in look]
    records = _files(workdir / ".tao-hf", ("__pycache__", "logs", "locks", "tools"))
    found[".tao-hf"] = {
        _STAMP.sub("-DATE", name): digest for name, digest in records.items() if not name.endswith("/removing")
    }  # the marker of a removal holds the date
    refs = _git(workdir, "for-each-ref", "--format=%(refname) %(tree)").splitlines()
    found["ledger"] = [*(_STAMP.sub("-DATE", ref) for ref in refs), _git(workdir, "status", "--porcelain")]
    found["link"] = _digest(workdir / ".copier-answers.yml") if (workdir / ".copier-answers.yml").exists() else None
    return found


def leftovers(workdir: Path) -> list[str]:
    """Return what a killed command has left lying about."""
    pattern = re.compile(r"\..*\.new|.*\.new|\.tao-hf-.*|incoming|.*\.lock|.*\.rej|.*\.orig")
    kept = {".tao-hf/locks/repositories.lock"}
    found = []
    for top, folders, names in os.walk(workdir):
        found += [Path(top, name) for name in (*folders, *names) if pattern.fullmatch(name)]
    return sorted({path.relative_to(workdir).as_posix() for path in found} - kept)


def torn(scene: Scene) -> list[str]:
    """Return the files of the clones that are neither as before the command nor as after it."""
    now = _in_clones(scene.workdir)
    wrong = []
    for name in sorted({*scene.before, *scene.between, *scene.after, *now}):
        clone = scene.workdir / name.partition("/")[0]
        before = scene.before if scene.base else scene.between
        if re.fullmatch(r"\..*\.new", Path(name).name) or not clone.exists():
            continue
        if now.get(name) not in (before.get(name), scene.after.get(name)):
            wrong.append(name)
    return wrong


def newer(template: Template) -> None:
    """What the second version changes: it adds, drops, and appends to a dozen files."""
    for folder in ("utils", "scripts", "dataloader"):
        files = layers.files(template.path, tuple(reversed(LAYERS)), "MODEL")
        for name in [file.path for file in files if file.path.startswith(f"{CV}/{folder}/")]:
            template.append(name, "# from the second version\n")
    template.add("tao-core/nvidia_tao_core/config/MODEL/extra/deeper.py")
    template.drop("tao-deploy/nvidia_tao_deploy/cv/MODEL/utils/labels.py")
    template.drop(f"{CV}/scripts/convert.py")


def edit(workdir: Path) -> None:
    """What a person has done since the copy: edits, a deletion, something staged."""
    model = workdir / CV.replace("MODEL", MODEL)
    for name in ("utils/optimization.py", "scripts/convert.py"):
        text = (model / name).read_text(encoding="utf-8")
        (model / name).write_text(f"# mine\n{text}", encoding="utf-8")
    (model / "utils" / "deepstream.py").unlink()
    _git(workdir / "tao-pytorch", "add", "setup.py", str(model / "utils" / "optimization.py"))


def shared_scene(
    name: str, template: Template, model: Path, room: Path, prepared: Path | None
) -> Scene:
    """Make the scene of a command: its disk before, and all that one undisturbed run shows."""
    for folder in ("killer", "tmp"):
        (room / folder).mkdir(parents=True)
    (room / "killer" / "sitecustomize.py").write_text(KILLER, encoding="utf-8")
    env = {
        "PYTHONPATH": str(room / "killer"), "TMPDIR": str(room / "tmp"), "TAO_HF_KILL_COUNTER": str(room / "calls"),
        "TAO_HF_KILL_WHOM": "group",
    }  # fmt: skip
    workdir = room / "workdir"
    command = list(COMMANDS[name])
    if name == "copy":
        given = {"hf_model_id": model, "runtime": "local", "tao_source": "embedded", "run_tests": "none"}
        command += [part for key, value in given.items() for part in ("--data", f"{key}={value}")]
        command += ["--vcs-ref", FIRST, str(template.path), str(workdir)]
    scene = Scene(name, command, None, workdir, env)
    if prepared:
        scene.base = room / "base"
        scene.workdir.parent.mkdir(exist_ok=True)
        done = template.copy(workdir, model, model_name=MODEL)
        assert done.returncode == 0, done.stdout
        edit(workdir)
        shutil.copytree(workdir, scene.base, symlinks=True)
        scene.before = _in_clones(workdir)
        template.release(newer)
    scene.reset()
    began = time.monotonic()
    scene.finish()
    scene.seconds = time.monotonic() - began
    scene.calls = Path(env["TAO_HF_KILL_COUNTER"]).stat().st_size
    scene.after, scene.state = _in_clones(workdir), state(workdir)
    if not prepared:
        for clone in CLONES:
            whole = room / "pristine" / clone
            _git(workdir / clone, "checkout-index", "--all", f"--prefix={whole}/")
        scene.between = _in_clones(room / "pristine")
    assert leftovers(workdir) == []
    assert scene.after not in (scene.before, scene.between)
    print(f"{name}: {scene.seconds:.1f} s, {scene.calls} calls, seed {SEED}")
    return scene


@pytest.fixture(scope="module")
def scenes(
    first_template: Template, tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Scene]]:
    """Give the scenes, made when they are asked for."""
    known: dict[str, Scene] = {}

    class Scenes(dict):  # type: ignore[type-arg]
        def __missing__(self, name: str) -> Scene:
            room = tmp_path_factory.mktemp("kill")
            template = Template.of(first_template, room / "template")
            known[name] = shared_scene(name, template, tiny_vit, room, None if name == "copy" else room)
            self[name] = known[name]
            return known[name]

    yield Scenes()
    for scene in known.values():
        shutil.rmtree(scene.workdir.parent, ignore_errors=True)


def points() -> list[Any]:
    """Return the points of every command: some in time, some at calls; a few of each are enough for `make test`.

    Those of a removal are all for `make test-all`: test_remove.py kills one at its steps on a smaller tree.
    """
    found = []
    for name, (times, calls) in POINTS.items():
        for kind, number in (("time", times), ("call", calls)):
            for index in range(number):
                often = index != number * 2 // 3 or name == "remove" or (name == "tao-hf update" and kind == "time")
                marks = [pytest.mark.exhaustive] if often else []
                found.append(pytest.param(name, kind, index, number, id=f"{name}-{kind}-{index}", marks=marks))
    return found


@pytest.mark.parametrize(("name", "kind", "index", "number"), points())
def test_killed_and_run_again(scenes: Mapping[str, Scene], name: str, kind: str, index: int, number: int) -> None:
    """The points are drawn from equal parts of the command's duration, or of its calls."""
    scene = scenes[name]
    share = (index + random.Random(f"{SEED} {name} {kind} {index}").random()) / number  # noqa: S311
    scene.reset()
    if kind == "time":
        process = scene.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(share * scene.seconds)
    else:
        at, whom = 1 + int(share * scene.calls), ("process", "group")[index % 2 if scene.base else 1]
        process = scene.start(TAO_HF_KILL_AT=str(at), TAO_HF_KILL_WHOM=whom)
        assert process.wait() != 0, f"nothing was killed at call {at} of {scene.calls}"
    scene.kill(process)
    assert torn(scene) == [], "half a file"
    scene.finish()
    now = state(scene.workdir)
    different = {key: _difference(now[key], scene.state[key]) for key in now if now[key] != scene.state[key]}
    assert different == {}, f"{kind} {share:.3f} of {scene.seconds:.1f} s, {scene.calls} calls"
    assert leftovers(scene.workdir) == []


def _difference(now: Any, then: Any) -> Any:
    if isinstance(now, dict):
        return {name: (now.get(name), then.get(name)) for name in {*now, *then} if now.get(name) != then.get(name)}
    return [(one, other) for one, other in zip(now, then, strict=False) if one != other] or (now, then)


def test_a_torn_file_and_a_leftover_would_be_seen(scenes: Mapping[str, Scene]) -> None:
    """The checks above can fail: half a file, an update that stopped half way, what is left beside a file."""
    scene = scenes["copier update"]
    scene.reset()
    assert torn(scene) == [] and state(scene.workdir) != scene.state
    name = next(name for name in scene.after if name.endswith("optimization.py"))
    path = scene.workdir / name
    path.write_bytes(path.read_bytes()[:100])
    (path.parent / f".{path.name}.x.new").touch()
    assert torn(scene) == [name]
    assert leftovers(scene.workdir) == [f"{Path(name).parent}/.{path.name}.x.new"]
