"""Why a step failed and what to do about it, told from its log.

Each entry of PLAYBOOK is one symptom: patterns that its error leaves on a line of the log, the likely cause, the fix.
`diagnose` reads the log from its end, because an error that a command survived comes before the one that ended it.
Where two entries match the same line, the one further up in PLAYBOOK wins: the more specific comes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

DEPLOY_STEPS = ("19", "22.gen_trt_engine", "22.trt_*", "23", "23.*")


@dataclass(frozen=True)
class Advice:
    """What probably went wrong, for a person.

    Attributes:
        symptom: short name of what was seen.
        cause: one sentence.
        fix: one sentence.
    """

    symptom: str
    cause: str
    fix: str


@dataclass(frozen=True)
class Entry:
    """One symptom.

    Attributes:
        symptom: its short name.
        patterns: regular expressions, each for one line of a log; one of them is enough.
        cause: what is likely behind it, one sentence.
        fix: what to do, one sentence.
        steps: ids of the steps (with * and ?) in which the patterns mean this; empty for all.
    """

    symptom: str
    patterns: tuple[str, ...]
    cause: str
    fix: str
    steps: tuple[str, ...] = ()

    @property
    def advice(self) -> Advice:
        """What to tell the person."""
        return Advice(self.symptom, self.cause, self.fix)

    def seen(self, step_id: str, line: str) -> bool:
        """Tell whether a line of that step's log shows the symptom."""
        here = not self.steps or any(fnmatchcase(step_id, step) for step in self.steps)
        return here and any(re.search(pattern, line) for pattern in self.patterns)


CONTAINERS = (
    Entry(
        "The container was stopped",
        (r"the container was stopped",),
        "The container ended while the command ran: somebody removed it, Docker was restarted, or the host ran out of "
        "memory and the kernel chose it.",
        "Look for `oom` in the output of `dmesg`; where there is none run the test again, where there is one lower "
        "dataset.batch_size and dataset.workers with --set.",
    ),
    Entry(
        "Shared memory too small",
        (
            r"[Bb]us error",
            r"out of shared memory",
            r"unable to (open|allocate|mmap) shared memory",
            r"unable to (write to|resize|mmap|allocate shared memory\(shm\) for) (file )?</?torch_",
            r"No space left on device: '/dev/shm",
        ),
        "The data loader's workers pass batches through /dev/shm, which is too small for them.",
        "Give the container more with TAO_HF_DOCKER_ARGS=--shm-size=32g, or lower dataset.workers with --set.",
    ),
    Entry(
        "Disk full",
        (r"[Nn]o space left on device", r"\[Errno 28\]", r"[Dd]isk quota exceeded"),
        "The file system that holds the working directory, or the one that holds Docker's images, is full.",
        "See which with `df -h . /var/lib/docker` and `docker system df`; delete old results in .tao-hf/MODEL/results "
        "or images you no longer need, or move Docker's data-root to a larger disk.",
    ),
    Entry(
        "Docker cannot reach the GPU",
        (
            r"could not select device driver .*\[\[?gpu",
            r"nvidia-container-cli: .*error",
            r"unknown or invalid runtime name: nvidia",
        ),
        "Containers get GPUs through the NVIDIA Container Toolkit, which is missing or unknown to the Docker daemon.",
        "Install the NVIDIA Container Toolkit 1.19.0 or newer, run `sudo nvidia-ctk runtime configure "
        "--runtime=docker`, restart Docker and check with ./tao-hf phase0.",
    ),
    Entry(
        "Image pull refused",
        (r"\bunauthorized(:|$)", r"pull access denied", r"requested access to the resource is denied"),
        "The registry does not hand out the image: NGC_KEY is missing or no longer valid, it has no access to the "
        "image, or the image's name is misspelt.",
        "Set NGC_KEY to a key from https://ngc.nvidia.com that may read the image and run ./tao-hf phase0, which logs "
        "in to nvcr.io with it.",
    ),
    Entry(
        "The package index cannot be reached",
        (
            r"CERTIFICATE_VERIFY_FAILED",
            r"Retrying .* after connection broken by",
            r"Could not fetch URL ",
            r"(Max retries exceeded|Failed to establish a new connection).*/simple/",
        ),
        "pip in the container has no way to its package index: a proxy is not passed on, or the proxy's certificate "
        "is not trusted inside.",
        "Export HTTPS_PROXY (and NO_PROXY), and PIP_CERT or SSL_CERT_FILE with the path of your CA bundle, before "
        "./tao-hf; all of them are passed on to the container.",
    ),
    Entry(
        "The container's user has no name",
        (r"getpwuid\(\): uid not found",),
        "The container runs under a user id that its /etc/passwd does not list, and USER is not set inside.",
        "Set it with TAO_HF_DOCKER_ARGS='--env USER=tao --env LOGNAME=tao'; the name need not exist in the image.",
    ),
    Entry(
        "The working directory is not writable in the container",
        (
            r"Permission denied: '/workspace",
            r"/workspace\S*'?: Permission denied",
            r"Read-only file system: '/workspace",
        ),
        "The container's user may not write in /workspace: files left there belong to root, or SELinux keeps the "
        "container out of the mount.",
        "Remove what root left with ./tao-hf clean; with SELinux set TAO_HF_DOCKER_ARGS='--security-opt "
        "label=disable'.",
    ),
    Entry(
        "No CUDA compiler in the image",
        (
            r"CUDA_HOME environment variable is not set",
            r"nvcc: (command )?not found",
            r"No such file or directory: '\S*nvcc'",
        ),
        "Installing tao-pytorch compiles CUDA operations, and the image has no CUDA compiler (nvcc).",
        "Prepare the image from NVIDIA's published tao-pytorch image, which has the compiler: ./tao-hf phase0 "
        "--pytorch-image IMAGE.",
    ),
)

CODE = (
    Entry(
        "Changes to tao-core have no effect",
        (
            r"nvidia_tao_core\S* (comes from|cannot be imported)",
            r"the installed tao-core (was built from|does not hold)",
            r"No module named 'nvidia_tao_core\.config\.",
            r"cannot import name '\w+' from 'nvidia_tao_core",
            r"ConfigAttributeError: Key '[^']*' ",
            r"Key '[^']*' (is )?not in ('\w+'|struct)",
            r"Could not override '",
        ),
        "The schema that Python imported does not know this: another tao-core, such as the stale one nested in "
        "tao-pytorch or tao-deploy, comes before the working directory's; or the key is misspelt.",
        "See which tao-core is imported with ./tao-hf test MODEL --steps 16; with it in order, compare the key with "
        "tao-core/nvidia_tao_core/config/MODEL/default_config.py.",
    ),
    Entry(
        "Backbone not registered",
        (r"No object named '[^']*' found in 'BACKBONE", r"KeyError: .*BACKBONE_REGISTRY"),
        "model.backbone.type names a backbone that nothing has registered: its module is not imported.",
        "Import it in tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__init__.py, list it in __all__ there, and keep "
        "@BACKBONE_REGISTRY.register() above its function; ./tao-hf check MODEL shows which is missing.",
    ),
    Entry(
        "PyTorch needed in tao-deploy",
        (r"No module named 'torch'", r"PyTorch is not available to tao-deploy"),
        "Code that runs in tao-deploy imports PyTorch, which its image does not have.",
        "Remove the import of torch from the files below tao-deploy/nvidia_tao_deploy/cv/MODEL; NumPy does there what "
        "PyTorch does in training.",
        steps=DEPLOY_STEPS,
    ),
    Entry(
        "ModuleNotFoundError",
        (r"ModuleNotFoundError: No module named '(nvidia_tao_|tests\b)", r"No module named nvidia_tao_"),
        "A folder of the package has no __init__.py, so it is not installed, or the repository is not on PYTHONPATH.",
        "Put an __init__.py into every folder (./tao-hf check MODEL names the one that lacks it), and start commands "
        "with ./tao-hf test or ./tao-hf shell, which set PYTHONPATH.",
    ),
    Entry(
        "Python package missing",
        (r"ModuleNotFoundError: No module named ",),
        "The generated code imports a package that is not part of the image or runtime it runs in.",
        "Use what TAO's images contain; to try another package anyway, install it in ./tao-hf shell pytorch (or "
        "deploy), and prepare an image with it for good.",
    ),
    Entry(
        "Checkpoint does not fit the model",
        (
            r"Error\(s\) in loading state_dict for",
            r"(Missing|Unexpected) key\(s\) in state_dict",
            r"is not a checkpoint of this model; ",
            r"No tensor of \S+ has the shape that this model wants",
            r"ValueError: .* lacks tensors of the \S+ architecture",
            r"Weights only load failed",
        ),
        "The checkpoint was saved from another model, or from this one under other parameter names.",
        "Convert Hugging Face weights with `MODEL convert`, and train again after changing the model; "
        "strict=False would only hide which tensors stay random.",
    ),
    Entry(
        "Shapes do not match in the forward pass",
        (
            r"mat1 and mat2 shapes cannot be multiplied",
            r"expected input\[.*\] to have \d+ channels",
            r"Given normalized_shape=.*expected input with shape",
            r"The size of tensor a \(\d+\) must match the size of tensor b",
            r"^E\s+.*assert torch\.Size\(",
        ),
        "The head expects features of another width than the backbone delivers, or the input has another size or "
        "number of channels than the model.",
        "Make model.head.in_channels in the specs and in tao-core/nvidia_tao_core/config/MODEL/model_params_mapping.py "
        "the width of the backbone's output (print model.forward_pre_logits(images).shape), and check "
        "dataset.img_size.",
    ),
    Entry(
        "Distributed training hangs",
        (
            r"Expected to have finished reduction in the prior iteration",
            r"has parameters that were not used in producing the loss",
            r"Watchdog caught collective operation timeout",
            r"Timed out waiting \d+ms for (recv|send) operation",
            r"Timed out after \d+ seconds? waiting for clients",
        ),
        "The processes wait for each other: a parameter takes no part in the loss, or one process has ended early.",
        'Keep strategy="ddp_find_unused_parameters_true" for several GPUs in '
        "tao-pytorch/nvidia_tao_pytorch/cv/MODEL/scripts/train.py or freeze the unused parameters; where one process "
        "failed, its error stands further up in the log.",
    ),
    Entry(
        "Out of memory",
        (
            r"OutOfMemoryError",
            r"CUDA out of memory",
            r"CUDA error: out of memory",
            r"CUBLAS_STATUS_ALLOC_FAILED",
            r"can't allocate memory",
            r"not enough memory: you tried to allocate",
            r"std::bad_alloc",
            r"^(E\s+)?MemoryError\b",
            r"Cannot allocate memory",
            r"killed by signal: Killed",
            r"exit code (137|-9)\b",
        ),
        "The batch and the activations it leaves behind do not fit in the memory of the GPU or, where the command "
        "was killed (exit code 137), of the host.",
        "Lower dataset.batch_size, or set model.backbone.activation_checkpoint=true or train.precision=fp16, with "
        "--set.",
    ),
    Entry(
        "Loss is not a number",
        (
            r"\bloss\w*\W{1,3}nan\b",
            r"^\s+nan(\s|$)",
            r"Encountered `nan` values",
            r"Input (\w+ )?contains NaN",
            r"no metric, or one that is not finite",
            r"\binference/result\.csv:\d+ holds a number that is not finite",
        ),
        "The training diverged: the learning rate is too high, or the images are normalized with the wrong numbers.",
        "Divide train.optim.lr by 10 with --set, and compare dataset.augmentation.mean and std with the model's "
        "preprocessor_config.json.",
        steps=("18", "22.*", "23", "23.*"),
    ),
    Entry(
        "ONNX export failed",
        (
            r"UnsupportedOperatorError",
            r"Exporting the operator .* to ONNX opset version \d+ is not supported",
            r"torch\.onnx\S*(Error|errors\.)",
            r"OnnxExporterError",
            r"Could not guard on data-dependent expression",
            r"checker\.ValidationError",
            r"not supported: Cannot export|Failed to export the model",
        ),
        "The model uses an operator that ONNX does not have, or branches on the values of a tensor.",
        "Replace the operator named above in the model's forward pass by ones that ONNX has, or try another "
        "export.opset_version (17 suits TensorRT).",
        steps=("18", "22.export"),
    ),
    Entry(
        "The ONNX file differs from the model",
        (
            r"The exported model is another network: ",
            r"The exported model's outputs have the shapes ",
            r"\[ONNXRuntimeError\]",
        ),
        "The exporter recorded something else than what the model computes: a branch it took, a size it fixed, "
        "or an operator that it translates wrongly.",
        "Compare the parts of the model in the forward pass with what ONNX Runtime gives for them, and replace the "
        "layer at fault, or try another export.opset_version (17 suits TensorRT).",
        steps=("18", "22.export"),
    ),
    Entry(
        "TensorRT cannot build the engine",
        (
            r"Failed to load ONNX file",
            r"No importer registered for op",
            r"In node \d+ .*(UNSUPPORTED|INVALID)_NODE",
            r"ModelImporter\.cpp",
            r"on which the TensorRT stand-in runs, cannot run this model",
            r"TensorRT-RTX [\d.]+ (has no operator|refuses the operator|cannot (parse|build))",
            r"is no readable ONNX model",
            r"Could not find any implementation for node",
            r"Engine serialization failed|[Ff]ailed to (build|create) .*engine",
        ),
        "The ONNX file has a layer that TensorRT does not know or cannot build at this precision, or it is damaged.",
        "Find the layer, if it is not named above, with `trtexec --onnx=MODEL.onnx --verbose` in ./tao-hf shell deploy "
        "(the file lies in .tao-hf/MODEL/results/export), replace it in the model or write a plugin for it.",
        steps=("19", "22.gen_trt_engine", "23.fp16", "23.int8"),
    ),
    Entry(
        "INT8 costs too much",
        (r"instead of [\d.]+, loses [\d.]+.*and may lose less than",),
        "Some layers' numbers are too far apart for 255 steps, or the calibration images are unlike those of the test.",
        "Run ./tao-hf test MODEL --full --data FOLDER again with the setting that the message gives, which keeps the "
        "layers that it names, or calibrate on more images.",
        steps=("23.int8",),
    ),
    Entry(
        "Too few calibration images",
        (r"INT8 needs \d+ calibration images|Number of calibration images \(\d+\) should be larger",),
        "The training split has fewer images than the batches of the calibration take.",
        "Add images, or set fewer with --set gen_trt_engine.tensorrt.calibration.cal_batches=N.",
        steps=("23.int8", "22.gen_trt_engine"),
    ),
    Entry(
        "TensorRT's results differ from PyTorch's",
        (
            r"only [\d.]+% of the labels agree",
            r"outputs differ by up to",
            r"trt_inference\w*/result\.csv:\d+ holds a number that is not finite",
        ),
        "Training and deployment preprocess images differently, or the engine's precision is too low for some layer.",
        "Compare dataset.augmentation in the deploy specs with the training spec (./tao-hf check MODEL does); with "
        "FP32 in order and FP16 not, name the layers to keep in FP32 in gen_trt_engine.tensorrt.layers_precision.",
        steps=("23", "23.*"),
    ),
    Entry(
        "Results cannot be written",
        (
            r"(NotADirectoryError|PermissionError): \[Errno",
            r"FileExistsError: \[Errno 17\]",
            r"Read-only file system",
            r"FileNotFoundError: .*/(status\.json|experiment\.yaml|results\.json|result\.csv)'",
            r"^failed: (?!(the record of )?the tao-).* is missing or empty: ",
        ),
        "results_dir, or a folder in it, is not there or may not be written.",
        "Point results_dir at a folder that you own, with no file of that name in the way; ./tao-hf test writes to "
        ".tao-hf/MODEL/results, so remove that with ./tao-hf clean if root owns it.",
    ),
)

PLAYBOOK: tuple[Entry, ...] = (*CONTAINERS, *CODE)
# TAO's launchers end a subtask's log with this line however it failed; it says something only where nothing else does.
KILLED = Entry(
    "Killed without a word",
    (r"Execution status: FAIL",),
    "The subtask ended without an error message: most likely the kernel killed it because the host ran out of memory.",
    "Look for `oom` in the output of `dmesg`, and lower dataset.batch_size and dataset.workers with --set.",
)


def diagnose(step_id: str, log: str) -> Advice | None:
    """Return the advice for the last error in a failed step's log that the playbook knows, None when it knows none.

    Args:
        step_id: the step's id, such as "22.train".
        log: what it printed, with the runner's closing "failed: ..." line.
    """
    for line in reversed(log.splitlines()):
        for entry in PLAYBOOK:
            if entry.seen(step_id, line):
                return entry.advice
    if not re.search(r"\w(Error|Exception)\b", log) and any(KILLED.seen(step_id, line) for line in log.splitlines()):
        return KILLED.advice
    return None
