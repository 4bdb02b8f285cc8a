"""What renders into tao-core and tao-deploy: clean files, the model's preprocessing, and a TensorRT chain that runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_hf.clones import sources
from tests.support.paths import ROOT
from tests.support.renderings import classifier_context, render

STANDINS = ROOT / "standins"
REPOS = ("tao-core", "tao-deploy")
SPECS = ("gen_trt_engine", "inference", "evaluate")

VARIANTS: dict[str, dict[str, Any]] = {
    "exact": {},
    "shortest_edge": {
        "size": (24, 24),
        "resize": {"mode": "shortest_edge", "size": 28},
        "crop": {"height": 24, "width": 24},
        "interpolation": "bicubic",
    },
    "padded_gray": {
        "size": (27, 20),
        "channels": 1,
        "num_labels": 2,
        "resize": {"mode": "shortest_edge", "size": 22},
        "crop": {"height": 27, "width": 20},
        "interpolation": "lanczos",
    },
    "exact_crop": {
        "size": (24, 32),
        "num_labels": 3,
        "resize": {"mode": "exact", "height": 28, "width": 36},
        "crop": {"height": 24, "width": 32},
        "interpolation": "bicubic",
    },
    "no_resize": {"size": (17, 31), "num_labels": 10, "resize": None, "interpolation": "nearest"},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return the names that templates saw and the working directory that holds the rendered repos."""
    names = classifier_context(**VARIANTS[request.param])
    workdir = tmp_path_factory.mktemp(request.param)
    for repo in REPOS:
        render(repo, names, workdir / repo)
    return names, workdir


def load_specs(workdir: Path, model: str = "tiny_vit") -> dict[str, dict[str, Any]]:
    """Return the deploy specs by subtask."""
    folder = workdir / "tao-deploy" / "nvidia_tao_deploy" / "cv" / model / "specs"
    return {name: yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8")) for name in SPECS}


# ---------------------------------------------------------------- rendered text


def test_files_are_clean(variant: tuple[dict[str, Any], Path]) -> None:
    """Every file has the license line, no template residue, no stray blank lines; Python compiles and is documented."""
    for path in (path for path in variant[1].rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert not re.search(r"\{\{|\{%|\{#|[ \t]$|\n\n\n\n", text, re.MULTILINE), path
        assert max(map(len, text.splitlines())) <= 120, path
        if path.suffix != ".py":
            continue
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
        tree = ast.parse(text)
        assert ast.get_docstring(tree), path
        for node in [*tree.body, *(item for part in tree.body if isinstance(part, ast.ClassDef) for item in part.body)]:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_specs_carry_the_models_preprocessing(variant: tuple[dict[str, Any], Path]) -> None:
    """All three specs say how the model's images are resized, cropped and normalized."""
    names, workdir = variant
    pre = names["pre"]
    for name, spec in load_specs(workdir).items():
        found = spec["dataset"]["augmentation"]
        assert (found["mean"], found["std"]) == (pre["mean"], pre["std"]), name
        size = pre["resize"]["size"] if pre["center_crop"] else "${dataset.img_size}"
        assert found["resize"] == {**pre["resize"], "size": size, "interpolation": pre["interpolation"]}, name
        assert found["center_crop"] is pre["center_crop"], name
        assert spec["dataset"]["img_size"] == [names["height"], names["width"]], name


def test_subtasks_form_a_chain(variant: tuple[dict[str, Any], Path]) -> None:
    """The engine is read where it is written; a forgotten results_dir is refused, not turned into /trt_inference."""
    specs = load_specs(variant[1])
    assert all(specs[name]["results_dir"] == "???" and "results_dir" not in specs[name][name] for name in SPECS)
    engine = specs["gen_trt_engine"]["gen_trt_engine"]["trt_engine"]
    assert engine == "${results_dir}/trt/tiny_vit.engine"
    assert {specs[name][name]["trt_engine"] for name in ("inference", "evaluate")} == {engine}


def test_operators_that_stay_in_fp32(tmp_path: Path) -> None:
    """What the inspection measured stands in the file that converts."""
    path = "nvidia_tao_deploy/cv/tiny_vit/utils/onnx_precision.py"
    render("tao-deploy", {**classifier_context(), "kept_in_fp32": ["Pow", "Softmax"]}, tmp_path / "some")
    render("tao-deploy", {**classifier_context(), "kept_in_fp32": []}, tmp_path / "none")
    some, none = ((tmp_path / name / path).read_text(encoding="utf-8") for name in ("some", "none"))
    assert "\nKEPT_IN_FP32 = ['Pow', 'Softmax']\n" in some or '\nKEPT_IN_FP32 = ["Pow", "Softmax"]\n' in some
    assert "\nKEPT_IN_FP32 = []  # " in none


HOSTILE = 'x"""\n\'; __import__("os").system("touch pwned") # {{ 7 * 7 }} {% raw %} ../../ \u2028 ü \\'


def test_strangers_text_stays_text(tmp_path: Path) -> None:
    """Text from the model's files is a literal where it is used, and nowhere else."""
    names = classifier_context(hf_model_id=HOSTILE, interpolation=HOSTILE)
    names["findings"].update(model_type=HOSTILE, labels=[HOSTILE] * 3)
    for repo in REPOS:
        for path in render(repo, names, tmp_path / repo):
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".py":
                constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
                held = constants.count(HOSTILE)
                assert "system" not in "".join(str(value) for value in constants if value != HOSTILE), path
                assert held == (2 if path.name == "default_config.py" and repo == "tao-core" else 0), path
                assert not any(isinstance(node, ast.Call) and ast.unparse(node.func) == "__import__"
                               for node in ast.walk(ast.parse(text)))
    for spec in load_specs(tmp_path).values():
        assert spec["dataset"]["augmentation"]["resize"]["interpolation"] == HOSTILE


def test_what_all_tasks_share_knows_no_task() -> None:
    """Only the task's folder mentions classification: another task needs no change in template/."""
    paths = [path for path in (ROOT / "template").rglob("*.jinja") if "workdir" not in path.parts]
    assert len(paths) > 30
    for path in paths:
        assert "classif" not in path.read_text(encoding="utf-8").lower(), path


# ---------------------------------------------------------------- in the runtime, on the real tao-core and tao-deploy


@pytest.fixture(scope="module")
def tao_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the roots of tao-core and tao-deploy as published on PyPI."""
    found = sources.resolve(tmp_path_factory.mktemp("nothing"), "7.0.1", "embedded", "")
    return {repo: Path(found[repo]["path"]) for repo in REPOS}


@pytest.fixture
def workdir(variant: tuple[dict[str, Any], Path], tao_wheels: dict[str, Path], tmp_path: Path) -> Path:
    """Return a working directory with the rendered files among links to the real packages' own."""
    for repo in REPOS:
        _overlay(tao_wheels[repo], variant[1] / repo, tmp_path / repo)
    return tmp_path


def _overlay(real: Path, rendered: Path, target: Path) -> None:
    """Make `target` hold `rendered` and, for everything else, links to `real`."""
    target.mkdir(parents=True)
    for name in {path.name for folder in (real, rendered) if folder.is_dir() for path in folder.iterdir()}:
        if not (rendered / name).exists():
            (target / name).symlink_to(real / name)
        elif (rendered / name).is_dir():
            _overlay(real / name, rendered / name, target / name)
        else:
            (target / name).write_bytes((rendered / name).read_bytes())


@pytest.fixture
def run(runtime_python: Path, workdir: Path) -> Callable[..., str]:
    """Return a function that runs the runtime's Python in the working directory and returns what it printed."""

    def python(*argv: str, cwd: Path = workdir, hide_torch: bool = False, tensorrt: int = 10) -> str:
        hidden = [STANDINS / "hide_in_deploy"] if hide_torch else []
        path = [*hidden, *(workdir / repo for repo in REPOS), STANDINS / "modules"]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TELEMETRY_OPT_OUT": "yes",
            "TAO_HF_TENSORRT": str(tensorrt),
        }
        done = subprocess.run(
            [str(runtime_python), *argv], cwd=cwd, env=env, text=True, timeout=600, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    return python


@pytest.mark.parametrize("variant", ["exact", "padded_gray"], indirect=True, scope="module")
@pytest.mark.runtime
@pytest.mark.slow
def test_generated_tests_pass(run: Callable[..., str], workdir: Path) -> None:
    """Engines in FP32, FP16 and INT8 are built, run and evaluated by the generated tests, without PyTorch.

    They declare their markers: nothing else does, and pytest is strict about them.
    """
    argv = ["-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "tests/tiny_vit"]
    assert re.search(r"\n\d+ passed, 1 skipped", run(*argv, cwd=workdir / "tao-deploy", hide_torch=True))


@pytest.mark.parametrize("variant", ["exact"], indirect=True, scope="module")
@pytest.mark.runtime
def test_engines_for_tensorrt_11(run: Callable[..., str], workdir: Path) -> None:
    """Without flags and calibrators, precisions stand in the file: engines of all three compute the model's logits.

    tao-deploy's own inferencer does not import beside TensorRT 11; the engines are run beside the other stand-in.
    """
    run("-c", textwrap.dedent("""
        import sys
        sys.path.insert(0, "tao-deploy")
        from pathlib import Path
        import numpy as np
        import tensorrt as trt
        from nvidia_tao_core.config.tiny_vit.default_config import ExperimentConfig
        from omegaconf import OmegaConf
        from PIL import Image
        from nvidia_tao_deploy.cv.tiny_vit.scripts import gen_trt_engine
        from tests.tiny_vit import conftest

        assert trt.__version__.startswith("11.") and not hasattr(trt.BuilderFlag, "FP16")
        random = np.random.default_rng(0)
        kernel = random.normal(size=(8, conftest.CHANNELS)).astype(np.float32)
        weight = random.normal(size=(8, conftest.NUM_CLASSES)).astype(np.float32)
        conftest.TinyClassifier(kernel, weight).save("model.onnx")
        for index in range(16):
            Path("images").mkdir(exist_ok=True)
            pixels = random.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"images/{index}.png")
        spec = OmegaConf.load("tao-deploy/nvidia_tao_deploy/cv/tiny_vit/specs/gen_trt_engine.yaml")
        spec.results_dir = "results"
        spec.gen_trt_engine.onnx_file = "model.onnx"
        spec.gen_trt_engine.tensorrt.calibration.update(cal_image_dir=["images"], cal_batch_size=4, cal_batches=4)
        for precision in ("FP32", "FP16", "INT8"):
            spec.gen_trt_engine.trt_engine = f"{precision}.engine"
            spec.gen_trt_engine.tensorrt.data_type = precision
            gen_trt_engine.main(OmegaConf.merge(OmegaConf.structured(ExperimentConfig), spec))
    """), hide_torch=True, tensorrt=11)
    said = run("-c", textwrap.dedent("""
        import json, zipfile
        import numpy as np
        import onnxruntime
        from nvidia_tao_core.config.tiny_vit.default_config import ExperimentConfig
        from nvidia_tao_deploy.cv.tiny_vit.calibration import CalibrationBatcher
        from nvidia_tao_deploy.cv.tiny_vit.inferencer import TinyVitInferencer

        session = onnxruntime.InferenceSession("model.onnx")
        shape = (4, *session.get_inputs()[0].shape[1:])
        augmentation = ExperimentConfig().dataset.augmentation
        images, _, _ = next(CalibrationBatcher(["images"], shape, np.float32, 4, augmentation).get_batch())
        (expected,) = session.run(None, {"input": images})
        for precision in ("FP32", "FP16", "INT8"):
            with zipfile.ZipFile(f"{precision}.engine") as archive:
                made = json.loads(archive.read("engine.json"))["precision"]
            logits = TinyVitInferencer(f"{precision}.engine", 4, expected.shape[1]).infer(images)
            print(precision, made, np.abs(logits - expected).max() / np.abs(expected).max())
    """), hide_torch=True)
    found = {asked: float(error) for asked, made, error in re.findall(r"(?m)^(\w+) (\w+) (\S+)$", said)
             if made == asked.lower()}  # fmt: skip
    assert found["FP32"] < 1e-6 and 0 < found["FP16"] < 0.01 and 0 < found["INT8"] < 0.1, found
    files = [f"tests/tiny_vit/test_{name}.py" for name in ("onnx_precision", "int8_accuracy")]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    assert re.search(r"\n11 passed", run(*tests, cwd=workdir / "tao-deploy", hide_torch=True, tensorrt=11))


@pytest.mark.parametrize("variant", ["exact"], indirect=True, scope="module")
@pytest.mark.runtime
def test_schema_is_one_that_tao_core_reads(run: Callable[..., str]) -> None:
    """tao-core makes its JSON schema and AutoML parameters of it, and every field of ours is described."""
    run("-c", textwrap.dedent("""
        import dataclasses
        from nvidia_tao_core.config.tiny_vit import default_config, model_params_mapping
        from nvidia_tao_core.microservices.automl.params import flatten_properties
        from nvidia_tao_core.scripts.generate_schema import generate_schema
        from omegaconf import OmegaConf

        config = OmegaConf.structured(default_config.ExperimentConfig())
        assert config.model_name == "tiny_vit"
        sections = {
            "model", "dataset", "train", "evaluate", "inference", "export", "gen_trt_engine", "quantize", "convert"
        }
        schema = generate_schema("tiny_vit", "train")
        assert sections <= set(schema["properties"])
        assert schema["default"]["dataset"]["img_size"] == config.dataset.img_size
        flat = flatten_properties(schema["properties"])
        searched = {name for name, field in flat.items() if field["automl_enabled"] is True}
        assert {"train.optim.lr", "train.optim.weight_decay", "train.optim.momentum", "dataset.batch_size"} <= searched
        backbone = config.model.backbone.type
        assert model_params_mapping.map_params["head"]["in_channels"] == {backbone: config.model.head.in_channels}

        ours = [value for value in vars(default_config).values()
                if isinstance(value, type) and value.__module__ == default_config.__name__]
        assert len(ours) > 20
        for section in ours:
            own = section.__dict__.get("__annotations__", {})
            for field in dataclasses.fields(section):
                if field.name not in own:
                    continue
                where, facts = f"{section.__name__}.{field.name}", field.metadata
                assert facts["description"].endswith(".") and facts["display_name"], where
                if facts["value_type"] in ("int", "float"):
                    assert facts["valid_min"] != "" and facts["valid_max"] != "", where
                value = getattr(section(), field.name)
                if not dataclasses.is_dataclass(value) and value is not None:
                    assert facts["default_value"] == value, where
    """))


@pytest.mark.runtime
def test_pixels_are_those_of_training_and_of_hugging_face(
    run: Callable[..., str], variant: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """The deployed model sees exactly what the trained one saw, which is what the Hugging Face processor makes."""
    names = variant[0]
    render("tao-pytorch", names, tmp_path / "rendered")
    training = tmp_path / "rendered/nvidia_tao_pytorch/cv/tiny_vit/dataloader/augmentation.py"
    run("-c", textwrap.dedent(f"""
        import runpy
        import numpy as np
        from PIL import Image
        from omegaconf import OmegaConf
        from transformers import image_transforms as hf
        from nvidia_tao_core.config.tiny_vit.default_config import ExperimentConfig
        from nvidia_tao_deploy.cv.tiny_vit.dataloader import preprocess
        from nvidia_tao_deploy.cv.tiny_vit.utils.images import IMAGE_MODE

        dataset = OmegaConf.structured(ExperimentConfig()).dataset
        augmentation, (height, width) = dataset.augmentation, dataset.img_size
        resample = Image.Resampling[augmentation.resize.interpolation.upper()]
        training = runpy.run_path({str(training)!r})
        transform = training["build_eval_transform"](augmentation, dataset.img_size)
        normalize = training["Normalization"](augmentation.mean, augmentation.std)
        random = np.random.default_rng(0)
        for size in [(width, height), (61, 40), (40, 61), (33, 18), (9, 50), (width + 1, height + 2)]:
            pixels = random.integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
            image = Image.fromarray(pixels).convert(IMAGE_MODE)
            deployed = preprocess(image, height, width, augmentation)
            np.testing.assert_array_equal(deployed, normalize(transform(image)).numpy(), err_msg=str(size))

            array = np.array(image).reshape(size[1], size[0], -1)
            if augmentation.resize.mode == "exact":
                target = tuple(augmentation.resize.size)
            elif augmentation.resize.mode == "shortest_edge":
                target = hf.get_resize_output_image_size(
                    array, augmentation.resize.size[0], default_to_square=False, input_data_format="channels_last"
                )
            else:
                target = None
            if target:
                array = hf.resize(array, target, resample=resample, input_data_format="channels_last")
                array = array.reshape(*target, -1)
            if augmentation.center_crop:
                array = hf.center_crop(array, (height, width), input_data_format="channels_last")
            array = hf.normalize(
                hf.rescale(array, 1 / 255), list(augmentation.mean), list(augmentation.std),
                input_data_format="channels_last",
            )
            np.testing.assert_allclose(deployed, array.transpose(2, 0, 1), atol=1e-5, err_msg=str(size))
    """))


@pytest.mark.parametrize("variant", ["padded_gray"], indirect=True, scope="module")
@pytest.mark.runtime
@pytest.mark.slow
def test_linters_find_nothing(run: Callable[..., str], workdir: Path) -> None:
    """flake8, pydocstyle and pylint (errors) accept every generated file."""
    files = [
        *sorted((workdir / "tao-core/nvidia_tao_core/config/tiny_vit").rglob("*.py")),
        *sorted((workdir / "tao-deploy/nvidia_tao_deploy/cv/tiny_vit").rglob("*.py")),
        *sorted((workdir / "tao-deploy/tests/tiny_vit").rglob("*.py")),
    ]
    paths = [str(path) for path in files]
    assert run("-m", "flake8", "--max-line-length", "120", *paths) == ""
    assert run("-m", "pydocstyle", *paths) == ""
    run("-m", "pylint", "--errors-only", *paths, cwd=workdir / "tao-deploy")


@pytest.mark.parametrize("model_name", ["vit", "vit_base_patch16_224_in21k_finetuned"])
def test_no_line_is_too_long_for_the_lint(model_name: str, tmp_path: Path) -> None:
    names = classifier_context(model_name=model_name)
    repos = ("tao-core", "tao-pytorch", "tao-deploy")
    files = [file for repo in repos for file in render(repo, names, tmp_path / repo) if file.suffix == ".py"]
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if len(line[1]) > 120 and not line[1].endswith("  # noqa: E501")] == []
