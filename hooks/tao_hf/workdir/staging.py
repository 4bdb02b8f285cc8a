"""Takes what was rendered into ``.tao-hf/MODEL/incoming`` into the repositories, and writes it into the ledger.

The whole result is in the ledger before the first file is touched, and every file is replaced as a whole. So a command
that is killed at any point leaves old files and new ones but no broken one, and the next command goes on where it was.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tao_hf.base import atomic
from tao_hf.base.errors import UserError
from tao_hf.workdir import merge
from tao_hf.workdir.ledger import Commit, Ledger
from tao_hf.workdir.merge import Change

_SHOWN = 3


def incoming(workdir: Path, model: str) -> Path:
    """Return the folder that Copier renders a model into."""
    return workdir / ".tao-hf" / model / "incoming"


def answers_file(model: str) -> str:
    """Return where a model's answers are, relative to the working directory."""
    return f".tao-hf/{model}/answers.yml"


def model_file(model: str) -> str:
    """Return where a model's record is, relative to the working directory."""
    return f".tao-hf/{model}/model.json"


def generated(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of `files` that belong into the repositories: all but answers and record."""
    return {path: content for path, content in files.items() if not path.startswith(".tao-hf/")}


def clear(workdir: Path, model: str) -> None:
    """Remove what a rendering that was not taken in has left."""
    shutil.rmtree(incoming(workdir, model), ignore_errors=True)


def rendered(workdir: Path, model: str) -> dict[str, bytes]:
    """Return the generated files of a rendering that waits to be taken in, by their later paths."""
    folder = incoming(workdir, model)
    paths = (path for path in folder.glob("*/**/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def on_disk(workdir: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """Return those of `paths` that are there, with their content.

    Raises:
        UserError: A folder is in the place of a file, or a file cannot be read.
    """
    found = {}
    for name in paths:
        try:
            found[name] = (workdir / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(f"{workdir / name} cannot be read ({error.strerror}); nothing was changed.") from error
    return found


def take_in(workdir: Path, model: str, operation: str, label: str) -> list[Change]:
    """Merge a rendering into the repositories.

    Args:
        workdir: The working directory.
        model: The model, rendered into its `incoming` folder.
        operation: What is being done: ``copy`` or ``update``.
        label: Name of the template's version, for people: in the ledger and in conflict blocks.

    Returns:
        What became of every generated file.

    Raises:
        UserError: A file is in the way on the first copy, or the disk does not let us. Files that were written by
            then stay; the next command goes on from there.
    """
    ledger = Ledger(workdir)
    ledger.create()
    finish(workdir, model)
    template = ledger.tip(f"template/{model}")
    recorded = ledger.files(template) if template else {}
    base, theirs = generated(recorded), rendered(workdir, model)
    ours = on_disk(workdir, {*base, *theirs})
    if operation == "copy":  # who copies again wants missing files back; an update respects that they were deleted
        base = {path: content for path, content in base.items() if path in ours or path not in theirs}
    tip = ledger.tip(f"ledger/{model}")
    kept = on_disk(workdir, (set(ledger.files(tip)) if tip else set()) - {*base, *theirs})  # edited, and dropped since
    if template is None:
        _refuse_foreign(workdir, ours, theirs)
    changes = merge.merge(base, ours, theirs, label)
    answers = on_disk(workdir, [answers_file(model)])
    record = {model_file(model): (incoming(workdir, model) / "model.json").read_bytes()}
    rendering = Commit(f"{model}: {label}", (template,) if template else (), {**theirs, **answers, **record})
    after = {change.path: change.after for change in changes if change.after is not None}
    news = rendering if rendering.files != recorded else template
    _carry_out(workdir, model, {**ours, **kept}, {**after, **kept}, news, operation, label)
    return changes


def go_back(workdir: Path, model: str) -> list[Change]:
    """Put the files of a model back to what they were before its last update, with its answers.

    Returns:
        What became of every generated file.

    Raises:
        UserError: There is no update to take back, or the disk does not let us.
    """
    ledger = Ledger(workdir)
    commit, earlier = _last_update(ledger, model)
    after = ledger.files(ledger.parents(commit)[0])
    ours = on_disk(workdir, {*after, *ledger.files(commit)})
    title = ledger.message(commit).partition("\n")[0]
    _carry_out(workdir, model, ours, after, ledger.parents(earlier)[1], "undo", f"of {title!r}")
    return [
        Change(path, "same" if ours.get(path) == after.get(path) else "updated", ours.get(path), after.get(path))
        for path in sorted({*ours, *after})
    ]


def put_back(workdir: Path, model: str) -> list[str]:
    """Write those files of a model that are missing as the ledger recorded them last; return them.

    The answers are put back when they differ from the recorded ones; what was there is kept beside them.
    """
    ledger = Ledger(workdir)
    finish(workdir, model)
    files = ledger.files(f"refs/heads/ledger/{model}")
    records = ledger.files(f"refs/heads/template/{model}")
    now = on_disk(workdir, files)
    wanted = {path: content for path, content in files.items() if path not in now}
    answers = answers_file(model)
    if on_disk(workdir, [answers]).get(answers) != records[answers]:
        wanted[answers] = records[answers]
        if (workdir / answers).exists():
            (workdir / answers).replace(workdir / f"{answers}.edited")
    for path, content in wanted.items():
        _replace(workdir / path, content)
    return sorted(wanted)


def adopt(workdir: Path, model: str, rendering: Mapping[str, bytes]) -> None:
    """Begin a ledger for a model that is there already.

    Args:
        workdir: The working directory.
        model: The model.
        rendering: What the template rendered for the model's present version: files, answers and model.json.
    """
    ledger = Ledger(workdir)
    ledger.create()
    template = ledger.write(f"template/{model}", [Commit(f"{model}: rendered again", (), rendering)])[-1]
    ours = on_disk(workdir, generated(rendering))
    _carry_out(workdir, model, ours, ours, template, "adoption", "because the ledger did not know it")


def finish(workdir: Path, model: str) -> bool:
    """Go on with an operation that was interrupted while it changed files; tell whether there was one."""
    ledger = Ledger(workdir)
    pending = ledger.tip(_pending(model))
    if pending is None:
        return False
    before, template = ledger.parents(pending)
    _write(workdir, ledger, before, pending)
    records = ledger.files(template)
    atomic.sweep([workdir / model_file(model), workdir / answers_file(model)])
    _replace(workdir / model_file(model), records[model_file(model)])
    if _operation(ledger, pending) == "undo":
        _replace(workdir / answers_file(model), records[answers_file(model)])
    ledger.move({f"ledger/{model}": pending, f"template/{model}": template, _pending(model): None})
    return True


def remove_empty(folder: Path, workdir: Path) -> None:
    """Remove a folder that is gone or holds nothing but Python's caches, and those above it that are empty then."""
    while folder.parent not in (workdir, folder) and not folder.is_symlink():
        if folder.is_dir():
            if any(entry.name != "__pycache__" for entry in folder.iterdir()):
                return
            shutil.rmtree(folder)
        folder = folder.parent


def _pending(model: str) -> str:
    return f"refs/tao-hf/pending/{model}"


def _carry_out(
    workdir: Path, model: str, before: Mapping[str, bytes], after: Mapping[str, bytes],
    rendering: Commit | str | None, operation: str, label: str,
) -> None:  # fmt: skip
    """Write into the ledger what is on the disk, what was rendered and what is to be, then carry that out."""
    ledger = Ledger(workdir)
    tip = ledger.tip(f"ledger/{model}")
    commits: list[Commit] = []
    parents: list[int | str] = []
    if tip and ledger.files(tip) == before:
        parents.append(tip)
    else:
        parents.append(len(commits))
        commits.append(Commit(f"{model}: as it was before the {operation}", (tip,) if tip else (), before))
    if isinstance(rendering, Commit):
        parents.append(len(commits))
        commits.append(rendering)
    else:
        parents.append(str(rendering))
    if commits or before != after or operation == "undo":
        title = f"{model}: {operation}, {label}"
        commits.append(Commit(f"{title}\n\nOperation: {operation}\n", tuple(parents), after))
        ledger.write(_pending(model), commits)
        finish(workdir, model)


def _write(workdir: Path, ledger: Ledger, before: str, after: str) -> None:
    """Turn the files of one commit into those of another, on a disk that may be anywhere between them."""
    old, new = ledger.files(before), ledger.files(after)
    atomic.sweep(workdir / name for name in {*old, *new} if (workdir / name).parent.is_dir())
    now = on_disk(workdir, {*old, *new})
    for change in merge.merge(old, now, new, "interrupted update"):
        if change.before == change.after:
            continue
        path = workdir / change.path
        if change.after is not None:
            _replace(path, change.after)
        else:
            path.unlink(missing_ok=True)
            remove_empty(path.parent, workdir)


def _replace(path: Path, content: bytes) -> None:
    advice = "make room there or make it writable, and run the same command again: it goes on from here"
    atomic.write(path, content, advice)


def _refuse_foreign(workdir: Path, ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> None:
    """Refuse a first copy over files that are not the template's."""
    foreign = sorted(path for path, content in ours.items() if content != theirs[path])
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise UserError(
            f"{', '.join(foreign[:_SHOWN])}{more} in {workdir} would be overwritten, and the ledger does not know "
            "that the template made it; move it away, or choose another model_name."
        )


def _history(ledger: Ledger, model: str) -> Iterable[tuple[str, str]]:
    """Yield the commits of ``ledger/MODEL`` from the newest back, each with the operation that made it (or "")."""
    commit = ledger.tip(f"ledger/{model}")
    while commit:
        yield commit, _operation(ledger, commit)
        commit = next(iter(ledger.parents(commit)), None)


def _last_update(ledger: Ledger, model: str) -> tuple[str, str]:
    """Return the result of the last update that was not taken back, and that of the operation before it."""
    done = [(commit, operation) for commit, operation in _history(ledger, model) if operation]
    undone = 0
    for (commit, operation), (earlier, _) in itertools.pairwise(done):
        if operation == "undo":
            undone += 1
        elif operation == "update" and undone:
            undone -= 1
        elif operation == "update":
            return commit, earlier
    raise UserError(f"There is no update of {model} to take back.")


def _operation(ledger: Ledger, commit: str) -> str:
    found = re.search(r"^Operation: (\w+)", ledger.message(commit), re.MULTILINE)
    return found.group(1) if found else ""
