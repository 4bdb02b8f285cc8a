"""Patches of TAO's own files: exact, reversible, idempotent, all or nothing."""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tao_hf.base import atomic
from tao_hf.base.errors import UserError
from tao_hf.clones import backbone_imports, console_scripts, patches, python_lists
from tao_hf.clones.python_lists import NotRecognisedError
from tests.support.clones import BACKBONES, fill, git, write

INIT = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
FILES = ["tao-pytorch/setup.py", f"tao-pytorch/{INIT}", "tao-deploy/setup.py"]


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
    return python_lists.strings(backbone_imports.exported(python_lists.Source(content).tree))


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
    one = python_lists.added(content, backbone_imports.exported, item)
    assert listed(one) == [*before, item]
    assert python_lists.removed(one, backbone_imports.exported, item) == content
    two = python_lists.added(one, backbone_imports.exported, "other")
    assert listed(two) == [*before, item, "other"]
    assert python_lists.removed(two, backbone_imports.exported, "other") == one
    without_first = python_lists.removed(two, backbone_imports.exported, item)
    assert listed(without_first) == [*before, "other"]
    assert python_lists.removed(without_first, backbone_imports.exported, "other") == content


@settings(max_examples=300, deadline=None, database=None)
@given(layouts())
def test_every_other_line_stays(content: bytes) -> None:
    """Adding only inserts: every byte of the original is still there, in order."""
    result = python_lists.added(content, backbone_imports.exported, "new")
    rest = iter(result)
    assert all(byte in rest for byte in content)
    assert len(result) - len(content) < 30


def test_the_new_line_looks_like_its_neighbours() -> None:
    """Quotes, indentation, trailing comma, comments: as in the list."""
    content = b"__all__ = [\n\t'a',  # first\n\t'b',\n\t# more to come\n]\n"
    expected = b"__all__ = [\n\t'a',  # first\n\t'b',\n\t'new',\n\t# more to come\n]\n"
    assert python_lists.added(content, backbone_imports.exported, "new") == expected
    content = b'__all__ = ["a","b"]\r\n'
    assert python_lists.added(content, backbone_imports.exported, "new") == b'__all__ = ["a","b","new"]\r\n'


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
        python_lists.added(source, backbone_imports.exported, "new")


# --- the patched files ------------------------------------------------------------


def test_apply_registers_everything_and_unapply_leaves_no_trace(workdir: Path) -> None:
    """The five files say what they should; taking it out gives the same bytes, modes and files as before."""
    (workdir / "tao-pytorch/setup.py").chmod(0o750)
    before = snapshot(workdir)
    assert sorted(patches.apply(workdir, "my_vit", "hf_my_vit", ["my_vit"])) == sorted(FILES)
    scripts = {
        repo: python_lists.strings(console_scripts.entries(ast.parse((workdir / repo / "setup.py").read_bytes())))
        for repo in ("tao-pytorch", "tao-deploy")
    }
    assert scripts["tao-pytorch"][-1] == "my_vit=nvidia_tao_pytorch.cv.my_vit.entrypoint.my_vit:main"
    assert scripts["tao-deploy"][-1] == "my_vit=nvidia_tao_deploy.cv.my_vit.entrypoint.my_vit:main"
    assert len(scripts["tao-pytorch"]) == 2
    init = (workdir / "tao-pytorch" / INIT).read_text()
    assert "from nvidia_tao_pytorch.cv.backbone_v2.hf_my_vit import (\n    my_vit,\n)\n" in init
    assert listed(init.encode()) == ["BACKBONE_REGISTRY", "net_tiny", "my_vit"]
    assert patches.edits(workdir, "my_vit", "hf_my_vit", ["my_vit"]) == {}
    assert (workdir / "tao-pytorch/setup.py").stat().st_mode & 0o777 == 0o750

    assert sorted(patches.unapply(workdir, "my_vit", "hf_my_vit")) == sorted(FILES)
    assert snapshot(workdir) == before


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
    assert patches.edits(workdir, "two", "hf_two", ["two"]) == {}
    patches.unapply(workdir, "two", "hf_two")
    assert snapshot(workdir) == before


def test_a_name_that_is_part_of_another_is_not_confused(workdir: Path) -> None:
    """``vit`` and ``vit_b`` share a beginning and nothing else."""
    patches.apply(workdir, "vit_b", "hf_vit_b", ["vit_b"])
    kept = snapshot(workdir)
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
@pytest.mark.parametrize("call", [1, 2, 3])
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


# --- what another version of the template has put there ------------------------------------------------------------

SCRIPT = "nvidia_tao_pytorch.cv.new.entrypoint.new:main"
SCRIPTS = {
    "another module": "            'new=nvidia_tao_pytorch.cv.new.entrypoint.run:main',\n",
    "another function, with a note": '            "new = nvidia_tao_pytorch.cv.new.main:cli",  # ours\n',
    "twice": f"            'new={SCRIPT}',\n            'new={SCRIPT}',\n",
    "spaced and old": f"            'new = {SCRIPT}',\n            'new=nvidia_tao_pytorch.cv.new.run:main',\n",
    "old ones on one line": f"            'new={SCRIPT[:-4]}run', 'new={SCRIPT[:-4]}cli',\n",
}


def replace(path: Path, old: str, new: str) -> None:
    """Replace text in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text, text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("late", ["", "            'late=a:main',\n"])
@pytest.mark.parametrize("title", SCRIPTS)
def test_a_console_script_of_another_template_becomes_ours(workdir: Path, title: str, late: str) -> None:
    """However it was written, there is one then, in its place; taking it out leaves none."""
    setup = workdir / "tao-pytorch/setup.py"
    replace(setup, "main',\n", f"main',\n{late}")
    before = snapshot(workdir)
    replace(setup, "old_model:main',\n", f"old_model:main',\n{SCRIPTS[title]}")
    patches.apply(workdir, "new")
    scripts = python_lists.strings(console_scripts.entries(ast.parse(setup.read_bytes())))
    assert ["".join(script.split()) for script in scripts[:2]] == [scripts[0], f"new={SCRIPT}"]
    assert len(scripts) == (3 if late else 2)
    assert ("# ours" in setup.read_text()) == ("# ours" in SCRIPTS[title])
    assert patches.edits(workdir, "new") == {}
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before


@pytest.mark.parametrize("title", SCRIPTS)
def test_a_console_script_of_another_template_comes_out(workdir: Path, title: str) -> None:
    """Also without an apply of this version in between."""
    setup = workdir / "tao-pytorch/setup.py"
    before = setup.read_bytes()
    replace(setup, "old_model:main',\n", f"old_model:main',\n{SCRIPTS[title]}")
    patches.unapply(workdir, "new")
    assert setup.read_bytes() == before


@pytest.mark.parametrize(
    "entry",
    [
        "new=nvidia_tao_pytorch.cv.newer.entrypoint.new:main",
        "new=nvidia_tao_pytorch.cv.new_b.entrypoint.new:main",
        "new=somebody:main",
        f"new={SCRIPT}late=nvidia_tao_pytorch.cv.late.run:main",  # a comma got lost when a conflict was resolved
    ],
)
def test_what_only_looks_like_ours_is_not_replaced(workdir: Path, entry: str) -> None:
    """The sentence shows it, and neither apply nor unapply touches it."""
    replace(workdir / "tao-pytorch/setup.py", "old_model:main',\n", f"old_model:main',\n            '{entry}',\n")
    before = snapshot(workdir)
    with pytest.raises(UserError, match=f"new is taken by '{entry}'"):
        patches.apply(workdir, "new")
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before


def test_what_was_added_by_hand_is_enough(workdir: Path) -> None:
    """Where the sentence says to write a line by hand, writing it is all that is needed."""
    setup = workdir / "tao-pytorch/setup.py"
    replace(setup, "'console_scripts': [", "'console_scripts': extra + [")
    init = workdir / "tao-pytorch" / INIT
    replace(init, "__all__ = [", "__all__ = extra + [")
    with pytest.raises(UserError, match="by hand"):
        patches.apply(workdir, "new", "hf_new", ["new"])
    replace(setup, "import setuptools\n", f"import setuptools\n\nextra = ['new={SCRIPT}']\n")
    with pytest.raises(UserError, match="by hand"):
        patches.apply(workdir, "new", "hf_new", ["new"])
    replace(init, "\n__all__", "from nvidia_tao_pytorch.cv.backbone_v2.hf_new import new\n\nextra = []\n__all__")
    replace(init, '"net_tiny",', '"net_tiny",\n    "new",')
    assert patches.apply(workdir, "new", "hf_new", ["new"]) == ["tao-deploy/setup.py"]
    assert patches.edits(workdir, "new", "hf_new", ["new"]) == {}
    for path, text in ((setup, f"'new={SCRIPT}'"), (init, '    "new",\n')):
        with pytest.raises(UserError, match="take out the lines that name new by hand"):
            patches.unapply(workdir, "new")
        replace(path, text, "")
    patches.unapply(workdir, "new")
    assert "hf_new" not in init.read_text()
    replace(setup, "'console_scripts': extra + [", "'console_scripts': [")
    replace(setup, "extra = []", f"extra = ['new={SCRIPT}']")
    with pytest.raises(UserError, match="not in its list of console_scripts; please take out the lines"):
        patches.unapply(workdir, "new")


FIRST = "from nvidia_tao_pytorch.cv.backbone_v2.hf_new import (\n    new,\n)\n"
IMPORTS = {
    "of the first template": (FIRST, ["new"]),
    "on one line": ("from nvidia_tao_pytorch.cv.backbone_v2.hf_new import new  # noqa: F401\n", ["new"]),
    "relative": ("from .hf_new import new\n", ["new"]),
    "doubled": (FIRST + FIRST, ["new", "new"]),
    "two statements": (FIRST + FIRST.replace("new,", "new_large,"), ["new", "new_large"]),
    "more names": (FIRST.replace("new,", "new,\n    new_large,"), ["new", "new_large"]),
    "another name": (FIRST.replace("new,", "new_large,"), ["new_large"]),
    "renamed": (FIRST.replace("new,", "new as old,"), ["new"]),
    "not listed": (FIRST, []),
    "only listed": ("", ["new"]),
    "another module": (
        "# tao-hf-template: backbone tao_new of new\n" + FIRST.replace("hf_new", "tao_new").replace("new,", "abc,"),
        ["abc"],
    ),
}


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("title", IMPORTS)
def test_a_backbone_of_another_template_becomes_ours(workdir: Path, title: str, last: bool) -> None:
    """The import and the names are there once then, as this template has them; taking them out leaves none."""
    init = workdir / "tao-pytorch" / INIT
    before = snapshot(workdir)
    statements, names = IMPORTS[title]
    place = "\n__all__" if last else "\nfrom nvidia_tao_pytorch.cv.backbone_v2.net"
    replace(init, place, f"{statements}{place}")
    listing = "".join(f'    "{name}",\n' for name in names)
    replace(init, "__all__ = [\n", f"__all__ = [\n{listing}")
    other = init.read_bytes()
    patches.apply(workdir, "new", "hf_new", ["new"])
    tree = ast.parse(init.read_bytes())
    imported = [
        (node.module, alias.name, alias.asname)
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names if "new" in f"{node.module} {alias.name}"
    ]  # fmt: skip
    module = "hf_new" if title == "relative" else "nvidia_tao_pytorch.cv.backbone_v2.hf_new"
    assert imported == [(module, "new", None)]
    assert sorted(listed(init.read_bytes())) == ["BACKBONE_REGISTRY", "net_tiny", "new"]
    assert patches.edits(workdir, "new", "hf_new", ["new"]) == {}
    assert patches.apply(workdir, "new", "hf_new", ["new"]) == []
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before
    init.write_bytes(other)
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before


def test_a_backbone_moves_from_file_to_file(workdir: Path) -> None:
    """A later template may name its file as it likes, and register more, fewer or no backbones."""
    before = snapshot(workdir)
    init = workdir / "tao-pytorch" / INIT
    for module, names in (("hf_new", ["new"]), ("tao_new", ["new", "abc"]), ("xyz", ["abc"]), ("hf_new", ["new"])):
        assert f"tao-pytorch/{INIT}" in patches.apply(workdir, "new", module, names)
        assert init.read_text().count("tao-hf-template") == init.read_text().count(f"{module} import") == 1
        assert listed(init.read_bytes()) == ["BACKBONE_REGISTRY", "net_tiny", *names]
        assert workdir / "tao-pytorch" / INIT in patches.edits(workdir, "new", "hf_new", ["other"])
    patches.apply(workdir, "new", "xyz", ["abc"])
    patches.apply(workdir, "new")
    assert init.read_bytes() == before[f"tao-pytorch/{INIT}"][0]
    patches.apply(workdir, "new", "xyz", ["abc"])
    patches.unapply(workdir, "new")
    assert snapshot(workdir) == before


def test_a_backbone_that_the_person_added_stays_imported(workdir: Path) -> None:
    """A name in our import that the file defines is kept; one that it does not define would break every import."""
    init = workdir / "tao-pytorch" / INIT
    file = write(init.with_name("hf_new.py"), "def new(): pass\n\n\ndef mine(): pass\n")
    patches.apply(workdir, "new", "hf_new", ["new", "gone"])
    replace(init, "    gone,\n", "    gone,\n    mine,\n")
    replace(init, '    "gone",\n', '    "gone",\n    "mine",\n')
    patches.apply(workdir, "new", "hf_new", ["new"])
    assert "import (\n    new,\n    mine,\n)\n" in init.read_text()
    assert listed(init.read_bytes()) == ["BACKBONE_REGISTRY", "net_tiny", "new", "mine"]
    assert patches.edits(workdir, "new", "hf_new", ["new"]) == {}
    file.unlink()
    assert patches.apply(workdir, "new", "hf_new", ["new"]) == [f"tao-pytorch/{INIT}"]
    assert "mine" not in init.read_text()


def test_a_name_that_others_import_too_stays_listed(workdir: Path) -> None:
    """Taking our import out leaves the entry in ``__all__`` that another import needs."""
    init = workdir / "tao-pytorch" / INIT
    before = init.read_bytes()
    patches.apply(workdir, "new", "hf_new", ["net_tiny"])
    assert listed(init.read_bytes()).count("net_tiny") == 1
    patches.unapply(workdir, "new", "hf_new")
    assert init.read_bytes() == before


def test_edits_are_computed_without_writing(workdir: Path) -> None:
    """What `apply` would write is known before, and nothing is known once it is written."""
    before = snapshot(workdir)
    edits = patches.edits(workdir, "new", "hf_new", ["new"])
    assert snapshot(workdir) == before
    assert sorted(path.relative_to(workdir).as_posix() for path in edits) == sorted(FILES)
    patches.apply(workdir, "new", "hf_new", ["new"])
    assert {path: path.read_bytes() for path in edits} == edits
    assert patches.edits(workdir, "new", "hf_new", ["new"]) == {}


# --- any layout, any sequence of versions ------------------------------------------------------------

MODELS = {"new": ["hf_new", "tao_new", "x"], "new_b": ["hf_new_b", "new_b_hf"]}
ENTRIES = ["entrypoint.{}:main", "run:cli", "entrypoint.main:main"]


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, list[str], int]]:
    """Draw what templates of several versions do: model, module (or -1: out), names, form of the entry."""
    one = st.sampled_from(list(MODELS)).flatmap(
        lambda model: st.tuples(
            st.just(model),
            st.integers(-1, len(MODELS[model]) - 1),
            st.lists(st.sampled_from([model, f"{model}_l", f"{model}_xl"]), min_size=1, unique=True),
            st.integers(0, len(ENTRIES) - 1),
        )
    )
    return draw(st.lists(one, min_size=1, max_size=5))


@settings(max_examples=250, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(layouts(), steps(), st.booleans())
def test_any_sequence_of_versions_leaves_one_registration_and_then_none(
    content: bytes, sequence: list[tuple[str, int, list[str], int]], import_first: bool
) -> None:
    """Whatever modules, names and entry points were used before, the last ones are there once."""
    content = content.replace(b"import os; ", b"")  # a line of its own is what an import has to have
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    bom, rest = content[: content.count(b"\xef\xbb\xbf") * 3], content.removeprefix(b"\xef\xbb\xbf")
    if import_first:
        init = bom + b"# -*- coding: utf-8 -*-" + newline + b"import first" + newline + rest
    else:
        init = content + newline + b"import first"
    setup = content.replace(b"__all__ =", b"entries =") + newline + b"setup(console_scripts=entries)"
    before = (init, setup, listed(init))
    there: dict[str, tuple[str, list[str]]] = {}
    for model, at, names, form in sequence:
        scripts = [f"{model}=nvidia_tao_pytorch.cv.{model}.{entry.format(model)}" for entry in ENTRIES]
        if at < 0:
            init, setup = (patches.without(file, text, model) for file, text in ((INIT, init), ("setup.py", setup)))
            there.pop(model, None)
        else:
            init = backbone_imports.with_backbone(init, model, MODELS[model][at], names)
            assert backbone_imports.with_backbone(init, model, MODELS[model][at], names) == init
            setup = console_scripts.with_script(setup, scripts[form])
            there[model] = (scripts[form], names)
        assert sorted(listed(init)) == sorted([*before[2], *(name for _, names in there.values() for name in names)])
        entries = python_lists.strings(console_scripts.entries(ast.parse(setup)))
        assert sorted(entries) == sorted([*before[2], *(script for script, _ in there.values())])
        assert init.count(b"tao-hf-template") == init.count(b"from nvidia_tao_pytorch") == len(there)
    for model in MODELS:
        init, setup = patches.without(INIT, init, model), patches.without("setup.py", setup, model)
    assert (init, setup) == before[:2]


# --- git and the real thing ------------------------------------------------------------


def test_only_ours_tells_our_changes_from_theirs(workdir: Path, own_git: Path) -> None:
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
