"""What generated code sees of tao-pytorch: the stand-in and, when a clone can be had, the real one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tao_hf.clones import sources
from tests.support.paths import STANDINS

pytestmark = pytest.mark.runtime


MODEL = '''
"""A model as small as can be, in TAO's shape."""

from dataclasses import dataclass, field
from typing import Optional

import torch
from nvidia_tao_core.config.common.common_config import CommonExperimentConfig, TrainConfig
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from nvidia_tao_pytorch.core.callbacks.ema import EMA, EMAModelCheckpoint
from nvidia_tao_pytorch.core.lightning.tao_lightning_module import TAOLightningModule


@dataclass
class Data:
    images: int = 8
    batch_size: int = 4


@dataclass
class Train(TrainConfig):
    enable_ema: bool = False
    fail_at_epoch: int = -1


@dataclass
class Section:
    results_dir: Optional[str] = None
    checkpoint: str = ""
    num_gpus: int = 1
    gpu_ids: list[int] = field(default_factory=lambda: [0])


@dataclass
class Experiment(CommonExperimentConfig):
    dataset: Data = field(default_factory=Data)
    model: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    evaluate: Section = field(default_factory=Section)
    inference: Section = field(default_factory=Section)


class Points(LightningDataModule):
    def __init__(self, config):
        super().__init__()
        self.config = config

    def train_dataloader(self):
        torch.manual_seed(0)
        inputs = torch.randn(self.config.images, 3)
        data = TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))
        return DataLoader(data, batch_size=self.config.batch_size, drop_last=True)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class Line(TAOLightningModule):
    def __init__(self, experiment_spec):
        super().__init__(experiment_spec)
        self.layer = torch.nn.Linear(3, 1)
        self.checkpoint_filename = "line_model"
        self.validated_with = []

    def configure_callbacks(self):
        callbacks = super().configure_callbacks()
        if not self.experiment_spec["train"]["enable_ema"]:
            return callbacks
        plain = callbacks[1]
        averaged = EMAModelCheckpoint(
            dirpath=plain.dirpath, filename=plain.filename, every_n_epochs=1, save_on_train_epoch_end=True,
            monitor=None, save_top_k=-1, save_last="link", enable_version_counter=False,
        )
        return [callbacks[0], EMA(decay=0.9), averaged, *callbacks[2:]]

    def training_step(self, batch, batch_idx):
        if self.current_epoch == self.experiment_spec["train"]["fail_at_epoch"]:
            raise RuntimeError("made to fail")
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.validated_with.append(self.layer.weight.detach().clone())

    def test_step(self, batch, batch_idx):
        return None

    def predict_step(self, batch, batch_idx):
        return self.layer(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def cpu(trainer_kwargs):
    return {**trainer_kwargs, "accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
'''

TRAIN = """
import json
import os

from pytorch_lightning import Trainer

from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.core.initialize_experiments import initialize_train_experiment
from nvidia_tao_pytorch.core.tlt_logging import obfuscate_logs
from tiny.model import Experiment, Line, Points, cpu


@hydra_runner(config_path="/nowhere", config_name="spec", schema=Experiment)
@monitor_status(name="Tiny", mode="train")
def main(cfg):
    obfuscate_logs(cfg)
    resume, trainer_kwargs = initialize_train_experiment(cfg, cfg.encryption_key)
    print("FOUND " + json.dumps({
        "visible": os.environ["TAO_VISIBLE_DEVICES"], "accelerator": trainer_kwargs["accelerator"],
        "devices": trainer_kwargs["devices"], "checkpointing": trainer_kwargs["enable_checkpointing"],
        "resume": resume and os.path.basename(resume), "cwd": os.getcwd(), "gpu_ids": list(cfg.train.gpu_ids),
    }))
    module = Line(cfg)
    Trainer(**cpu(trainer_kwargs)).fit(module, Points(cfg.dataset), ckpt_path=resume)


if __name__ == "__main__":
    main()
"""

ENTRY = """
import argparse

from nvidia_tao_pytorch.core.entrypoint import command_line_parser, get_subtasks, launch
from tiny import scripts

subtasks = get_subtasks(scripts)
args, rest = command_line_parser(argparse.ArgumentParser("tiny"), subtasks)
launch(vars(args), rest, subtasks, network="tiny")
"""

INSIDE = r'''
"""Runs the sections below, each with a dictionary ``found`` of its own, and prints all of them."""

import json
import os
import traceback


def refused(action, *kinds):
    try:
        action()
    except kinds as error:
        return type(error).__name__
    return None


SECTIONS = {}


def section(function):
    SECTIONS[function.__name__] = function


@section
def core(found):
    import torch
    from omegaconf import OmegaConf
    from tiny.model import Experiment, Line
    from nvidia_tao_pytorch.core.initialize_experiments import (
        initialize_evaluation_experiment, initialize_inference_experiment, initialize_train_experiment,
    )
    from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
    from nvidia_tao_pytorch.core.types.nvdsinfer import BaseNvDSPropertyConfig
    from nvidia_tao_pytorch.core.utilities import encrypt_onnx, update_results_dir, write_classes_file
    from nvidia_tao_pytorch.core.utils.ptm_utils import StateDictAdapter, load_pretrained_weights

    def spec(**train):
        return OmegaConf.merge(OmegaConf.structured(Experiment), {"results_dir": "core", "train": train})

    found["no devices"] = refused(lambda: initialize_evaluation_experiment(spec()), KeyError)
    os.environ["TAO_VISIBLE_DEVICES"] = "0, 2"
    cfg = spec()
    cfg.evaluate.checkpoint = "a.pth"
    path, kwargs = initialize_evaluation_experiment(cfg, "key")
    found["evaluate"] = [path, sorted(kwargs), kwargs["devices"], cfg.evaluate.num_gpus]
    found["passphrase"] = TLTPyTorchCookbook.get_passphrase()
    found["inference"] = sorted(initialize_inference_experiment(spec())[1])
    for name in ("checkpoint_interval", "validation_interval"):
        too_long = spec(num_epochs=2, **{name: 3})
        found[name] = refused(lambda: initialize_train_experiment(too_long), AssertionError)

    os.makedirs("core", exist_ok=True)  # a status logger wants its directory
    unnamed = Line(spec())
    unnamed.checkpoint_filename = None
    found["unnamed"] = refused(unnamed.configure_callbacks, NotImplementedError)

    cfg = spec()
    found["results"] = update_results_dir(cfg, "train").train.results_dir
    cfg = OmegaConf.structured(Experiment)
    cfg.results_dir = None
    found["no results"] = refused(lambda: update_results_dir(cfg, "train"), ValueError)

    found["classes"] = write_classes_file("made/classes.txt", ["b", "a"], "\n")
    found["classes text"] = open("made/classes.txt", encoding="utf-8").read()
    found["deepstream"] = str(BaseNvDSPropertyConfig(network_type=1, labelfile_path="labels.txt"))
    wrong = BaseNvDSPropertyConfig(infer_dims=[5, 8, 8])
    found["deepstream refused"] = refused(lambda: str(wrong), AssertionError)

    adapter = StateDictAdapter()
    adapter.add("tiny", "model.")
    found["adapter twice"] = refused(lambda: adapter.add("tiny", "x."), ValueError)
    found["adapter unknown"] = refused(lambda: adapter.get("other"), ValueError)
    weights = {"model.a": torch.ones(1), "model.model.b": torch.ones(1), "c": torch.ones(1)}
    torch.save({"tao_model": "tiny", "state_dict": weights}, "tao.pth")
    found["adapted"] = sorted(load_pretrained_weights("tao.pth", weights_only=True, ptm_adapter=adapter))
    torch.save({"model": {"module.a": torch.ones(1)}}, "public.pth")
    parse = lambda state: {name.upper(): value for name, value in state.items()}
    found["parsed"] = sorted(load_pretrained_weights("public.pth", parser=parse))
    encrypted = {"state_dict_encrypted": True, "state_dict": b"x"}
    TLTPyTorchCookbook.set_passphrase(None)
    found["encrypted"] = refused(lambda: load_pretrained_weights(encrypted), PermissionError)
    open("plain.onnx", "wb").write(b"onnx")
    found["encrypt"] = refused(lambda: encrypt_onnx("plain.onnx", "secret.onnx", "k"), NotImplementedError)


@section
def backbones(found):
    import torch
    from nvidia_tao_pytorch.cv import backbone_v2
    from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
    from nvidia_tao_pytorch.cv.backbone_v2.backbone_base import BackboneBase
    from nvidia_tao_pytorch.cv.backbone_v2.nn.norm import FrozenBatchNorm2d

    @BACKBONE_REGISTRY.register()
    def mine():
        return 1

    found["get"] = BACKBONE_REGISTRY.get("mine")()
    found["contains"] = ["mine" in BACKBONE_REGISTRY, "other" in BACKBONE_REGISTRY]
    found["iterates"] = dict(iter(BACKBONE_REGISTRY))["mine"] is mine
    found["twice"] = refused(lambda: BACKBONE_REGISTRY.register(mine), AssertionError)
    found["unknown"] = refused(lambda: BACKBONE_REGISTRY.get("other"), KeyError)
    found["listed"] = [name in backbone_v2.__all__ and name in BACKBONE_REGISTRY
                       for name in ("resnet_18", "resnet_34", "resnet_50", "vit_base_patch16")]

    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    resnet = BACKBONE_REGISTRY.get("resnet_18")(num_classes=5, freeze_at=[0, 1]).eval()
    found["scores"] = list(resnet(images).shape)
    found["features"] = list(resnet.forward_pre_logits(images).shape)
    pyramid = resnet.forward_feature_pyramid(images)
    found["pyramid"] = {name: list(features.shape) for name, features in pyramid.items()}
    parts = (resnet.conv1, resnet.layer1, resnet.layer2)
    found["frozen"] = [next(part.parameters()).requires_grad for part in parts]
    found["settings"] = [resnet.in_chans, resnet.num_classes, resnet.activation_checkpoint, resnet.freeze_at]
    every = BACKBONE_REGISTRY.get("resnet_18")(freeze_at="all")
    found["all frozen"] = any(parameter.requires_grad for parameter in every.parameters())
    normless = BACKBONE_REGISTRY.get("resnet_18")(freeze_norm=True)
    found["norms"] = type(normless.bn1) is FrozenBatchNorm2d
    found["bad freeze"] = refused(lambda: BACKBONE_REGISTRY.get("resnet_18")(freeze_at="some"), ValueError)

    class Half(BackboneBase):
        def get_stage_dict(self):
            return {}
    found["abstract"] = refused(Half, TypeError)

    norm, frozen = torch.nn.BatchNorm2d(3).eval(), FrozenBatchNorm2d(3)
    for buffer in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(buffer, 0.5, 2)
    frozen.load_state_dict(norm.state_dict())
    found["norm agrees"] = bool(torch.allclose(norm(images), frozen(images), atol=1e-5))


@section
def training(found):
    import torch
    from omegaconf import OmegaConf
    from tiny.model import Experiment
    from tiny.scripts.train import main
    from nvidia_tao_pytorch.core.entrypoint import launch

    os.environ["TAO_VISIBLE_DEVICES"] = "0"

    def fit(results_dir, **values):
        cfg = OmegaConf.merge(OmegaConf.structured(Experiment), {"results_dir": results_dir, **values})
        try:
            main(cfg)
        except (ValueError, RuntimeError) as error:
            return str(error)
        return None

    found["small"] = fit("small", dataset={"images": 3})
    found["kind"] = fit("kind", train={"resume_training_checkpoint_path": "weights.bin"})
    found["failed"] = fit("failed", train={"num_epochs": 2, "fail_at_epoch": 1})
    found["resumed"] = fit("failed", train={"num_epochs": 3})
    for name, spec_file in (("no spec", None), ("absent spec", "absent.yaml")):
        try:
            launch({"subtask": "train", "experiment_spec_file": spec_file}, [], {}, network="tiny")
        except SystemExit as error:
            found[name] = error.code


@section
def launching(found):
    from nvidia_tao_pytorch.core.entrypoint import launch

    with open("fails.py", "w") as script:
        script.write("raise SystemExit(3)")
    with open("tells.py", "w") as script:
        script.write("import os; print(os.environ['TAO_VISIBLE_DEVICES'], file=open('devices.txt', 'a'))")
    with open("third.yaml", "w") as spec:
        spec.write("train: {num_gpus: 1, gpu_ids: [3]}")
    for name, script, spec, overrides in (
        ("failing", "fails.py", "spec.yaml", []),
        ("overridden", "tells.py", "third.yaml", ["train.num_gpus=2"]),
        ("from spec", "tells.py", "third.yaml", []),
    ):
        args = {"subtask": "train", "experiment_spec_file": spec}
        try:
            launch(args, overrides, {"train": {"runner_path": script}}, network="tiny")
        except SystemExit as error:
            found[name] = error.code


@section
def averaging(found):
    import torch
    from omegaconf import OmegaConf
    from pytorch_lightning import Trainer
    from tiny.model import Experiment, Line, Points, cpu
    from nvidia_tao_pytorch.core.initialize_experiments import initialize_train_experiment

    os.environ["TAO_VISIBLE_DEVICES"] = "0"
    os.makedirs("ema", exist_ok=True)
    values = {"results_dir": "ema", "train": {"num_epochs": 2, "enable_ema": True}}
    cfg = OmegaConf.merge(OmegaConf.structured(Experiment), values)
    resume, kwargs = initialize_train_experiment(cfg)
    module = Line(cfg)
    Trainer(**cpu(kwargs)).fit(module, Points(cfg.dataset))
    found["files"] = sorted(name for name in os.listdir("ema") if name.endswith(".pth"))
    found["latest"] = os.path.basename(os.path.realpath("ema/line_model_latest.pth"))
    def weight(name):
        return torch.load(f"ema/{name}.pth", weights_only=False)["state_dict"]["layer.weight"]
    plain, averaged = weight("model_epoch_001_step_00004"), weight("model_epoch_001_step_00004-EMA")
    found["differ"] = bool((plain != averaged).all())
    found["trained is plain"] = bool(torch.equal(module.layer.weight.detach(), plain))
    found["validated with average"] = bool(torch.equal(module.validated_with[-1], averaged))



everything = {}
for name, function in SECTIONS.items():
    everything[name] = {}
    try:
        function(everything[name])
    except Exception:
        everything[name] = {"raised": traceback.format_exc()}
print("SECTIONS " + json.dumps(everything))
'''


class Side(NamedTuple):
    """A tao-pytorch to test: which one, where the tiny model lies, how to run Python there."""

    kind: str
    folder: Path
    run: Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=["stand-in", "real"])
def side(request: pytest.FixtureRequest, runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Side:
    """Return the stand-in, then the real tao-pytorch (skipped with the reason when there is no clone)."""
    clone = STANDINS / "tao_pytorch"
    if request.param == "real":
        clone = request.getfixturevalue("tao_pytorch_clone")
    found = sources.resolve(tmp_path_factory.mktemp("nothing"), "7.0.1", "embedded", "")
    folder = tmp_path_factory.mktemp(request.param)
    for name, text in {
        "tiny/__init__.py": "", "tiny/model.py": MODEL, "tiny/scripts/__init__.py": "",
        "tiny/scripts/train.py": TRAIN, "entry.py": ENTRY, "inside.py": INSIDE,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    spec = "encryption_key: tlt_secret\ntrain:\n  num_epochs: 2\n"
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    path = [str(folder), found["tao-core"]["path"], str(clone), str(STANDINS / "modules")]
    env = {
        **os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONNOUSERSITE": "1",
        "TELEMETRY_OPT_OUT": "yes", "CUDA_VISIBLE_DEVICES": "",
        "PATH": os.pathsep.join([str(runtime_python.parent), os.environ["PATH"]]),
    }  # fmt: skip
    for name in ("TAO_VISIBLE_DEVICES", "WANDB_API_KEY", "CLOUD_BASED"):
        env.pop(name, None)

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(runtime_python), *argv], cwd=folder, env=env, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip

    return Side(request.param, folder, run)


@pytest.fixture(scope="module")
def trained(side: Side) -> subprocess.CompletedProcess[str]:
    """Train the tiny model for two epochs through the command line, results in ``out``."""
    return side.run("entry.py", "train", "-e", "./spec.yaml", "results_dir=out", "train.gpu_ids=[0]")


def report(text: str, mark: str = "FOUND ") -> dict:
    """Return the JSON object that a script printed behind `mark` (the real launcher drops some line ends)."""
    found, _ = json.JSONDecoder().raw_decode(text, text.index(mark) + len(mark))
    return found


def status_lines(path: Path) -> list[dict]:
    """Return the lines of a status.json."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def inside(side: Side) -> dict:
    """Return what the sections of ``inside.py`` found: one process, because importing takes long."""
    done = side.run("inside.py")
    assert done.returncode == 0, done.stdout + done.stderr
    return report(done.stdout, "SECTIONS ")


def test_training_through_the_command_line(side: Side, trained: subprocess.CompletedProcess[str]) -> None:
    """``launch`` runs the script with the spec, passes its output on and exits with 0."""
    assert trained.returncode == 0, trained.stdout + trained.stderr
    found = report(trained.stdout)
    assert found == {
        "visible": "0", "accelerator": "gpu", "devices": [0], "checkpointing": False, "resume": None,
        "cwd": str(side.folder), "gpu_ids": [0],
    }  # fmt: skip
    assert "Execution status: PASS" in trained.stderr
    assert "tlt_secret" not in trained.stdout + trained.stderr, "the encryption key must not be logged"
    assert "Train results will be saved at: out/train" in trained.stdout


def test_checkpoint_names_and_link(side: Side, trained: subprocess.CompletedProcess[str]) -> None:
    """Checkpoints are named by epoch and step; ``<checkpoint_filename>_latest.pth`` links to the newest."""
    results = side.folder / "out" / "train"
    names = sorted(path.name for path in results.glob("*.pth"))
    assert names == [
        "line_model_latest.pth", "model_epoch_000_step_00002.pth", "model_epoch_001_step_00004.pth"
    ]  # fmt: skip
    latest = results / "line_model_latest.pth"
    assert latest.is_symlink() and latest.resolve().name == "model_epoch_001_step_00004.pth"
    assert (results / "experiment.yaml").is_file()
    assert not (side.folder / ".hydra").exists() and not (side.folder / "outputs").exists()


def test_status_json(side: Side, trained: subprocess.CompletedProcess[str]) -> None:
    """status.json tells start, each epoch with its numbers, and the end; all lines have date and time."""
    lines = status_lines(side.folder / "out" / "train" / "status.json")
    assert all({"date", "time", "status", "verbosity"} <= set(line) for line in lines)
    messages = [line.get("message") for line in lines]
    assert messages[0] == "Starting Tiny train."
    assert messages[-1] == "Train finished successfully."
    assert {line["status"] for line in lines} == {"STARTED", "RUNNING"}
    epochs = [line for line in lines if "epoch" in line]
    assert [(line["epoch"], line["max_epoch"], line["step"], line["max_step"]) for line in epochs] == [
        (0, 1, 2, 4), (1, 1, 4, 4),
    ]  # fmt: skip
    assert all({"time_per_epoch", "time_per_step", "eta"} <= set(line) for line in epochs)


def test_launch_tells_devices_and_exit_code(side: Side, inside: dict) -> None:
    """A failing script makes the command exit with 1; GPUs come from the command line, else from the spec."""
    assert inside["launching"] == {"failing": 1, "overridden": 0, "from spec": 0}
    assert (side.folder / "devices.txt").read_text().splitlines() == ["0, 1", "3"]


def test_refusals_reach_status_json(side: Side, inside: dict) -> None:
    """A dataset smaller than a batch, and a checkpoint of another kind, are refused and noted as failures."""
    for results, reason in (("small", "Not enough data"), ("kind", "must be")):
        lines = status_lines(side.folder / results / "train" / "status.json")
        failures = [line["message"] for line in lines if line["status"] == "FAILURE"]
        assert any(text.startswith("Parameter validation error") and reason in text for text in failures)
        assert reason in inside["training"][results]


def test_interrupted_training_keeps_a_checkpoint_and_resumes(side: Side, inside: dict) -> None:
    """What was learned before a failure is kept and linked; training again continues from it to the end."""
    assert inside["training"]["failed"] == "made to fail"
    assert inside["training"]["resumed"] is None
    results = side.folder / "failed" / "train"
    names = sorted(path.name for path in results.glob("model_*.pth"))
    assert names == [
        "model_epoch_000_step_00002.pth", "model_epoch_001_step_00002.pth",
        "model_epoch_001_step_00004.pth", "model_epoch_002_step_00006.pth",
    ]  # fmt: skip
    assert (results / "line_model_latest.pth").resolve().name == "model_epoch_002_step_00006.pth"


def test_a_missing_spec_file_ends_with_one(inside: dict) -> None:
    """No spec file, and one that does not exist, are refused before anything starts."""
    assert [inside["training"][name] for name in ("no spec", "absent spec")] == [1, 1]


def test_core(inside: dict) -> None:
    """Intervals, devices, results directories, class files, DeepStream text, weights and adapters."""
    found = inside["core"]
    assert "raised" not in found, found["raised"]
    deepstream = found.pop("deepstream")
    assert "network-type: 1\n" in deepstream and "labelfile-path: labels.txt\n" in deepstream
    assert "offsets: 123.675;116.28;103.53\n" in deepstream and "data-format" not in deepstream
    assert found == {
        "no devices": "KeyError",
        "evaluate": ["a.pth", ["accelerator", "default_root_dir", "devices", "strategy"], [0, 2], 2],
        "passphrase": "key",
        "inference": ["accelerator", "default_root_dir", "devices", "strategy"],
        "checkpoint_interval": "AssertionError",
        "validation_interval": "AssertionError",
        "unnamed": "NotImplementedError",
        "results": "core/train",
        "no results": "ValueError",
        "classes": 2,
        "classes text": "b\na\n",
        "deepstream refused": "AssertionError",
        "adapter twice": "ValueError",
        "adapter unknown": "ValueError",
        "adapted": ["a", "c", "model.b"],
        "parsed": ["MODULE.A"],
        "encrypted": "PermissionError",
        "encrypt": "NotImplementedError",
    }


def test_registry_and_backbones(inside: dict) -> None:
    """The registry behaves alike, backbones compute, freeze and refuse wrong settings."""
    found = inside["backbones"]
    assert found == {
        "get": 1,
        "contains": [True, False],
        "iterates": True,
        "twice": "AssertionError",
        "unknown": "KeyError",
        "listed": [True, True, True, True],
        "scores": [2, 5],
        "features": [2, 512],
        "pyramid": {"p0": [2, 64, 8, 8], "p1": [2, 128, 4, 4], "p2": [2, 256, 2, 2], "p3": [2, 512, 1, 1]},
        "frozen": [False, False, True],
        "settings": [3, 5, False, [0, 1]],
        "all frozen": False,
        "norms": True,
        "bad freeze": "ValueError",
        "abstract": "TypeError",
        "norm agrees": True,
    }


def test_averaged_weights(inside: dict) -> None:
    """EMA validates with the average, saves it beside the weights, and the link leads to the average."""
    found = inside["averaging"]
    assert found == {
        "files": [
            "line_model_latest.pth",
            "model_epoch_000_step_00002-EMA.pth", "model_epoch_000_step_00002.pth",
            "model_epoch_001_step_00004-EMA.pth", "model_epoch_001_step_00004.pth",
        ],
        "latest": "model_epoch_001_step_00004-EMA.pth",
        "differ": True,
        "trained is plain": True,
        "validated with average": True,
    }  # fmt: skip
