"""Many models in one working directory: each is alone with its files, and the next one takes no longer."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.template_versions import Template, tao_hf, update

pytestmark = pytest.mark.runtime

OPT = "tao-pytorch/nvidia_tao_pytorch/cv/MODEL/utils/optimization.py"
SLOWER = 1.3


def refs(workdir: Path, model: str) -> str:
    """Return the ledger's branches of a model with their commits."""
    listed = ["git", "for-each-ref", f"refs/heads/*/{model}", f"refs/tao-hf/**/{model}"]
    return subprocess.run(listed, cwd=workdir, check=True, capture_output=True, text=True).stdout


def state(workdir: Path, model: str) -> tuple[dict[str, bytes], str]:
    """Return the files, the answers and the ledger's branches of a model."""
    homes = [workdir / ".tao-hf" / model, *(path for path in workdir.glob("tao-*/**/" + model) if path.is_dir())]
    files = {str(path): path.read_bytes() for home in homes for path in home.rglob("*") if path.is_file()}
    assert len(files) > 20
    return files, refs(workdir, model)


def make(template: Template, workdir: Path, hf_model: Path, count: int) -> tuple[list[str], list[float]]:
    """Copy models into a working directory; return their names, and the seconds that each took."""
    names, seconds = [f"vit_{number:02d}" for number in range(1, count + 1)], []
    for name in names:
        start = time.monotonic()
        done = template.copy(workdir, hf_model, model_name=name)
        seconds.append(time.monotonic() - start)
        assert done.returncode == 0, done.stdout
    return names, seconds


def update_one_and_then_all(template: Template, workdir: Path, names: list[str]) -> None:
    """Update one model, which leaves the others as they are to the byte, then all of them."""
    one, others = names[1], [name for name in names if name != names[1]]
    for name in names:
        edited = workdir / OPT.replace("MODEL", name)
        edited.write_text(f"# {name}\n{edited.read_text(encoding='utf-8')}", encoding="utf-8")
    template.release(lambda new: new.append(OPT, "# from the template\n"))
    before = {name: state(workdir, name) for name in others}
    done = update(workdir, "-a", f".tao-hf/{one}/answers.yml")
    assert done.returncode == 0, done.stdout
    assert {name: state(workdir, name) for name in others} == before
    done = tao_hf(workdir, "update", "--all")
    assert done.returncode == 0, done.stdout
    for name in names:
        merged = (workdir / OPT.replace("MODEL", name)).read_text(encoding="utf-8")
        assert merged.startswith(f"# {name}\n") and merged.count("# from the template\n") == 1, name
        assert "_commit: 0.2.0" in (workdir / f".tao-hf/{name}/answers.yml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_few_models(template: Template, tiny_vit: Path, tmp_path: Path) -> None:
    names, _ = make(template, tmp_path / "workdir", tiny_vit, 3)
    update_one_and_then_all(template, tmp_path / "workdir", names)


@pytest.mark.exhaustive
def test_fifty_models(
    template: Template, tiny_vit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fiftieth copy takes no longer than the second, the first one that finds the repositories in place."""
    names, seconds = make(template, tmp_path / "workdir", tiny_vit, int(os.environ.get("TEST_MODELS", "50")))
    with capsys.disabled():
        print("\nseconds per copy:", " ".join(f"{taken:.1f}" for taken in seconds))
    assert min(seconds[-3:]) <= SLOWER * seconds[1]
    update_one_and_then_all(template, tmp_path / "workdir", names)
