"""The local runtime: its interpreter, what a command sees, how it ends, stand-ins and console commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import local
from tao_hf.runtime.interface import Runtime
from tao_hf.runtime.kinds import get_runtime
from tao_hf.runtime.shims import console_scripts, write_console_shims
from tests.support.paths import HOOKS


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Return the local runtime on the interpreter that runs the tests."""
    monkeypatch.setenv("TAO_HF_PYTHON", sys.executable)
    return get_runtime("local")


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Make a working directory (with a space in its name) with two clones and two stand-ins."""
    root = tmp_path / "work dir"
    package = root / "tao-deploy" / "nvidia_tao_deploy" / "cv" / "tiny"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").write_text("")
    (package / "main.py").write_text(
        "import sys\nimport eff\nimport json\n"
        "def main():\n    print(sys.argv[1:], eff.WHO, hasattr(json, 'dumps'))\n    return 7\n"
    )
    (root / "tao-deploy" / "setup.py").write_text(
        textwrap.dedent("""
        import torch_that_is_not_there
        setuptools.setup(entry_points={'console_scripts': [
            'tiny=nvidia_tao_deploy.cv.tiny.main:main',
            'absent = nvidia_tao_deploy.cv.absent.main:main',
            '../../escape=nvidia_tao_deploy.cv.tiny.main:main',
            'evil=os:system("x"):main', 'python=nvidia_tao_deploy.cv.tiny.main:main', 7,
        ]})
    """)
    )
    for name, text in (("eff", "WHO = 'stand-in'\n"), ("json", "WHO = 'stand-in'\n")):
        folder = root / ".tao-hf" / "standins" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(text)
    return root


def test_unknown_runtimes_are_refused() -> None:
    """A kind without a module is one sentence with the way out."""
    for kind in ("../local", "process"):
        with pytest.raises(UserError, match="choose docker or local"):
            get_runtime(kind)


def test_auto_is_local_without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` falls back to the runtime that is always there."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    assert get_runtime("auto").kind == "local"


def test_output_is_streamed_merged_and_logged(runtime: Runtime, tmp_path: Path) -> None:
    """Both streams arrive in order, on the callback and in the log; the status is the command's."""
    seen: list[str] = []
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.stdout.write('a\\rb'); sys.exit(5)"
    done = runtime.run(["python", "-c", code], context="inspect", log=tmp_path / "logs" / "x.log", on_line=seen.append)
    assert done.returncode == 5 and seen == ["one", "two", "a", "b"]
    assert (tmp_path / "logs" / "x.log").read_text().split() == seen and "two" in done.tail


def test_host_packages_and_settings_stay_out(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PYTHONPATH of the host is gone, user site-packages are off, telemetry is refused."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "from os import environ as e; print(e.get('PYTHONPATH'), e['PYTHONNOUSERSITE'], e['TELEMETRY_OPT_OUT'])"
    assert runtime.run(["python", "-c", code], context="inspect").tail == "None 1 yes"


def test_half_of_the_processors_compute_unless_it_is_told_how_many(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of PyTorch wait for each other after every operation: one without a core of its own holds up all."""
    code = "from os import environ as e; print(e['OMP_NUM_THREADS'])"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for processors, threads in ((1, "1"), (2, "1"), (16, "8")):
        monkeypatch.setattr(os, "cpu_count", lambda count=processors: count)
        assert runtime.run(["python", "-c", code], context="inspect").tail == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert runtime.run(["python", "-c", code], context="inspect").tail == "3"


def test_time_limit_kills_the_whole_group(runtime: Runtime, tmp_path: Path) -> None:
    """A command past its limit ends with 124, and so do its children."""
    pid_file = tmp_path / "child"
    code = (
        "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"open({str(pid_file)!r}, 'w').write(str(c.pid)); time.sleep(60)"
    )
    started = time.monotonic()
    done = runtime.run(["python", "-c", code], context="inspect", timeout=1.5, log=tmp_path / "log")
    assert done.returncode == 124 and time.monotonic() - started < 15 and "time limit" in (tmp_path / "log").read_text()
    assert gone(int(pid_file.read_text()))


def test_interrupt_kills_the_whole_group(tmp_path: Path) -> None:
    """Ctrl-C in the host process ends the command before the host goes on."""
    pid_file = tmp_path / "child"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    host = f"from tao_hf.runtime import local; local.create().run(['python', '-c', {child!r}], context='inspect')"
    process = subprocess.Popen(
        [sys.executable, "-c", host],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(HOOKS), "TAO_HF_PYTHON": sys.executable},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    assert gone(int(pid_file.read_text()))


def gone(pid: int) -> bool:
    """Tell whether a process ends within a few seconds (a zombie counts as ended)."""
    for _ in range(60):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (OSError, IndexError):
            return True
        time.sleep(0.1)
    return False


def test_secrets_do_not_reach_logs(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that prints its token prints asterisks."""
    monkeypatch.setenv("HF_TOKEN", "hf_abcdef")
    monkeypatch.setenv("NGC_KEY", "nvapi-123456")
    code = "import os; print('t', os.environ['HF_TOKEN'], os.environ['NGC_KEY'])"
    seen: list[str] = []
    done = runtime.run(["python", "-c", code], context="inspect", log=tmp_path / "log", on_line=seen.append)
    for text in (done.tail, (tmp_path / "log").read_text(), *seen):
        assert text.strip() == "t **** ****"


def test_stand_ins_fill_only_what_is_missing(runtime: Runtime, workdir: Path) -> None:
    """`eff` is missing here and comes from the stand-in; `json` is real and stays real."""
    assert runtime.stand_ins(workdir) == ["eff"]
    done = runtime.run(["tiny", "a b"], context="deploy", workdir=workdir)
    assert (done.returncode, done.tail) == (7, "['a b'] stand-in True")


def test_stand_in_gives_way_to_the_real_module(runtime: Runtime, workdir: Path, tmp_path: Path) -> None:
    """When the interpreter has the module, the link of an earlier run disappears."""
    runtime.run(["tiny"], context="deploy", workdir=workdir)
    assert (workdir / ".tao-hf" / "standins-in-use" / "eff").is_symlink()
    runtime._missing = {("eff", "json"): []}  # as if `eff` had been installed
    done = runtime.run(["tiny"], context="deploy", workdir=workdir)
    assert "ModuleNotFoundError" in done.tail and runtime.stand_ins(workdir) == []


def test_inspection_sees_no_tao_package(runtime: Runtime, workdir: Path) -> None:
    """The contexts are isolated: the inspection has neither the clones nor the stand-ins."""
    for module in ("nvidia_tao_deploy", "eff"):
        assert (
            runtime.run(
                ["python", "-P" if sys.version_info >= (3, 11) else "-B", "-c", f"import {module}"],
                context="inspect",
                workdir=workdir,
            ).returncode
            == 1
        )


def test_unknown_command_is_said(runtime: Runtime, workdir: Path) -> None:
    """A command that is nowhere is one sentence."""
    with pytest.raises(UserError, match="no command nothing_such"):
        runtime.run(["nothing_such"], context="deploy", workdir=workdir)


def test_wrong_interpreter_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TAO_HF_PYTHON must name a program."""
    monkeypatch.setenv("TAO_HF_PYTHON", str(tmp_path))
    with pytest.raises(UserError, match="TAO_HF_PYTHON"):
        get_runtime("local").prepare()


def test_shims_follow_setup_py(workdir: Path) -> None:
    """Only well-formed entries of existing modules become commands; removed entries lose theirs; nothing escapes."""
    bin_dir = write_console_shims(workdir, "deploy")
    assert sorted(item.name for item in bin_dir.iterdir()) == ["tiny"]
    assert os.access(bin_dir / "tiny", os.X_OK)
    before = (bin_dir / "tiny").stat().st_mtime_ns
    write_console_shims(workdir, "deploy")
    assert (bin_dir / "tiny").stat().st_mtime_ns == before
    (workdir / "tao-deploy" / "setup.py").write_text("setup(entry_points={'console_scripts': []})")
    write_console_shims(workdir, "deploy")
    assert list(bin_dir.iterdir()) == []


def test_broken_setup_py_gives_no_commands(tmp_path: Path) -> None:
    """A setup.py that does not parse, or is not there, is no error here."""
    (tmp_path / "setup.py").write_text("def (")
    assert console_scripts(tmp_path / "setup.py") == {} == console_scripts(tmp_path / "none.py")


# ---------------------------------------------------------------- building the environment


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a cache of its own, no index, no named interpreter."""
    monkeypatch.setenv("TAO_HF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("TAO_HF_PYTHON", raising=False)
    return tmp_path / "cache"


def test_failed_build_leaves_nothing(empty_cache: Path, tmp_path: Path) -> None:
    """Pip's reason comes through, and the half-made environment is gone."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-anywhere==1\n")
    with pytest.raises(UserError, match="no-such-package-anywhere"):
        local._build(requirements)
    assert [item for item in (empty_cache / "runtimes").iterdir() if item.is_dir()] == []


def test_two_builders_build_once(empty_cache: Path, tmp_path: Path) -> None:
    """Two processes at once: one builds, the other waits; a half-made one is replaced; a change rebuilds."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    home = local.runtime_dir(requirements)
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").write_text("broken, because a build was killed")
    code = (
        f"from pathlib import Path; from tao_hf.runtime import local; print(local._build(Path({str(requirements)!r})))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(HOOKS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert {out.strip() for out, _ in said} == {str(home / "bin" / "python")}
    assert sum("making the local runtime" in err and "✓ making" in err for _, err in said) == 1
    said = subprocess.check_output([str(home / "bin" / "python"), "-c", "import sys; print(sys.prefix)"], text=True)
    assert said.strip() == str(home)
    requirements.write_text("# something else\n")
    assert local.runtime_dir(requirements) != home


def test_other_versions_lie_over_the_packages_of_the_runtime(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second environment has comes first, the rest is the first one's, and neither changes the other."""
    requirements, versions = tmp_path / "requirements.txt", tmp_path / "requirements-old.txt"
    requirements.write_text("# nothing\n")
    versions.write_text("# nothing\n")
    below = local._build(requirements)
    above = local._build(versions, over=below)
    assert above != below and local._build(versions, over=below) == above

    def said(python: Path) -> str:
        return subprocess.check_output([python, "-I", "-c", "import big, small; print(big.WHO, small.WHO)"], text=True)

    for python, modules in ((below, ("big", "small")), (above, ("small",))):
        for name in modules:
            (local._packages(python) / f"{name}.py").write_text(f"WHO = {python.parents[1].name!r}\n")
    assert said(below).split() == [below.parents[1].name] * 2
    assert said(above).split() == [below.parents[1].name, above.parents[1].name]

    monkeypatch.setenv("TAO_HF_VERSIONS", "tao-1.0")
    monkeypatch.setattr(local, "_build", lambda *args, **kwargs: below)
    with pytest.raises(UserError, match=r"TAO_HF_VERSIONS is 'tao-1.0'; choose tao-7.0.1"):
        get_runtime("local").prepare()
