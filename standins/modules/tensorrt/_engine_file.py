# SPDX-License-Identifier: Apache-2.0

"""The engine file: a zip with the ONNX graph as it will run and a JSON description; no pickle, no code."""

import io
import json
import zipfile

from tensorrt._memory import IHostMemory
from tensorrt._version import __version__

_FORMAT = "tao-hf-template TensorRT stand-in engine, version 1"
EXECUTOR = "ONNX Runtime"
_GRAPH, _DESCRIPTION = "model.onnx", "engine.json"


def write_engine(model_bytes, description):
    """Return an engine file's bytes.

    Args:
        model_bytes (bytes): The serialized ONNX graph.
        description (dict): JSON-like: precision, profiles, builder (None where nothing of TensorRT built it), executor.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_DESCRIPTION, json.dumps({"format": _FORMAT, "version": __version__, **description}, indent=1))
        archive.writestr(_GRAPH, model_bytes)
    return IHostMemory(buffer.getvalue())


def read_engine(engine_bytes):
    """Return (ONNX bytes, description) of an engine file.

    Raises:
        RuntimeError: When these are not an engine file's bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(engine_bytes))) as archive:
            description = json.loads(archive.read(_DESCRIPTION))
            model_bytes = archive.read(_GRAPH)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise RuntimeError(
            "This is not an engine that the TensorRT stand-in wrote (a real TensorRT engine needs a GPU and "
            "TensorRT); build the engine again here with gen_trt_engine."
        ) from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise RuntimeError("This engine was written by another version of the TensorRT stand-in; build it again.")
    return model_bytes, description
