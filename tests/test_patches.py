"""Patches of TAO's own files: exact, reversible, idempotent, all or nothing."""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import iniconfig
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from repo_fixtures import BACKBONES, fill, git, own_git, tao_pytorch_clone, write  # noqa: F401
from tao_hf import atomic, patches, pylists, pytest_ini
from tao_hf.errors import UserError
from tao_hf.pylists import NotRecognisedError

INIT = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
FILES = ["tao-pytorch/setup.py", "tao-pytorch/pytest.ini", f"tao-pytorch/{INIT}", "tao-deploy/setup.py"]
FILES.append("tao-deploy/pytest.ini")


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Give a working directory with small tao-pytorch and tao-deploy folders."""
    for name in ("tao-pytorch", "tao-deploy"):
        fill(tmp_path / name, name)
    return tmp_path


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file's bytes and mode."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode) for path in files}


# --- list literals ------------------------------------------------------------


@st.composite
def layouts(draw: st.DrawFn) -> bytes:
    """Draw Python source with a list ``__all__`` in one of the many ways people write lists."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    indent = draw(st.sampled_from(["    ", "\t", "  ", ""]))
    brackets = draw(st.sampled_from(["[]", "[]", "()"]))
    quote = draw(st.sampled_from(["'", '"']))
    names = draw(st.lists(st.sampled_from(["a", "bb", "ü", "c d", "e#f", "g,h", "i]j", 'k\\"l']), max_size=4))
    comment = st.sampled_from(["", "", "  # x", " # ', ]", "# ü"])
    after = st.sampled_from(["", " ", f"{newline}{indent}", f"{newline}{newline}{indent}"])
    text = brackets[0]
    first = draw(after)
    text += (draw(comment) if first.startswith(newline) else "") + first
    for index, name in enumerate(names):
        literal = quote + name.replace('\\"', '\\"' if quote == '"' else '"') + quote
        if draw(st.integers(0, 9)) == 0:
            literal = f"({literal})"
        text += literal
        is_last = index == len(names) - 1
        comma = not is_last or draw(st.booleans()) or (brackets == "()" and len(names) == 1)
        text += "," if comma else ""
        gap = draw(after)
        text += (draw(comment) if gap.startswith(newline) else "") + gap
        if gap.startswith(newline) and draw(st.integers(0, 4)) == 0:
            text += f"# a line of its own{newline}{indent}"
    text += brackets[1]
    tail = draw(st.sampled_from(["", newline, f"  # end{newline}", f"{newline}x = ['a']{newline}"]))
    head = draw(
        st.sampled_from(["", f"# -*- coding: utf-8 -*-{newline}", f'"""Doc, ü."""{newline}import os; y = "ü"; '])
    )
    bom = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
    return bom + f"{head}__all__ = {text}{tail}".encode()


def listed(content: bytes) -> list[str]:
    """Return the strings in ``__all__``."""
    return pylists.strings(patches.exported(pylists.Source(content).tree))


@settings(max_examples=600, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(layouts(), st.sampled_from(["new", "it's", 'say "x"', "back\\slash"]))
@example(b"__all__ = []", "new")
@example(b"__all__ = [\n]", "new")
@example(b"__all__ = ()", "new")
@example(b"__all__ = ['a'  # no comma\n]", "new")
@example(b"__all__ = ['a'\n,\n# after\n]", "new")
def test_a_string_goes_into_any_list_and_out_again(content: bytes, item: str) -> None:
    """Adding appends just that string; removing gives the same bytes back; two come out in either order."""
    before = listed(content)
    one = pylists.added(content, patches.exported, item)
    assert listed(one) == [*before, item]
    assert pylists.removed(one, patches.exported, item) == content
    two = pylists.added(one, patches.exported, "other")
    assert listed(two) == [*before, item, "other"]
    assert pylists.removed(two, patches.exported, "other") == one
    without_first = pylists.removed(two, patches.exported, item)
    assert listed(without_first) == [*before, "other"]
    assert pylists.removed(without_first, patches.exported, "other") == content


@settings(max_examples=300, deadline=None, database=None)
@given(layouts())
def test_every_other_line_stays(content: bytes) -> None:
    """Adding only inserts: every byte of the original is still there, in order."""
    result = pylists.added(content, patches.exported, "new")
    rest = iter(result)
    assert all(byte in rest for byte in content)
    assert len(result) - len(content) < 30


def test_the_new_line_looks_like_its_neighbours() -> None:
    """Quotes, indentation, trailing comma, comments: as in the list."""
    content = b"__all__ = [\n\t'a',  # first\n\t'b',\n\t# more to come\n]\n"
    expected = b"__all__ = [\n\t'a',  # first\n\t'b',\n\t'new',\n\t# more to come\n]\n"
    assert pylists.added(content, patches.exported, "new") == expected
    assert pylists.added(b'__all__ = ["a","b"]\r\n', patches.exported, "new") == b'__all__ = ["a","b","new"]\r\n'


@pytest.mark.parametrize(
    "source",
    [
        b"__all__ = list('ab')\n",
        b"__all__ = ['a'] + other.__all__\n",
        b"__all__ = ['a']\n__all__ += ['b']\n",
        b"x = 1\n",
        b"__all__ = [\n",
        b"__all__ = ['\xff']\n",
        b"\0",
    ],
)
def test_other_forms_are_refused(source: bytes) -> None:
    """What cannot be edited safely is not edited."""
    with pytest.raises(NotRecognisedError):
        pylists.added(source, patches.exported, "new")


# --- the patched files ------------------------------------------------------------


def test_apply_registers_everything_and_unapply_leaves_no_trace(workdir: Path) -> None:
    """The five files say what they should; taking it out gives the same bytes, modes and files as before."""
    (workdir / "tao-pytorch/setup.py").chmod(0o750)
    before = snapshot(workdir)
    assert sorted(patches.apply(workdir, "my_vit", "hf_my_vit", ["my_vit"])) == sorted(FILES)
    scripts = {
        repo: pylists.strings(patches.console_scripts(ast.parse((workdir / repo / "setup.py").read_bytes())))
        for repo in ("tao-pytorch", "tao-deploy")
    }
    assert scripts["tao-pytorch"][-1] == "my_vit=nvidia_tao_pytorch.cv.my_vit.entrypoint.my_vit:main"
    assert scripts["tao-deploy"][-1] == "my_vit=nvidia_tao_deploy.cv.my_vit.entrypoint.my_vit:main"
    assert len(scripts["tao-pytorch"]) == 2
    init = (workdir / "tao-pytorch" / INIT).read_text()
    assert "from nvidia_tao_pytorch.cv.backbone_v2.hf_my_vit import (\n    my_vit,\n)\n" in init
    assert listed(init.encode()) == ["BACKBONE_REGISTRY", "net_tiny", "my_vit"]
    assert set(patches.status(workdir, "my_vit", "hf_my_vit").values()) == {"applied"}
    assert (workdir / "tao-pytorch/setup.py").stat().st_mode & 0o777 == 0o750

    assert sorted(patches.unapply(workdir, "my_vit", "hf_my_vit")) == sorted(FILES)
    assert snapshot(workdir) == before
    assert set(patches.status(workdir, "my_vit", "hf_my_vit").values()) == {"absent", "missing"}


def test_twice_changes_nothing(workdir: Path) -> None:
    """The second apply, and the second unapply, change no file."""
    patches.apply(workdir, "my_vit", "hf_my_vit", ["my_vit"])
    once = snapshot(workdir)
    assert patches.apply(workdir, "my_vit", "hf_my_vit", ["my_vit"]) == []
    assert snapshot(workdir) == once
    patches.unapply(workdir, "my_vit", "hf_my_vit")
    assert patches.unapply(workdir, "my_vit", "hf_my_vit") == []


def test_two_models_come_and_go_independently(workdir: Path) -> None:
    """Removing the first leaves the second registered; removing that too leaves no trace."""
    before = snapshot(workdir)
    patches.apply(workdir, "one", "hf_one", ["one"])
    only_one = snapshot(workdir)
    patches.apply(workdir, "two", "hf_two", ["two"])
    patches.unapply(workdir, "two", "hf_two")
    assert snapshot(workdir) == only_one
    patches.apply(workdir, "two", "hf_two", ["two"])
    patches.unapply(workdir, "one", "hf_one")
    assert set(patches.status(workdir, "two", "hf_two").values()) == {"applied"}
    assert "one" not in set(patches.status(workdir, "one", "hf_one").values()) - {"absent"}
    patches.unapply(workdir, "two", "hf_two")
    assert snapshot(workdir) == before


def test_a_name_that_is_part_of_another_is_not_confused(workdir: Path) -> None:
    """``vit`` and ``vit_b`` share a beginning and nothing else."""
    patches.apply(workdir, "vit_b", "hf_vit_b", ["vit_b"])
    kept = snapshot(workdir)
    assert patches.status(workdir, "vit", "hf_vit")["tao-pytorch/setup.py"] == "absent"
    patches.apply(workdir, "vit", "hf_vit", ["vit"])
    patches.unapply(workdir, "vit", "hf_vit")
    assert snapshot(workdir) == kept


def test_a_console_script_of_someone_else_is_refused(workdir: Path) -> None:
    """The name stays theirs, and nothing at all is changed."""
    setup = workdir / "tao-deploy/setup.py"
    setup.write_text(setup.read_text().replace("old_model.entrypoint", "renamed.entrypoint"))
    before = snapshot(workdir)
    with pytest.raises(UserError, match="old_model is taken"):
        patches.apply(workdir, "old_model", "hf_old_model", ["old_model"])
    assert snapshot(workdir) == before


@pytest.mark.parametrize(
    ("file", "content", "hint"),
    [
        ("tao-pytorch/setup.py", "setup(entry_points=ENTRY)\n", "new=nvidia_tao_pytorch"),
        ("tao-deploy/setup.py", "setup(entry_points={'console_scripts': read()})\n", "new=nvidia_tao_deploy"),
        ("tao-deploy/setup.py", "setup(\n", "new=nvidia_tao_deploy"),
        (f"tao-pytorch/{INIT}", BACKBONES + "__all__ += extra\n", "backbone_v2.hf_new import new"),
        ("tao-deploy/pytest.ini", "no section\n", "cv_unit: "),
    ],
)
def test_an_unknown_form_names_the_line_to_add_and_touches_nothing(
    workdir: Path, file: str, content: str, hint: str
) -> None:
    """The error tells what to write by hand; the other files are as they were too."""
    write(workdir / file, content)
    before = snapshot(workdir)
    with pytest.raises(UserError, match="by hand") as caught:
        patches.apply(workdir, "new", "hf_new", ["new"])
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert snapshot(workdir) == before


@pytest.mark.parametrize("failing", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_crash_while_writing_leaves_everything_as_it_was(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, failing: str, call: int
) -> None:
    """Whichever write fails, all files are as before and no temporary file is left."""
    before = snapshot(workdir)
    real = getattr(os, failing)
    calls = []

    def broken(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, failing, broken)
    with pytest.raises(UserError, match="No space left on device"):
        patches.apply(workdir, "new", "hf_new", ["new"])
    assert snapshot(workdir) == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a symbolic link replaces the file it points to."""
    real = write(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to(real)
    atomic.write(tmp_path / "link.txt", b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert real.read_bytes() == b"new"


# --- pytest.ini ------------------------------------------------------------

INI_FILES = {
    "values below": "[pytest]\n; mine\nmarkers =\n    slow: long\n    # indented\n    gpu\naddopts = -q\n",
    "value on the line": "[pytest]\nmarkers = slow: takes long\n\n[other]\nx = 1\n",
    "no markers": "[pytest]\naddopts = -q\n\n\n[other]\nx = 1\n",
    "no section": "[tool]\nx = 1",
    "no final newline": "[pytest]\nmarkers =\n  slow: takes long",
    "windows": "[pytest]\r\nmarkers =\r\n    slow: takes long\r\naddopts = -q\r\n",
    "empty": "",
    "percent": "[pytest]\nlog_format = %(asctime)s\nmarkers=\n\tslow\n",
    "some there": "[pytest]\nmarkers =\n    cv_unit: mine\n    train: mine\n",
    "comment after": "[pytest]\nmarkers =\n    slow: a\n# the end\n",
}


@pytest.mark.parametrize("title", INI_FILES)
def test_markers_go_into_any_ini_file_and_out_again(workdir: Path, title: str) -> None:
    """Pytest then knows the markers, the person's own stay, and unapply gives the bytes back."""
    ini = workdir / "tao-pytorch/pytest.ini"
    ini.write_bytes(INI_FILES[title].encode())
    before = snapshot(workdir)
    mine = pytest_ini.markers(ini.read_bytes(), "pytest")
    patches.apply(workdir, "new")
    assert set(pytest_ini.markers(ini.read_bytes(), "pytest")) >= {*mine, "cv_unit", "new", "train"}
    if b"\r\n" in before["tao-pytorch/pytest.ini"][0]:
        assert ini.read_bytes().count(b"\n") == ini.read_bytes().count(b"\r\n")
    kept = iter(ini.read_bytes())
    assert all(byte in kept for byte in before["tao-pytorch/pytest.ini"][0])
    patches.apply(workdir, "two")
    patches.unapply(workdir, "new")
    assert set(pytest_ini.markers(ini.read_bytes(), "pytest")) >= {*mine, "cv_unit", "two"}
    patches.unapply(workdir, "two")
    assert snapshot(workdir) == before


@pytest.mark.parametrize("title", INI_FILES)
def test_the_parser_of_pytest_reads_the_markers(workdir: Path, title: str) -> None:
    """Pytest does not read ini files with configparser; its own parser agrees about the markers."""
    ini = workdir / "tao-pytorch/pytest.ini"
    ini.write_bytes(INI_FILES[title].encode())
    patches.apply(workdir, "new")
    declared = iniconfig.IniConfig(str(ini))["pytest"]["markers"].splitlines()
    names = [line.partition(":")[0].strip() for line in declared if line.strip()]
    assert {"cv_unit", "train", "export", "new"} <= set(names)
    assert len(names) == len(set(names))


def test_pytest_itself_accepts_the_markers(workdir: Path) -> None:
    """A strict pytest runs a test with the markers, from a pytest.ini we made."""
    folder = workdir / "tao-pytorch"
    patches.apply(workdir, "new")
    marks = "\n".join(f"@pytest.mark.{name}" for name in ("cv_unit", "new", "train", "export"))
    write(folder / "tests/test_it.py", f"import pytest\n\n{marks}\ndef test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", "-q"]
    run = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_made_pytest_ini_that_the_person_extended_stays(workdir: Path) -> None:
    """Ours goes out; theirs stays."""
    patches.apply(workdir, "new")
    ini = workdir / "tao-pytorch/pytest.ini"
    ini.write_text(ini.read_text() + "addopts = -q\n")
    patches.unapply(workdir, "new")
    parser = configparser.ConfigParser()
    parser.read(ini)
    assert dict(parser["pytest"]) == {"testpaths": "tests", "addopts": "-q"}


@pytest.mark.parametrize(("name", "section"), [("setup.cfg", "tool:pytest"), ("tox.ini", "pytest")])
def test_settings_elsewhere_are_extended_there(workdir: Path, name: str, section: str) -> None:
    """A new pytest.ini would hide the settings a repository has in another file."""
    write(workdir / "tao-deploy" / name, f"[metadata]\nname = x\n\n[{section}]\naddopts = -q\n")
    before = snapshot(workdir)
    patches.apply(workdir, "new")
    assert not (workdir / "tao-deploy/pytest.ini").exists()
    assert "new" in pytest_ini.markers((workdir / "tao-deploy" / name).read_bytes(), section)
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before


def test_settings_in_toml_are_the_persons_to_extend(workdir: Path) -> None:
    """We do not edit TOML: the error says what to add, and once it is there the patch goes through."""
    toml = write(workdir / "tao-deploy/pyproject.toml", "[tool.pytest.ini_options]\nmarkers = []\n")
    with pytest.raises(UserError, match="new: tests of the model new"):
        patches.apply(workdir, "new")
    names = ["cv_unit", "train", "evaluate", "inference", "export", "gen_trt_engine", "new"]
    toml.write_text(f"[tool.pytest.ini_options]\nmarkers = {names}\n")
    patches.apply(workdir, "new")
    assert not (workdir / "tao-deploy/pytest.ini").exists()


# --- git and the real thing ------------------------------------------------------------


def test_only_ours_tells_our_changes_from_theirs(workdir: Path, own_git: Path) -> None:  # noqa: F811
    """A patched file counts as unchanged until a person changes a byte of it."""
    repo = workdir / "tao-pytorch"
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "as published")
    patches.apply(workdir, "new", "hf_new", ["new"])
    models = {"new": "hf_new"}
    assert patches.only_ours(repo, "setup.py", models)
    assert patches.only_ours(repo, INIT, models)
    assert not patches.only_ours(repo, "setup.py", {})
    git(repo, "add", "setup.py")
    assert patches.only_ours(repo, "setup.py", models)
    setup = repo / "setup.py"
    setup.write_text(setup.read_text() + "# mine\n")
    assert not patches.only_ours(repo, "setup.py", models)
    shutil.copy(repo / "release/python/version.py", repo / "other.py")
    assert not patches.only_ours(repo, "other.py", models)


def test_every_version_in_the_history_of_tao_pytorch(tao_pytorch_clone: Path, tmp_path: Path) -> None:  # noqa: F811
    """All setup.py and backbone files ever published take the patch and give the same bytes back."""
    counts = {}
    for file in ("setup.py", INIT):
        commits = git(tao_pytorch_clone, "log", "--all", "--format=%H", "--", file).split()
        blobs = {git(tao_pytorch_clone, "rev-parse", f"{commit}:{file}") for commit in commits}
        counts[file] = len(blobs)
        for blob in blobs:
            content = subprocess.run(
                ["git", "cat-file", "blob", blob], cwd=tao_pytorch_clone, capture_output=True, check=True
            ).stdout
            if file == "setup.py":
                script = "new=nvidia_tao_pytorch.cv.new.entrypoint.new:main"
                patched = patches.with_script(content, script)
                assert pylists.strings(patches.console_scripts(ast.parse(patched)))[-1] == script
            else:
                patched = patches.with_backbone(content, "hf_new", ["new"])
                assert listed(patched)[-1] == "new"
            assert patched.count(b"\n") - content.count(b"\n") == (1 if file == "setup.py" else 4)
            assert patches.without(file, patched, "new", "hf_new") == content
    assert min(counts.values()) >= 1, counts
