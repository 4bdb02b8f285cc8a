"""The playbook knows every symptom it lists, each from the log of something really broken in that way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tao_hf.runtime import engine as docker
from tao_hf.runtime.container import Container, ContainerSettings
from tao_hf.runtime.kinds import get_runtime
from tao_hf.selftest import playbook
from tao_hf.selftest.playbook import PLAYBOOK, diagnose
from tao_hf.selftest.steps import STEPS
from tao_hf.selftest.steps.job import Job, StepError
from tests.support.copies import MODEL
from tests.support.warm_runtime import WarmRuntime

CV = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}"
DEPLOY = f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}"
BACKBONES = "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2"
BACKBONE = f"{BACKBONES}/hf_{MODEL}.py"
CONFIG = f"tao-core/nvidia_tao_core/config/{MODEL}"
TESTS = f"tests/cv_unit_test/{MODEL}"


class Bench:
    """A working directory with a trained model, in which things are broken one at a time.

    Attributes:
        workdir: the working directory.
        results: folder with data/, train/, export/, inference/ and trt/ of a good run.
        logs: by step id, what the steps of the good run printed.
    """

    def __init__(self, workdir: Path, python: Path) -> None:
        """Take an unbroken working directory."""
        self.workdir = workdir
        self.results = workdir / "results"
        self.logs: dict[str, str] = {}
        logs = workdir / "printed"
        logs.mkdir()
        env = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TELEMETRY_OPT_OUT": "yes",
            "TAO_VISIBLE_DEVICES": "0",
        }
        self.warm = WarmRuntime(python, logs, env)

    @property
    def path(self) -> list[Path]:
        """What training code finds first."""
        folders = ("tao-core", "tao-pytorch", ".tao-hf/standins-in-use", ".tao-hf/lib")
        return [self.workdir / folder for folder in folders]

    def python(self, *argv: object, **options: object) -> tuple[int, str]:
        """Run a script as the pytorch context would."""
        return self.warm.run(argv, **{"path": self.path, "cwd": self.workdir / "tao-pytorch", **options})

    def tool(self, module: str, *argv: object) -> tuple[int, str]:
        """Run a program of ours as the pytorch context would."""
        return self.python("-m", f"tao_hf.in_runtime.{module}", *argv)

    def subtask(self, name: str, *overrides: str, **options: object) -> tuple[int, str]:
        """Run a script of the model on the good run's files; results_dir is thrown away with the next call."""
        scratch = self.workdir / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        checkpoint = self.results / f"train/{MODEL}_model_latest.pth"
        settings = {
            "results_dir": scratch,
            "dataset.root_dir": self.results / "data",
            "dataset.num_classes": 4,
            "dataset.workers": 0,
            "train.num_epochs": 1,
            "train.checkpoint_interval": 1,
            "train.optim.warmup_epochs": 0,
            **{f"{task}.checkpoint": checkpoint for task in ("evaluate", "inference", "export")},
            **{f"{task}.on_cpu": True for task in ("train", "evaluate", "inference", "export")},
        }
        given = [f"{key}={value}" for key, value in settings.items()]
        script = self.workdir / CV / "scripts" / f"{name}.py"
        return self.python(script, *given, *overrides, **options)

    def deploy(self, name: str, *overrides: str) -> tuple[int, str]:
        """Run a script of tao-deploy on the good run's files."""
        settings = {
            "results_dir": self.results,
            "dataset.root_dir": self.results / "data",
            "dataset.num_classes": 4,
            f"{name}.results_dir": self.results / ("trt" if name == "gen_trt_engine" else f"trt_{name}"),
            f"{name}.trt_engine": self.results / f"trt/{MODEL}.engine",
        }
        given = [f"{key}={value}" for key, value in settings.items()]
        done = get_runtime("local").run(
            ["python", str(self.workdir / DEPLOY / "scripts" / f"{name}.py"), *given, *overrides],
            context="deploy",
            workdir=self.workdir,
            cwd=self.results,
            log=self.workdir / "printed" / "deploy.log",
        )
        return done.returncode, (self.workdir / "printed" / "deploy.log").read_text(encoding="utf-8")

    def tests(self, *selection: str) -> tuple[int, str]:
        """Run some of the model's tests in tao-pytorch."""
        return self.python("-m", "pytest", "-v", "-p", "no:cacheprovider", *selection)

    def compare(self) -> tuple[int, str]:
        """Compare native and TensorRT predictions as step 23 does."""
        folders = [self.results / folder for folder in ("inference", "trt_inference")]
        options = ["--precision", "FP32", "--json", self.workdir / "compared.json"]
        return self.tool("check.crosscheck", "image-classification", *folders, *options)

    def good(self, step_id: str, ran: tuple[int, str]) -> None:
        """Keep the log of a step that passed."""
        assert ran[0] == 0, ran[1][-3000:]
        self.logs[step_id] = ran[1]

    @contextlib.contextmanager
    def edited(self, name: str, *changes: tuple[str, str]) -> Iterator[None]:
        """Replace texts that must be in a file until the block ends."""
        path = self.workdir / name
        before = text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{name} has no {old!r} to break"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")


@pytest.fixture(scope="module")
def bench(copied_hf: Path, runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return a bench on which data, checkpoint, predictions, ONNX file and engine have been made."""
    workdir = Path(shutil.copytree(copied_hf, tmp_path_factory.mktemp("bench") / "workdir", symlinks=True))
    bench = Bench(workdir, runtime_python)
    dataset = [bench.results / "data", "--classes", 4, "--height", 32, "--width", 32, "--channels", 3]
    bench.good("22.prepare", bench.tool("tools.dataset", "image-classification", *dataset))
    bench.good("22.train", bench.subtask("train", f"train.results_dir={bench.results}/train"))
    bench.good("22.evaluate", bench.subtask("evaluate"))
    bench.good("22.inference", bench.subtask("inference", f"inference.results_dir={bench.results}/inference"))
    onnx_file = bench.results / f"export/{MODEL}.onnx"
    bench.good("22.export", bench.subtask("export", f"export.onnx_file={onnx_file}"))
    engine = (f"gen_trt_engine.onnx_file={onnx_file}", "gen_trt_engine.tensorrt.data_type=FP32")
    bench.good("22.gen_trt_engine", bench.deploy("gen_trt_engine", *engine))
    yield bench
    bench.warm.close()


def symptoms(step_id: str, log: str) -> set[str]:
    """Return every symptom that would be the diagnosis if some line of the log were the last one."""
    found = (diagnose(step_id, line) for line in log.splitlines())
    return {advice.symptom for advice in found if advice} - {playbook.KILLED.symptom}


def assert_diagnosed(symptom: str, step_id: str, ran: tuple[int, str], *words: str) -> None:
    """Assert that a command failed, that its log says `words`, and that the playbook sees this symptom and no other."""
    status, log = ran
    assert status != 0, log[-3000:]
    for word in words:
        assert word in log, log[-3000:]
    advice = diagnose(step_id, log)
    assert advice is not None, log[-3000:]
    assert advice.symptom == symptom, log[-3000:]
    assert symptoms(step_id, log) == {symptom}


# The symptoms of the porting procedure, in its order.


@pytest.mark.runtime
def test_package_folder_without_init(bench: Bench) -> None:
    """It is not installed with the rest."""
    built, repo = bench.workdir / "installed", bench.workdir / "tao-pytorch"
    init = repo / "nvidia_tao_pytorch/cv" / MODEL / "model/__init__.py"
    text = init.read_bytes()
    init.unlink()
    try:
        build = ["setup.py", "-q", "build", "--build-base", bench.workdir / "build", "--build-lib", built]
        assert bench.python(*build)[0] == 0
    finally:
        init.write_bytes(text)
    path = [built, bench.workdir / "tao-core", bench.workdir / ".tao-hf/standins-in-use"]
    module = f"nvidia_tao_pytorch.cv.{MODEL}.scripts.train"
    ran = bench.python("-m", module, path=path, cwd=bench.results)
    assert_diagnosed(
        "ModuleNotFoundError", "22.train", ran, f"No module named 'nvidia_tao_pytorch.cv.{MODEL}.model'"
    )


@pytest.mark.runtime
def test_repository_not_on_pythonpath(bench: Bench) -> None:
    ran = bench.subtask("train", path=[bench.workdir / "tao-core"], cwd=bench.results)
    assert_diagnosed("ModuleNotFoundError", "22.train", ran, "No module named 'nvidia_tao_pytorch")


@pytest.mark.runtime
def test_package_that_is_not_in_the_image(bench: Bench) -> None:
    with bench.edited(BACKBONE, ("import inspect", "import inspect\nimport mmpretrain")):
        ran = bench.subtask("train")
    assert_diagnosed("Python package missing", "22.train", ran, "No module named 'mmpretrain'")


@pytest.mark.runtime
def test_pytorch_in_deploy_code(bench: Bench) -> None:
    with bench.edited(f"{DEPLOY}/engine_builder.py", ("import logging\n", "import logging\nimport torch\n")):
        ran = bench.deploy("gen_trt_engine")
    assert_diagnosed("PyTorch needed in tao-deploy", "22.gen_trt_engine", ran)


@pytest.mark.runtime
def test_backbone_that_is_not_imported(bench: Bench) -> None:
    imported = f"from nvidia_tao_pytorch.cv.backbone_v2.hf_{MODEL} import (\n    {MODEL},\n)\n"
    with bench.edited(f"{BACKBONES}/__init__.py", (imported, ""), (f'    "{MODEL}",\n', "")):
        ran = bench.subtask("train")
    assert_diagnosed("Backbone not registered", "22.train", ran, "in 'BACKBONE' registry!")


@pytest.mark.runtime
def test_head_of_another_width_than_the_features(bench: Bench) -> None:
    """The replaced head takes 48 features, the backbone delivers 32."""
    with bench.edited(BACKBONE, ("nn.Linear(old.in_features,", "nn.Linear(48,")):
        ran = bench.tests(f"{TESTS}/test_model.py", "-k", "test_reset_classifier")
    assert_diagnosed("Shapes do not match in the forward pass", "18", ran, "mat1 and mat2 shapes")


@pytest.mark.runtime
def test_wrong_head_width_in_the_spec(bench: Bench) -> None:
    with bench.edited(f"{CV}/experiment_specs/experiment_spec.yaml", ("in_channels: 32", "in_channels: 48")):
        ran = bench.tests(f"{TESTS}/test_model.py", "-k", "test_features")
    assert_diagnosed("Shapes do not match in the forward pass", "18", ran)


@pytest.mark.runtime
def test_learning_rate_and_normalization_that_diverge(bench: Bench) -> None:
    """Training ends well, for its launcher; the evaluation's gate refuses its numbers."""
    train = bench.results / "diverged"
    wrong = ("train.optim.lr=1e6", "dataset.augmentation.std=[1e-30,1e-30,1e-30]")
    status, log = bench.subtask("train", *wrong, f"train.results_dir={train}")
    assert_diagnosed("Loss is not a number", "22.train", (1, log))
    home = bench.workdir / ".tao-hf" / MODEL / "results"
    checkpoint = f"evaluate.checkpoint={train}/{MODEL}_model_latest.pth"
    status, log = bench.subtask("evaluate", checkpoint, f"evaluate.results_dir={home}/evaluate")
    assert status == 0
    shutil.copytree(bench.results / "data", home / "data", dirs_exist_ok=True)
    (gate,) = (step.gate for step in STEPS if step.id == "22.evaluate")
    with pytest.raises(StepError) as refused:
        gate(Job(bench.workdir, {"model_name": MODEL}, get_runtime("local")))
    assert_diagnosed("Loss is not a number", "22.evaluate", (1, f"{log}\nfailed: {refused.value}"), "not finite")


@pytest.mark.runtime
def test_operator_that_onnx_lacks(bench: Bench) -> None:
    with bench.edited(BACKBONE, ("self._run(x).logits", "self._run(torch.special.bessel_j0(x)).logits")):
        ran = bench.subtask("export")
    assert_diagnosed("ONNX export failed", "22.export", ran, "aten::special_bessel_j0")


@pytest.mark.runtime
def test_control_flow_that_onnx_lacks(bench: Bench) -> None:
    """The exporter of the dynamo room sees it; the TorchScript one records whichever branch it took."""
    with (
        bench.edited(BACKBONE, ("self._run(x).logits", "self._run(x if x.sum() > 0 else -x).logits")),
        bench.edited(f"{CV}/utils/onnx_export.py", ("dynamo=False", "dynamo=True")),
    ):
        ran = bench.subtask("export")
    assert_diagnosed("ONNX export failed", "22.export", ran, "data-dependent")


@pytest.mark.runtime
def test_export_of_another_network(bench: Bench) -> None:
    """What the exporter takes for a constant is one for ever."""
    broken = "self._run(x + (1 if torch.jit.is_tracing() else 0)).logits"
    with bench.edited(BACKBONE, ("self._run(x).logits", broken)):
        ran = bench.subtask("export")
    assert_diagnosed("The ONNX file differs from the model", "22.export", ran, "another network", "No file is written")


BREAK_ONNX = """
import sys, onnx
model = onnx.load(sys.argv[2])
next(node for node in model.graph.node if node.op_type == "Softmax").op_type = "Softermax"
onnx.save(model, sys.argv[3])
"""


@pytest.mark.runtime
def test_layer_that_tensorrt_lacks(bench: Bench) -> None:
    broken = bench.results / "export/broken.onnx"
    assert bench.python("-c", BREAK_ONNX, bench.results / f"export/{MODEL}.onnx", broken)[0] == 0
    ran = bench.deploy("gen_trt_engine", f"gen_trt_engine.onnx_file={broken}", "gen_trt_engine.trt_engine=/dev/null")
    assert_diagnosed("TensorRT cannot build the engine", "22.gen_trt_engine", ran, "Softermax")


@pytest.mark.parametrize(
    "line",
    [
        "[TRT] [E] In node 12 with name: /enc/Softermax and operator: Softermax (parseNode): UNSUPPORTED_NODE: No "
        "importer registered for op: Softermax",
        "[TRT] [E] ModelImporter.cpp:836: While parsing node number 12 [Softermax -> \"/enc/Softermax_output_0\"]:",
        "[TRT] [E] IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any implementation "
        "for node {ForeignNode[/enc/MatMul]}.)",
    ],
)
def test_words_of_the_real_tensorrt(line: str) -> None:
    """Not made here: there is no TensorRT without its wheels and a GPU; as its parser and builder are known to say."""
    assert diagnose("22.gen_trt_engine", line).symptom == "TensorRT cannot build the engine"


@pytest.mark.runtime
def test_another_normalization_in_deployment(bench: Bench) -> None:
    assert bench.deploy("inference")[0] == 0
    bench.good("23", bench.compare())
    assert bench.deploy("inference", "dataset.augmentation.mean=[0.1,0.9,0.1]")[0] == 0
    assert_diagnosed("TensorRT's results differ from PyTorch's", "23", bench.compare(), "outputs differ by up to")


@pytest.mark.runtime
def test_batch_too_large_for_the_memory(bench: Bench) -> None:
    large = ("dataset.batch_size=16", "dataset.img_size=[2048,2048]")
    ran = bench.subtask("train", *large, memory=1 << 29)
    assert_diagnosed("Out of memory", "22.train", ran, "DefaultCPUAllocator: can't allocate memory")


# Recorded on an NVIDIA H100 with PyTorch 2.11 and CUDA 13.0: a linear layer whose outputs are kept until none fits.
CUDA_OUT_OF_MEMORY = """\
Traceback (most recent call last):
  File "/workspace/a.py", line 6, in <module>
    keep.append(model(images).detach().repeat(2048, 1))
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 4.00 GiB. GPU 0 has a total capacity of 79.18 GiB of \
which 2.46 GiB is free. Including non-PyTorch memory, this process has 76.71 GiB memory in use. Of the allocated \
memory 76.04 GiB is allocated by PyTorch, and 16.75 MiB is reserved by PyTorch but unallocated. If reserved but \
unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See \
documentation for Memory Management  \
(https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)
"""


def test_out_of_memory_on_a_gpu() -> None:
    assert_diagnosed("Out of memory", "22.train", (1, CUDA_OUT_OF_MEMORY))


def test_command_that_was_killed() -> None:
    """The status is all there is to see, in the words of the runner."""
    done = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], check=False)
    assert_diagnosed("Out of memory", "18", (1, f"failed: exit code {done.returncode}: no output"))
    assert_diagnosed("Out of memory", "18", (1, "failed: exit code 137: no output"))


@pytest.mark.runtime
def test_subtask_that_was_killed_under_its_launcher(bench: Bench) -> None:
    """The launcher does not say by which signal its child died."""
    spec = bench.workdir / CV / "experiment_specs/experiment_spec.yaml"
    with bench.edited(f"{CV}/scripts/train.py", ("import os\n", "import os\nos.kill(os.getpid(), 9)\n")):
        status, log = bench.python(bench.workdir / CV / f"entrypoint/{MODEL}.py", "train", "-e", spec)
    assert status == 1
    assert diagnose("22.train", log).symptom == playbook.KILLED.symptom
    assert symptoms("22.train", log) == set()


UNUSED_PARAMETERS = f"""
import sys
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from nvidia_tao_core.config.{MODEL}.default_config import ExperimentConfig
from nvidia_tao_pytorch.cv.{MODEL}.dataloader.pl_{MODEL}_data_module import TinyVitDataModule
from nvidia_tao_pytorch.cv.{MODEL}.model.{MODEL}_pl_model import TinyVitPlModel
spec = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), OmegaConf.load(sys.argv[2]))
spec.results_dir, spec.dataset.root_dir = sys.argv[3:]
spec.dataset.num_classes, spec.dataset.workers, spec.dataset.batch_size = 4, 0, 2
model = TinyVitPlModel(spec)
model.model.unused = torch.nn.Linear(2, 2)
options = {{"logger": CSVLogger(spec.results_dir), "enable_checkpointing": False, "enable_progress_bar": False}}
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp_fork", max_steps=3, num_sanity_val_steps=0,
                  use_distributed_sampler=False, **options)
trainer.fit(model, datamodule=TinyVitDataModule(spec.dataset))
"""
ONE_IS_LATE = """
import datetime, sys, time
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
def work(rank, store):
    two_seconds = datetime.timedelta(seconds=2)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=two_seconds)
    if rank == 0:
        dist.all_reduce(torch.ones(1))
    else:
        time.sleep(4)
mp.start_processes(work, ("file://" + sys.argv[2],), nprocs=2, start_method="fork")
"""


@pytest.mark.runtime
def test_unused_parameters_in_two_processes(bench: Bench, tmp_path: Path) -> None:
    spec = bench.workdir / CV / "experiment_specs/experiment_spec.yaml"
    ran = bench.python("-c", UNUSED_PARAMETERS, spec, tmp_path, bench.results / "data")
    assert_diagnosed("Distributed training hangs", "22.train", ran, "parameters that were not used")


@pytest.mark.runtime
def test_process_that_waits_in_vain(bench: Bench, tmp_path: Path) -> None:
    ran = bench.python("-c", ONE_IS_LATE, tmp_path / "store")
    assert_diagnosed("Distributed training hangs", "22.train", ran, "Timed out waiting")


RENAME_KEYS = """
import sys, torch
checkpoint = torch.load(sys.argv[2], map_location="cpu", weights_only=True)
weights = checkpoint["state_dict"]
checkpoint["state_dict"] = {name.replace("hf_model.", "net."): value for name, value in weights.items()}
torch.save(checkpoint, sys.argv[3])
"""


@pytest.mark.runtime
def test_checkpoint_with_other_keys(bench: Bench) -> None:
    """To evaluate, and to start a training from."""
    renamed = bench.results / "renamed.pth"
    assert bench.python("-c", RENAME_KEYS, bench.results / f"train/{MODEL}_model_latest.pth", renamed)[0] == 0
    symptom = "Checkpoint does not fit the model"
    ran = bench.subtask("evaluate", f"evaluate.checkpoint={renamed}")
    assert_diagnosed(symptom, "22.evaluate", ran, "Missing key(s)", "Unexpected key(s)")
    assert "strict=False would only hide" in diagnose("22.evaluate", ran[1]).fix
    ran = bench.subtask("train", f"model.backbone.pretrained_backbone_path={renamed}")
    assert_diagnosed(symptom, "22.train", ran, "is not a checkpoint of this model")


@pytest.mark.runtime
def test_results_below_a_file(bench: Bench) -> None:
    ran = bench.subtask("train", f"train.results_dir={bench.workdir}/tao-hf/train")
    assert_diagnosed("Results cannot be written", "22.train", ran, "NotADirectoryError")


@pytest.mark.runtime
def test_results_in_a_folder_that_is_not_there(bench: Bench) -> None:
    with bench.edited(f"{CV}/scripts/evaluate.py", ("@monitor_status", "# ")):
        ran = bench.subtask("evaluate", f"results_dir={bench.workdir}/nowhere")
    assert_diagnosed("Results cannot be written", "22.evaluate", ran, "FileNotFoundError")


def test_results_that_a_command_did_not_write() -> None:
    """The words are those of a gate."""
    line = "failed: the checkpoint is missing or empty: tiny_vit_model_latest.pth"
    assert diagnose("22.train", f"Execution status: PASS\n{line}").symptom == "Results cannot be written"


@pytest.fixture(scope="module")
def stale_core(bench: Bench) -> Path:
    """Return a tao-core nested in tao-pytorch, without the model."""
    nested = bench.workdir / "tao-pytorch/tao-core"
    shutil.copytree(bench.workdir / "tao-core", nested, ignore=shutil.ignore_patterns(".git", MODEL))
    return nested


STALE = "Changes to tao-core have no effect"


@pytest.mark.runtime
def test_nested_tao_core_without_the_model(bench: Bench, stale_core: Path) -> None:
    ran = bench.subtask("train", path=[stale_core, *bench.path])
    assert_diagnosed(STALE, "22.train", ran, f"No module named 'nvidia_tao_core.config.{MODEL}'")
    proof = ["-m", "tao_hf.in_runtime.check.origin", str(bench.workdir), MODEL]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [stale_core, *bench.path]))}
    done = subprocess.run([sys.executable, *proof], env=env, capture_output=True, text=True, check=False)
    assert_diagnosed(STALE, "16.origin", (done.returncode, done.stdout), f"not from {bench.workdir}/tao-core")


@pytest.mark.runtime
def test_nested_tao_core_with_an_older_schema(bench: Bench, stale_core: Path) -> None:
    older = stale_core / "nvidia_tao_core/config" / MODEL
    shutil.copytree(bench.workdir / CONFIG, older)
    try:
        schema = older / "default_config.py"
        text = schema.read_text(encoding="utf-8")
        assert "activation_checkpoint: bool" in text
        schema.write_text(text.replace("activation_checkpoint: bool", "checkpointing: bool"), encoding="utf-8")
        ran = bench.subtask("train", path=[stale_core, *bench.path])
        assert_diagnosed(STALE, "22.train", ran, "Key 'activation_checkpoint' not in")
        override = "model.backbone.activation_checkpoint=true"
        with bench.edited(f"{CV}/experiment_specs/experiment_spec.yaml", ("    activation_checkpoint: false\n", "")):
            assert_diagnosed(STALE, "22.train", bench.subtask("train", override, path=[stale_core, *bench.path]))
            ran = bench.subtask("train", path=[stale_core, *bench.path])
        assert_diagnosed(STALE, "22.train", ran, "ConfigAttributeError")
    finally:
        shutil.rmtree(older)


# Of the containers.


@pytest.fixture(params=["images refused", "all refused"])
def refusing_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the port of a server that answers as a registry answers a stranger."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
            self.send_response(200 if self.path == "/v2/" and request.param == "images refused" else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def pip_download(index: str) -> tuple[int, str]:
    """Ask pip for a package of an index that cannot be reached."""
    command = [sys.executable, "-I", "-m", "pip", "download", "--retries", "1", "--timeout", "3", "--no-deps"]
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(("PIP_", "HTTP"))}
    done = subprocess.run(
        [*command, "--index-url", index, "nothing-of-that-name"],
        env={**env, "NO_PROXY": "127.0.0.1,localhost"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_package_index_that_cannot_be_reached() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    ran = pip_download(f"http://127.0.0.1:{port}/simple")
    assert_diagnosed("The package index cannot be reached", "18", ran, "after connection broken")


def test_package_index_behind_a_certificate_nobody_knows(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed, so no certificate can be made")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        ran = pip_download(f"https://localhost:{server.server_port}/simple")
    finally:
        server.shutdown()
        server.server_close()
    assert_diagnosed("The package index cannot be reached", "18", ran, "CERTIFICATE_VERIFY_FAILED")


@pytest.mark.runtime
def test_no_cuda_compiler(bench: Bench) -> None:
    """What setup.py of tao-pytorch does first, where no compiler was found."""
    code = "from torch.utils import cpp_extension as c; c.CUDA_HOME = None; c.CUDAExtension('x', ['x.cu'])"
    assert_diagnosed("No CUDA compiler in the image", "18", bench.python("-c", code), "CUDA_HOME")


def in_container(*words: str) -> tuple[int, str]:
    """Run `docker run --rm` with these words; return its status and all it printed."""
    done = subprocess.run(
        docker.command("run", "--rm", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


LOAD = """
import torch
class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return torch.zeros(3, 1024, 1024)
for _ in torch.utils.data.DataLoader(Images(), batch_size=2, num_workers=2):
    pass
"""
WRITE = "open('/x/checkpoint.pth', 'wb').write(bytes(1 << 22))"


def needs_engine(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that runs containers of the prepared images."""
    return pytest.mark.docker(pytest.mark.usefixtures("engine", "prepared")(test))


@needs_engine
def test_little_shared_memory() -> None:
    ran = in_container("--shm-size=1m", docker.prepared("pytorch"), "python", "-c", LOAD)
    assert_diagnosed("Shared memory too small", "18", ran)


@needs_engine
def test_full_disk() -> None:
    ran = in_container("--tmpfs", "/x:size=1m", docker.prepared("deploy"), "python", "-c", WRITE)
    assert_diagnosed("Disk full", "22.train", ran, "No space left on device")


@needs_engine
def test_gpus_asked_for_where_there_are_none() -> None:
    if shutil.which("nvidia-container-runtime-hook") or shutil.which("nvidia-ctk"):
        pytest.skip("this machine has the NVIDIA Container Toolkit, so Docker does not refuse")
    ran = in_container("--gpus", "all", docker.prepared("deploy"), "true")
    assert_diagnosed("Docker cannot reach the GPU", "22.train", ran)


@needs_engine
def test_user_without_a_name() -> None:
    code = "import getpass; getpass.getuser()"
    ran = in_container("--user", "12345", docker.prepared("deploy"), "python", "-c", code)
    assert_diagnosed("The container's user has no name", "22.train", ran)


@needs_engine
@pytest.mark.parametrize("argv", [["sh", "-c", "echo > /workspace/x"], ["mkdir", "/workspace/x"]])
def test_mount_of_somebody_else(argv: Sequence[str], tmp_path: Path) -> None:
    ran = in_container("--user", "12345", "-v", f"{tmp_path}:/workspace", docker.prepared("deploy"), *argv)
    assert_diagnosed("The working directory is not writable in the container", "22.train", ran)


@needs_engine
def test_image_that_is_not_for_strangers(refusing_server: int) -> None:
    with pytest.raises(docker.EngineError) as refused:
        docker.run("pull", f"localhost:{refusing_server}/nvidia/tao-toolkit:7.0.1-pyt")
    assert_diagnosed("Image pull refused", "16", (1, refused.value.output))


@needs_engine
def test_container_that_is_killed(tmp_path: Path) -> None:
    """Its command ends with 137, and the container's own words say more than that."""
    container = Container(ContainerSettings("tao-hf-playbook", docker.prepared("deploy"), tmp_path))
    lines: list[str] = []

    def kill_when_begun(line: str) -> None:
        lines.append(line)
        if line == "begun":
            docker.run("kill", container.name)

    try:
        done = container.run(["sh", "-c", "echo begun; sleep 60"], on_line=kill_when_begun)
    finally:
        container.close()
    assert done.returncode == 137
    log = "\n".join([*lines, f"failed: exit code 137: {lines[-1]}"])
    assert diagnose("22.train", log).symptom == "The container was stopped"


# The table itself.


@pytest.mark.runtime
def test_steps_that_passed_have_no_symptom(bench: Bench) -> None:
    bench.good("18", bench.tests(TESTS, "-m", "cv_unit", "-k", "config or dataloader or features or pretrained"))
    checked = bench.tool("check.consistency", bench.workdir, MODEL, "--json", bench.workdir / "found.json")
    bench.good("consistency", checked)
    assert set(bench.logs) >= {"18", "22.train", "22.evaluate", "22.export", "22.gen_trt_engine", "consistency"}
    for step_id, log in bench.logs.items():
        assert len(log) > 10
        assert symptoms(step_id, log) == set(), step_id
        assert diagnose(step_id, log) is None


def test_the_last_error_counts() -> None:
    """An error that was survived comes before the one that was not."""
    survived, fatal = "ModuleNotFoundError: No module named 'flash_attn'", "torch.OutOfMemoryError: CUDA out of memory"
    assert diagnose("22.train", f"{survived}\n{fatal}").symptom == "Out of memory"
    assert diagnose("22.train", f"{fatal}\n{survived}").symptom == "Python package missing"


def test_an_unknown_error_has_no_advice() -> None:
    assert diagnose("18", "AssertionError: assert 1 == 2\n2026 WARNING Execution status: FAIL") is None
    assert diagnose("18", "") is None


def test_entries_fit_their_steps() -> None:
    """Words that mean something in one step mean nothing in another."""
    line = "native and deployed differ: outputs differ by up to 3 (FP32 allows 0.001)"
    assert diagnose("23", line) and diagnose("23.fp16", line)
    assert diagnose("18", line) is None
    line = "failed: mIoU 0.70 instead of 0.80, loses 0.1000, and may lose less than 0.01; the layers that cost most"
    assert diagnose("23.int8", line).symptom == "INT8 costs too much" and diagnose("23", line) is None
    line = "ValueError: INT8 needs 128 calibration images (cal_batches 16 times cal_batch_size 8), and"
    assert diagnose("23.int8", line).symptom == "Too few calibration images"


def test_every_advice_is_one_plain_sentence() -> None:
    entries = [*PLAYBOOK, playbook.KILLED]
    assert len({entry.symptom for entry in entries}) == len(entries)
    for entry in entries:
        for text in (entry.cause, entry.fix):
            assert text.endswith(".") and "\n" not in text and not re.search(r"[.] [A-Z]", text), entry.symptom
        assert "strict=False" not in entry.fix or "hide" in entry.fix
