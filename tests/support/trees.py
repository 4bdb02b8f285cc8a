"""A working directory with one rendered classifier, small enough to copy for every test.

The model's files are the template's own output. What lies around them, tao-core's field helpers and base classes and
the files that patches extend, is cut down to what those files touch.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tao_hf.clones import patches
from tests.support import renderings
from tests.support.paths import ROOT

MODEL = "tiny_vit"

FIELDS = '''
"""Field helpers with the signatures of tao-core's."""
import copy
from dataclasses import field


def _field(value, **_):
    return field(default=value)


def LIST_FIELD(arrList, **_):
    return field(default=arrList) if arrList == "???" else field(default_factory=lambda: copy.deepcopy(arrList))


def DATACLASS_FIELD(hyperparam_obj, **_):
    return field(default_factory=lambda: copy.deepcopy(hyperparam_obj))


STR_FIELD = INT_FIELD = FLOAT_FIELD = BOOL_FIELD = _field
'''

COMMON = '''
"""Base sections, cut down to the fields that specs set."""
from dataclasses import dataclass, field
from typing import List, Optional


@dataclass
class TrainConfig:
    num_gpus: int = 1
    gpu_ids: List[int] = field(default_factory=lambda: [0])
    num_nodes: int = 1
    seed: int = 1234
    num_epochs: int = 10
    checkpoint_interval: int = 1
    validation_interval: int = 1
    resume_training_checkpoint_path: Optional[str] = None
    results_dir: Optional[str] = None


@dataclass
class EvaluateConfig:
    num_gpus: int = 1
    gpu_ids: List[int] = field(default_factory=lambda: [0])
    checkpoint: str = "???"
    trt_engine: Optional[str] = None
    results_dir: Optional[str] = None
    batch_size: int = -1


@dataclass
class InferenceConfig(EvaluateConfig):
    pass


@dataclass
class ExportConfig:
    results_dir: Optional[str] = None
    gpu_id: int = 0
    checkpoint: str = "???"
    onnx_file: str = "???"
    on_cpu: bool = False
    batch_size: int = -1
    verbose: bool = False


@dataclass
class CalibrationConfig:
    cal_image_dir: List[str] = "???"
    cal_cache_file: str = "???"
    cal_batch_size: int = 1
    cal_batches: int = 1


@dataclass
class TrtConfig:
    workspace_size: int = 1024
    min_batch_size: int = 1
    opt_batch_size: int = 1
    max_batch_size: int = 1
    layers_precision: Optional[List[str]] = None


@dataclass
class GenTrtEngineConfig:
    results_dir: Optional[str] = None
    gpu_id: int = 0
    onnx_file: str = "???"
    trt_engine: Optional[str] = None
    batch_size: int = -1
    verbose: bool = False


@dataclass
class CommonExperimentConfig:
    model_name: Optional[str] = None
    encryption_key: Optional[str] = None
    results_dir: Optional[str] = None
'''

SETUP = """from setuptools import setup

setup(
    name="{package}",
    entry_points={{
        'console_scripts': [
            'segformer={package}.cv.segformer.entrypoint.segformer:main',
        ]
    }},
)
"""

BACKBONES = '''"""Backbones."""
from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.backbone_v2.vit import vit_base_patch16

__all__ = [
    "BACKBONE_REGISTRY",
    "vit_base_patch16",
]
'''

SURROUNDINGS = {
    "tao-core/nvidia_tao_core/__init__.py": "",
    "tao-core/nvidia_tao_core/config/__init__.py": "",
    "tao-core/nvidia_tao_core/config/utils/__init__.py": "",
    "tao-core/nvidia_tao_core/config/utils/types.py": FIELDS,
    "tao-core/nvidia_tao_core/config/common/__init__.py": "",
    "tao-core/nvidia_tao_core/config/common/common_config.py": COMMON,
    "tao-pytorch/setup.py": SETUP.format(package="nvidia_tao_pytorch"),
    "tao-deploy/setup.py": SETUP.format(package="nvidia_tao_deploy"),
    "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__init__.py": BACKBONES,
}


def build(root: Path, names: dict[str, Any] | None = None) -> Path:
    """Write the working directory into `root` and return `root`.

    Args:
        root: An empty folder.
        names: What the templates see; a classifier called `MODEL` without.
    """
    for name, text in SURROUNDINGS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip("\n"), encoding="utf-8")
    names = names or renderings.classifier_context(model_name=MODEL)
    for repo in ("tao-core", "tao-pytorch", "tao-deploy"):
        renderings.render(repo, names, root / repo)
    scratch = root / ".tao-hf"
    shutil.copytree(
        ROOT / "hooks" / "tao_hf",
        scratch / "lib" / "tao_hf",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "hooks" / "tao-hf", root / "tao-hf")
    (scratch / MODEL).mkdir()
    (scratch / MODEL / "model.json").write_text(json.dumps(names["model_record"]), encoding="utf-8")
    sources = {
        repo: {"source": "embedded", "version": "7.0.1", "path": repo, "commit": None}
        for repo in ("tao-core", "tao-pytorch", "tao-deploy")
    }
    record = {"template_version": "0", "runtime": "local", "repos": sources}
    (scratch / "workdir.json").write_text(json.dumps(record), encoding="utf-8")
    patches.apply(root, MODEL, **{f"backbone_{key}": value for key, value in names["model_record"]["backbone"].items()})
    return root
