"""Memory that evaluation and inference of a generated model take, for many images: the rank's, and a loader's worker's.

    PYTHONPATH=hooks python -m benchmarks.memory WORKDIR MODEL [--images N] [--classes N] [--queries N]

WORKDIR is a working directory of the template with MODEL in it. Its small dataset is multiplied to a tenth of N images
and to N, with hard links and, where there are boxes, with outlines as datasets have them; pictures are read once and
none is written, which leaves what is kept. Each number is of a process of its own, above what it had before it listed
the images. Run it for the working directory of an earlier version to compare.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tao_hf.in_runtime import task_code
from tao_hf.runtime.kinds import get_runtime

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("loader", "evaluate", "inference")
WORKERS = 2
OUTLINE = 40  # numbers in the outline of a box
BOXES = 7  # in an image, as in COCO


def main() -> int:
    """Measure every phase for two numbers of images and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workdir", type=Path)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--queries", type=int, default=100, help="detections that are kept for an image")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    options = parser.parse_args()
    info = json.loads((options.workdir / ".tao-hf" / options.model / "model.json").read_text(encoding="utf-8"))
    print(f"{info['task_type']}, {options.classes} classes; MiB above the start, and bytes for each further image")
    print(f"{'phase':<12}{'of':<8}{options.images // 10:>12,}{options.images:>12,}{'per image':>12}")
    counts = (options.images // 10, options.images)
    for phase in options.phases:
        few, many = (_measure(options, info["task_type"], phase, count) for count in counts)
        for name in many:
            growth = (many[name] - few[name]) / (counts[1] - counts[0])
            figures = f"{few[name] / 2**20:>12,.0f}{many[name] / 2**20:>12,.0f}{growth:>12,.0f}"
            print(f"{phase:<12}{name:<8}{figures}", flush=True)
    return 0


def _measure(options: argparse.Namespace, task: str, phase: str, count: int) -> dict[str, int]:
    """Return the bytes that a process and its workers take, from a process of its own."""
    clones = [options.workdir / name for name in ("tao-pytorch", "tao-core")]
    paths = [*clones, ROOT / "standins" / "modules", ROOT / "hooks", ROOT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    arguments = [options.model, task, phase, str(count), str(options.classes), str(options.queries)]
    program = "import sys; from benchmarks.memory import inside; inside(*sys.argv[1:])"
    done = subprocess.run(
        [str(get_runtime("local").python), "-W", "ignore", "-c", program, *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        raise SystemExit(f"{phase} of {count} images failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def inside(model: str, task: str, phase: str, count: str, classes: str, queries: str) -> None:
    """Run one phase and print what it takes, as JSON."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        spec = _spec(Path(folder), model, task, int(count), int(classes), int(queries))
        found = _load(model, spec) if phase == "loader" else _run(model, spec, phase)
    print(json.dumps(found))


def _spec(folder: Path, model: str, task: str, count: int, classes: int, queries: int) -> Any:
    """Write a dataset of `count` test images and return the specification of an evaluation of them."""
    from omegaconf import OmegaConf

    package = import_module(f"nvidia_tao_pytorch.cv.{model}")
    schema = import_module(f"nvidia_tao_core.config.{model}.default_config").ExperimentConfig
    specs = Path(package.__file__).parent / "experiment_specs"
    spec = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(specs / "experiment_spec.yaml"))
    data = folder / "data"
    names = task_code.load(task, "synthetic").write_dataset(data, classes, 48, 48)
    _multiply(data, count)
    spec.results_dir, spec.dataset.root_dir = str(folder / "results"), str(data)
    spec.dataset.num_classes, spec.dataset.batch_size, spec.dataset.workers = len(names), 64, 0
    if "post_process" in spec.model:
        spec.model.post_process.num_select = queries
        spec.model.post_process.conf_threshold = 1.0
    Path(spec.results_dir).mkdir()
    return spec


def _multiply(data: Path, count: int) -> None:
    """Make `count` of the test images, by links to them, and as many masks and entries of annotations."""
    for top in (data / "test", data / "masks" / "test"):
        files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else []
        for number in range(len(files), count if files else 0):
            original = files[number % len(files)]
            os.link(original, original.with_stem(f"{original.stem}_{number:06d}"))
    annotations = data / "annotations" / "test.json"
    if not annotations.is_file():
        return
    content = json.loads(annotations.read_text(encoding="utf-8"))
    originals, boxes = list(content["images"]), content["annotations"]
    for number in range(len(originals), count):
        original = originals[number % len(originals)]
        stem, _, extension = original["file_name"].rpartition(".")
        content["images"].append({**original, "id": number + 1, "file_name": f"{stem}_{number:06d}.{extension}"})
    entries = [
        {**boxes[(number + image["id"]) % len(boxes)], "id": number + 1, "image_id": image["id"]}
        for number, image in enumerate(image for image in content["images"] for _ in range(BOXES))
    ]
    for number, entry in enumerate(entries):
        entry["segmentation"] = [[round(number * 0.01 + point * 0.37, 2) for point in range(OUTLINE)]]
    annotations.write_text(json.dumps({**content, "annotations": entries}), encoding="utf-8")


def _of_process(pid: int | None = None) -> int:
    """Return the bytes that a process shares with no other."""
    import psutil

    gc.collect()
    return psutil.Process(pid).memory_full_info().uss


def _once(function: Callable[..., Any], key: Callable[..., Any] = lambda *args: None) -> Callable[..., Any]:
    """Return a function that is called once for each key, and says the same ever after."""
    results: dict[Any, Any] = {}

    def remembering(*args: Any) -> Any:
        if key(*args) not in results:
            results[key(*args)] = function(*args)
        return results[key(*args)]

    return remembering


def _data_module(model: str, spec: Any) -> Any:
    """Return the data module; it reads and transforms one picture once."""
    dataset = import_module(f"nvidia_tao_pytorch.cv.{model}.dataloader.dataset")
    module = import_module(f"nvidia_tao_pytorch.cv.{model}.dataloader.pl_{model}_data_module")
    dataset.load_image = _once(dataset.load_image)
    for name in ("build_train_transform", "build_eval_transform"):
        build = getattr(dataset, name)
        setattr(dataset, name, lambda *args, build=build: _once(build(*args)))
    name = next(name for name in vars(module) if name.endswith("DataModule") and name != "LightningDataModule")
    return getattr(module, name)(spec.dataset)


def _load(model: str, spec: Any) -> dict[str, int]:
    """Serve all images with workers, and return what the process and one worker take near the end."""
    import psutil
    import torch

    torch.set_num_threads(1)
    spec.dataset.workers = WORKERS
    data_module = _data_module(model, spec)
    before = _of_process()
    data_module.setup("test")
    rank = _of_process() - before
    loader = data_module.test_dataloader()
    taken = {}
    for number, _ in enumerate(loader):
        if number in (0, len(loader) - 1):
            taken[number] = [_of_process(child.pid) for child in psutil.Process().children()]
    return {"rank": rank, "worker": max(taken[len(loader) - 1]) - min(taken[0])}


def _run(model: str, spec: Any, phase: str) -> dict[str, int]:
    """Evaluate or predict all images in this process, and return the most that it took at a time."""
    import torch
    from PIL import Image
    from pytorch_lightning import Trainer

    torch.set_num_threads(1)
    Image.Image.save = lambda *args, **kwargs: None
    module = import_module(f"nvidia_tao_pytorch.cv.{model}.model.{model}_pl_model")
    pl_model = next(value for name, value in vars(module).items() if name.endswith("PlModel"))(spec)
    pl_model.model.forward = _once(pl_model.model.forward, key=len)
    data_module = _data_module(model, spec)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(accelerator="cpu", devices=1, **quiet)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if phase == "evaluate":
        trainer.test(pl_model, datamodule=data_module, verbose=False)
    else:  # as the script does
        script = Path(import_module(f"nvidia_tao_pytorch.cv.{model}.scripts.inference").__file__)
        kept = "return_predictions=False" not in script.read_text(encoding="utf-8")
        trainer.predict(pl_model, datamodule=data_module, return_predictions=kept)
    return {"rank": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024}


if __name__ == "__main__":
    sys.exit(main())
