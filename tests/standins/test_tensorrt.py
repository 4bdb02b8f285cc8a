"""The TensorRT and pycuda stand-ins under the real tao-deploy: its builders, calibrators and inferencers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tao_hf.clones import sources
from tests.support.paths import STANDINS

pytestmark = pytest.mark.runtime


PRELUDE = """
import json, os, sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from nvidia_tao_deploy.cv.classification_tf1.engine_builder import ClassificationEngineBuilder
from nvidia_tao_deploy.cv.classification_tf1.inferencer import ClassificationInferencer
from nvidia_tao_deploy.engine.builder import EngineBuilder
import pycuda.driver as cuda
import tensorrt as trt

RNG = np.random.default_rng(7)


def save_graph(path="model.onnx", batch="batch"):
    '''Write a small classifier: (batch, 3, 8, 8) to (batch, 4).'''
    conv = RNG.normal(size=(8, 3, 3, 3)).astype("float32") * 0.2
    bias = RNG.normal(size=8).astype("float32")
    head = RNG.normal(size=(8, 4)).astype("float32")
    nodes = [
        helper.make_node("Conv", ["input", "conv_w", "conv_b"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "head_w"], ["output"], name="head"),
    ]
    graph = helper.make_graph(
        nodes, "classifier",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 4])],
        [numpy_helper.from_array(array, name)
         for name, array in (("conv_w", conv), ("conv_b", bias), ("head_w", head))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def reference(images, path="model.onnx"):
    '''Return what ONNX Runtime computes.'''
    import onnxruntime
    return onnxruntime.InferenceSession(path).run(None, {"input": images})[0]


def images(count):
    '''Return images as they look after preprocessing.'''
    return RNG.uniform(-2, 2, size=(count, 3, 8, 8)).astype("float32")


def build(precision="fp32", path="model.onnx", engine="model.engine", bounds=(1, 2, 4), **options):
    '''Build an engine with tao-deploy's own classification builder.'''
    builder = ClassificationEngineBuilder(
        workspace=1, batch_size=-1, preprocess_mode="torch",
        min_batch_size=bounds[0], opt_batch_size=bounds[1], max_batch_size=bounds[2],
    )
    builder.create_network(path, "onnx")
    builder.create_engine(engine, precision, **options)
    return engine


def infer(engine, batch):
    '''Run an engine with tao-deploy's own inferencer.'''
    return ClassificationInferencer(engine, batch_size=len(batch), data_format="channel_first").infer(batch)
"""


@pytest.fixture(scope="module")
def tao_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the roots of tao-core and tao-deploy as published on PyPI."""
    found = sources.resolve(tmp_path_factory.mktemp("nothing"), "7.0.1", "embedded", "")
    return [found["tao-core"]["path"], found["tao-deploy"]["path"]]


@pytest.fixture
def deploy(
    runtime_python: Path, tao_wheels: list[str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs Python code with tao-deploy and the stand-ins, in an empty directory."""

    def run(code: str, *, check: bool = True, lacking: str = "") -> subprocess.CompletedProcess[str]:
        path = [str(STANDINS / "hide_in_deploy"), *tao_wheels, str(STANDINS / "modules")]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONNOUSERSITE": "1",
            "TELEMETRY_OPT_OUT": "yes",
        }
        hidden = f"import sys; sys.modules[{lacking!r}] = None\n" if lacking else ""
        done = subprocess.run(
            [str(runtime_python), "-c", hidden + PRELUDE + textwrap.dedent(code)],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


def answer(done: subprocess.CompletedProcess[str]) -> dict:
    """Return the JSON object on the last line of what a run printed."""
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_importing_is_silent_and_marked(runtime_python: Path, tmp_path: Path) -> None:
    """Importing the stand-ins prints nothing, and each says that it is one."""
    code = (
        "import tensorrt, pycuda, pycuda.driver, pycuda.autoinit, eff, eff_tao_encryption\n"
        "modules = (tensorrt, pycuda, pycuda.driver, pycuda.autoinit, eff, eff_tao_encryption)\n"
        "assert all(module.IS_STAND_IN is True for module in modules)\n"
    )
    done = subprocess.run(
        [str(runtime_python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(STANDINS / "modules")},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_fp32_is_exact_for_every_batch_size(deploy: Callable) -> None:
    """An FP32 engine computes what ONNX Runtime computes, at each batch size of its profile."""
    done = deploy("""
        save_graph()
        build()
        worst, shapes = 0.0, []
        for count in (1, 2, 3, 4):
            batch = images(count)
            got = infer("model.engine", batch)
            shapes.append(list(got.shape))
            worst = max(worst, float(np.abs(got - reference(batch)).max()))
        print(json.dumps({"worst": worst, "shapes": shapes}))
    """)
    assert answer(done) == {"worst": 0.0, "shapes": [[1, 4], [2, 4], [3, 4], [4, 4]]}
    assert "TensorRT is not installed" in done.stderr, "a run on the stand-in must say so"


def test_static_batch(deploy: Callable) -> None:
    """A graph with a fixed batch size runs at that size and refuses another."""
    done = deploy("""
        save_graph(batch=2)
        build(bounds=(1, 1, 1))
        batch = images(2)
        got = infer("model.engine", batch)
        try:
            ClassificationInferencer("model.engine", batch_size=3, data_format="channel_first")
        except RuntimeError as error:
            refused = str(error)
        print(json.dumps({"worst": float(np.abs(got - reference(batch)).max()), "refused": refused}))
    """)
    found = answer(done)
    assert found["worst"] == 0.0
    assert "(3, 3, 8, 8)" in found["refused"] and "(2, 3, 8, 8)" in found["refused"]


def test_fp16_rounds_but_agrees(deploy: Callable) -> None:
    """An FP16 engine only rounds, keeps float32 inputs and outputs, and honours layer precisions."""
    done = deploy("""
        import zipfile
        save_graph()
        build("fp16", engine="half.engine")
        build("fp16", engine="mixed.engine", layers_precision={"head": "fp32"})
        batch = images(4)
        result = {}
        for name in ("half", "mixed"):
            inferencer = ClassificationInferencer(f"{name}.engine", batch_size=4, data_format="channel_first")
            got = inferencer.infer(batch)
            model = onnx.load_model_from_string(zipfile.ZipFile(f"{name}.engine").read("model.onnx"))
            result[name] = {
                "difference": float(np.abs(got - reference(batch)).max()),
                "types": [str(got.dtype), str(inferencer.numpy_array["input"].dtype)],
                "weights": {
                    item.name: TensorProto.DataType.Name(item.data_type)
                    for item in model.graph.initializer if item.name.endswith("_w")
                },
            }
        print(json.dumps(result))
    """)
    found = answer(done)
    for result in found.values():
        assert 0 < result["difference"] < 5e-3
        assert result["types"] == ["float32", "float32"]
    assert found["half"]["weights"] == {"conv_w": "FLOAT16", "head_w": "FLOAT16"}
    assert found["mixed"]["weights"] == {"conv_w": "FLOAT16", "head_w": "FLOAT"}


def test_fp16_overflows(deploy: Callable) -> None:
    """Between two layers there are no more digits, nor larger numbers, than FP16 has."""
    done = deploy("""
        nodes = [
            helper.make_node("Mul", ["input", "thousand"], ["scaled"]),
            helper.make_node("Mul", ["scaled", "scaled"], ["square"]),
            helper.make_node("Sqrt", ["square"], ["root"]),
            helper.make_node("Flatten", ["root"], ["output"]),
        ]
        graph = helper.make_graph(
            nodes, "overflow",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 8, 8])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 192])],
            [numpy_helper.from_array(np.float32(1000), "thousand")],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "model.onnx")
        batch = np.full((1, 3, 8, 8), 0.5, dtype="float32")
        found = {precision: infer(build(precision, engine=f"{precision}.engine", bounds=(1, 1, 1)), batch)
                 for precision in ("fp32", "fp16")}
        print(json.dumps({name: str(value.max()) for name, value in found.items()}))
    """)
    assert answer(done) == {"fp32": "500.0", "fp16": "inf"}


UNFOLDED = """
    nodes = [
        helper.make_node("Col2Im", ["input", "size", "patch"], ["c"], strides=[2, 2], name="fold"),
        helper.make_node("Relu", ["c"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "folding",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 12, 16])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [numpy_helper.from_array(np.array(pair), name) for name, pair in (("size", [8, 8]), ("patch", [2, 2]))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), "model.onnx")
"""


def test_what_tensorrt_refuses_is_refused(deploy: Callable) -> None:
    """A network that ONNX Runtime runs and TensorRT has no operator for ends the build, and the operator is named."""
    done = deploy(UNFOLDED + """
    assert reference(np.zeros((2, 12, 16), "float32")).shape == (2, 3, 8, 8)
    build()
    """, check=False)
    assert done.returncode == 1
    assert "TensorRT-RTX" in done.stderr and "has no operator Col2Im (fold)" in done.stderr
    assert "ONNX Runtime, on which" not in done.stderr


def test_without_tensorrt_rtx(deploy: Callable) -> None:
    """Where there is no wheel of it, ONNX Runtime alone judges a network, and that is said loudly."""
    done = deploy("""
        save_graph()
        build()
        batch = images(2)
        print(json.dumps(float(np.abs(infer("model.engine", batch) - reference(batch)).max())))
    """, lacking="tensorrt_rtx_bindings")
    assert json.loads(done.stdout.splitlines()[-1]) == 0.0
    assert "NOTHING SAYS WHETHER TENSORRT TAKES THIS NETWORK" in done.stderr


def test_engines_are_built_by_tensorrt_rtx(deploy: Callable) -> None:
    """Every precision goes through the real builder, whose name the engine bears."""
    done = deploy(INT8 + """
    import zipfile
    names = {}
    for precision in ("fp32", "fp16", "int8"):
        build(precision, engine=f"{precision}.engine", **(options if precision == "int8" else {}))
        described = json.loads(zipfile.ZipFile(f"{precision}.engine").read("engine.json"))
        names[precision] = described["builder"]
    print(json.dumps(names))
    """)
    names = answer(done)
    assert len(set(names.values())) == 1 and names["fp32"].startswith("TensorRT-RTX 1.")
    assert done.stderr.count("TensorRT-RTX 1.7.1.116 parses and builds, ONNX Runtime executes") >= 3


INT8 = """
    from PIL import Image
    save_graph()
    os.makedirs("images")
    for number in range(16):
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype="uint8")).save(f"images/{number}.png")
    options = dict(calib_input="images", calib_cache="calib.cache", calib_num_images=16, calib_batch_size=4)
    options["calib_data_file"] = "data.h5"
    build("int8", **options)
    batch = images(4)
    got = infer("model.engine", batch)
    difference = float(np.abs(got - reference(batch)).max())
    scale = float(np.abs(reference(batch)).max())
"""


def test_int8_calibrates_once_and_reuses_its_cache(deploy: Callable, tmp_path: Path) -> None:
    """INT8 runs the calibrator's batches and writes a cache that gives the same engine again."""
    done = deploy(
        textwrap.dedent(INT8)
        + textwrap.dedent("""
        os.remove("data.h5")
        for name in os.listdir("images"):
            os.remove(f"images/{name}")  # nothing left to calibrate with: only the cache can serve
        builder = EngineBuilder(batch_size=-1, opt_batch_size=2, max_batch_size=4, workspace=1)
        builder.create_network("model.onnx", "onnx")
        builder.create_engine("again.engine", "int8", calib_input="images", calib_cache="calib.cache",
                              calib_num_images=16, calib_batch_size=4)
        again = infer("again.engine", batch)
        print(json.dumps({"difference": difference, "scale": scale, "same": bool((again == got).all())}))
    """)
    )
    found = answer(done)
    assert 0 < found["difference"] < 0.1 * found["scale"]
    assert found["same"]
    title, *scales = (tmp_path / "calib.cache").read_text().splitlines()
    assert title.startswith("TRT-") and title.endswith("EntropyCalibration2")
    assert {line.split(": ")[0] for line in scales} == {"f", "input"}
    with zipfile.ZipFile(tmp_path / "model.engine") as engine:
        assert b"QuantizeLinear" in engine.read("model.onnx")


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        (b"TRT-100-EntropyCalibration2\nother: 3c000000\n", "belongs to another model"),
        (b"\x80\x04\x95 no cache", "no TensorRT calibration cache"),
    ],
)
def test_a_wrong_calibration_cache_is_refused(deploy: Callable, tmp_path: Path, cache: bytes, reason: str) -> None:
    """A cache of another model, or any other file, stops the build instead of giving a wrong engine."""
    (tmp_path / "calib.cache").write_bytes(cache)
    done = deploy(INT8, check=False)
    assert done.returncode != 0
    assert reason in done.stderr
    assert not (tmp_path / "model.engine").exists()


def test_calibration_without_images_is_refused(deploy: Callable) -> None:
    """A calibrator that gives no batch stops the build."""
    done = deploy("""
        class Empty(trt.IInt8EntropyCalibrator2):
            def get_batch_size(self):
                return 2
            def get_batch(self, names):
                return None
        save_graph()
        builder = EngineBuilder(batch_size=-1, max_batch_size=4, workspace=1)
        builder.create_network("model.onnx", "onnx")
        builder.config.set_flag(trt.BuilderFlag.INT8)
        builder.config.int8_calibrator = Empty()
        try:
            builder.builder.build_serialized_network(builder.network, builder.config)
        except RuntimeError as error:
            print(json.dumps({"refused": str(error)}))
    """)
    assert "no batch" in answer(done)["refused"]


def test_entropy_clips_the_tails_and_minmax_does_not(deploy: Callable) -> None:
    """For normally distributed values the entropy calibrator clips some, the min-max one none."""
    done = deploy("""
        class Batches:
            def __init__(self):
                trt.IInt8Calibrator.__init__(self)
                self.left, self.memory = 60, cuda.mem_alloc(4 * 2 * 3 * 8 * 8)
            def get_batch_size(self):
                return 2
            def get_batch(self, names):
                self.left -= 1
                if self.left < 0:
                    return None
                batch = np.random.default_rng(self.left).normal(size=(2, 3, 8, 8)).astype("float32")
                cuda.memcpy_htod(self.memory, batch)
                return [int(self.memory)]
            def write_calibration_cache(self, cache):
                self.cache = bytes(cache).decode()
        class Entropy(Batches, trt.IInt8EntropyCalibrator2):
            pass
        class MinMax(Batches, trt.IInt8MinMaxCalibrator):
            pass
        save_graph()
        result = {}
        for kind in (Entropy, MinMax):
            builder = EngineBuilder(batch_size=-1, max_batch_size=4, workspace=1)
            builder.create_network("model.onnx", "onnx")
            builder.config.set_flag(trt.BuilderFlag.INT8)
            builder.config.int8_calibrator = kind()
            builder.builder.build_serialized_network(builder.network, builder.config)
            lines = builder.config.int8_calibrator.cache.splitlines()
            line = next(line for line in lines if line.startswith("input: "))
            result[kind.__name__] = 127 * float(np.frombuffer(bytes.fromhex(line[7:]), dtype=">f4")[0])
        largest = max(np.abs(np.random.default_rng(seed).normal(size=(2, 3, 8, 8))).max() for seed in range(60))
        print(json.dumps({**result, "largest": float(largest)}))
    """)
    found = answer(done)
    assert found["MinMax"] == pytest.approx(found["largest"], rel=2e-3)
    assert 0.5 * found["largest"] < found["Entropy"] < 0.95 * found["largest"]


def test_what_is_no_engine_is_refused(deploy: Callable, tmp_path: Path) -> None:
    """A real TensorRT engine, another zip and a truncated engine give one clear error."""
    (tmp_path / "real.engine").write_bytes(b"ptrt\x00\x01 a TensorRT engine is not a zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"\x80\x04.")
    (tmp_path / "zip.engine").write_bytes(buffer.getvalue())
    done = deploy("""
        save_graph()
        build()
        whole = open("model.engine", "rb").read()
        open("short.engine", "wb").write(whole[:len(whole) // 2])
        refused = {}
        for name in ("real", "zip", "short"):
            try:
                trt.Runtime(trt.Logger()).deserialize_cuda_engine(open(f"{name}.engine", "rb").read())
            except RuntimeError as error:
                refused[name] = str(error)
        print(json.dumps(refused))
    """)
    refused = answer(done)
    assert set(refused) == {"real", "zip", "short"}
    assert all("build the engine again" in text for text in refused.values())


def test_shapes_outside_the_profile_are_refused(deploy: Callable) -> None:
    """A batch larger than the profile's maximum stops with the bounds in the message."""
    done = deploy("""
        save_graph()
        build(bounds=(1, 2, 4))
        try:
            ClassificationInferencer("model.engine", batch_size=5, data_format="channel_first")
        except RuntimeError as error:
            print(json.dumps({"refused": str(error)}))
    """)
    refused = answer(done)["refused"]
    assert "(5, 3, 8, 8)" in refused and "(1, 3, 8, 8)" in refused and "(4, 3, 8, 8)" in refused


def test_a_broken_onnx_file_ends_the_builder(deploy: Callable, tmp_path: Path) -> None:
    """tao-deploy's builder reports the parser's reason and exits, as with TensorRT."""
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    done = deploy("build()", check=False)
    assert done.returncode == 1
    assert "is no readable ONNX model" in done.stderr
    assert not (tmp_path / "model.engine").exists()


def test_unsupported_precision_is_refused(deploy: Callable) -> None:
    """BF16 is not quietly built as something else."""
    done = deploy("save_graph(); build('bf16')", check=False)
    assert done.returncode != 0
    assert "not BF16" in done.stderr


def test_timing_cache_is_written_and_read(deploy: Callable, tmp_path: Path) -> None:
    """tao-deploy's timing-cache option works twice in a row."""
    deploy("""
        save_graph()
        for _ in range(2):
            builder = EngineBuilder(
                batch_size=-1, max_batch_size=2, workspace=1, timing_cache_path="timing.cache"
            )
            builder.create_network("model.onnx", "onnx")
            builder.create_engine("model.engine", "fp32")
    """)
    assert (tmp_path / "timing.cache").is_file()


def test_device_memory_guards(deploy: Callable) -> None:
    """Reading past an allocation, after free and from a strided array are errors, not silent corruption."""
    done = deploy("""
        block = cuda.mem_alloc(16)
        cuda.memcpy_htod(block, np.arange(4, dtype="float32"))
        inside = np.empty(2, dtype="float32")
        cuda.memcpy_dtoh(inside, int(block) + 8)
        failures = []
        for action in (
            lambda: cuda.memcpy_dtoh(np.empty(5, dtype="float32"), block),
            lambda: cuda.memcpy_htod(block, np.zeros((4, 4), dtype="float32")[:, 0]),
            lambda: block.free(),
            lambda: cuda.memcpy_dtoh(inside, int(block)),
            lambda: block.free(),
        ):
            try:
                action()
                failures.append(None)
            except cuda.LogicError as error:
                failures.append(str(error))
        print(json.dumps({"inside": inside.tolist(), "failures": failures}))
    """)
    found = answer(done)
    assert found["inside"] == [2.0, 3.0]
    past, strided, first_free, after_free, second_free = found["failures"]
    assert first_free is None
    assert "do not fit" in past and "contiguous" in strided
    assert "was it freed" in after_free and "freed before" in second_free


def test_encryption_is_refused(deploy: Callable, tmp_path: Path) -> None:
    """An encrypted .etlt file is refused with what to do about it."""
    (tmp_path / "model.etlt").write_bytes(b"\0\0\0\0secret")
    done = deploy("""
        from nvidia_tao_deploy.utils.decoding import decode_model
        try:
            decode_model("model.etlt", key="k")
        except NotImplementedError as error:
            print(json.dumps({"refused": str(error)}))
    """)
    assert "'eff' library is not installed" in answer(done)["refused"]


def test_deploy_scripts_import_without_torch(deploy: Callable) -> None:
    """The real classification scripts and the command-line entry point import where PyTorch is hidden."""
    done = deploy("""
        import nvidia_tao_deploy.cv.common.entrypoint.entrypoint_hydra
        import nvidia_tao_deploy.cv.classification_pyt.scripts.evaluate
        import nvidia_tao_deploy.cv.classification_pyt.scripts.gen_trt_engine
        import nvidia_tao_deploy.cv.classification_pyt.scripts.inference
        print(json.dumps({"torch": "torch" in sys.modules}))
    """)
    assert answer(done) == {"torch": False}
