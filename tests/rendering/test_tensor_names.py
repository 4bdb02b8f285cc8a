"""Checkpoints in the names of published files load whole in another transformers version."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tao_hf.runtime.kinds import get_runtime
from tests.support.paths import in_runtime
from tests.support.renderings import rendered, segmenter_context

FILE = "tao-pytorch/nvidia_tao_pytorch/cv/tiny_vit/model/tensor_names.py"


@pytest.fixture(scope="module")
def interpreters() -> Mapping[str, Path]:
    """Return the interpreter of the local runtime, and the one in the versions of the TAO image."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TAO_HF_PYTHON", raising=False)
        for versions in ("", "tao-7.0.1"):
            patch.setenv("TAO_HF_VERSIONS", versions)
            runtime = get_runtime("local")
            runtime.prepare()
            found[versions] = runtime.python
    return found


@pytest.mark.runtime
@pytest.mark.parametrize(("saved", "loaded"), [("", "tao-7.0.1"), ("tao-7.0.1", "")])
def test_a_checkpoint_of_one_version_is_one_of_the_other(
    saved: str, loaded: str, interpreters: Mapping[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "tensor_names.py"
    file.write_text(rendered(segmenter_context())[FILE], encoding="utf-8")

    def run(what: str, versions: str) -> str:
        command = [str(interpreters[versions]), "-W", "ignore", "-m", "tests.support.checkpoint_cases", what]
        done = subprocess.run(
            [*command, str(file), str(tmp_path)],
            env={**os.environ, **in_runtime()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()[-1]

    run("save", saved)
    differences = json.loads(run("load", loaded))
    assert set(differences) == {"vit", "swin", "segformer", "rt_detr"}
    assert max(differences.values()) < 1e-4
