"""Names, shapes and types of a checkpoint's tensors, from safetensors headers alone: the weights are never read."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line, parse_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_MAX_HEADER = 100 * 2**20
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}

Tensors = dict[str, dict[str, Any]]


def local_tensors(folder: Path) -> tuple[str, Tensors]:
    """Return ("safetensors" | "pytorch" | "none", {name: {"shape": [...], "dtype": code}}) of a directory.

    Raises:
        ProbeError: kind bad_checkpoint, when a header or the index is broken or a shard is missing.
    """
    if (folder / SINGLE).is_file():
        return "safetensors", read_header(folder / SINGLE)
    if (folder / INDEX).is_file():
        tensors: Tensors = {}
        for shard in shard_names(parse_json((folder / INDEX).read_bytes(), INDEX, "bad_checkpoint")):
            if not (folder / shard).is_file():
                raise ProbeError("bad_checkpoint", f"{INDEX} names {shard}, which is not in the directory.")
            tensors.update(read_header(folder / shard))
        return "safetensors", tensors
    if any((folder / name).is_file() for name in PICKLES):
        return "pytorch", {}
    return "none", {}


def shard_names(index: dict[str, Any]) -> list[str]:
    """Return the shard files that an index names; each must be a plain file name."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ProbeError("bad_checkpoint", f"{INDEX} has no weight_map; re-save the model.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if "/" in name or "\\" in name or name.startswith(".") or not name.endswith(".safetensors"):
            raise ProbeError("bad_checkpoint", f"{INDEX} names {clean(name)!r}, which is not a safetensors file name.")
    return names


def read_header(path: Path) -> Tensors:
    """Read and check the header of one safetensors file: 8 bytes of length, then JSON.

    Raises:
        ProbeError: kind bad_checkpoint.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length < 2 or length > _MAX_HEADER or 8 + length > size:
            raise _broken(path.name, "its header length does not fit the file")
        data = stream.read(length)
    try:
        header = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _broken(path.name, f"its header is not JSON: {first_line(error, 80)}") from error
    if not isinstance(header, dict):
        raise _broken(path.name, "its header is not a JSON object")
    tensors: Tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensors[name] = _entry(path.name, name, entry)
        if entry["data_offsets"][1] > size - 8 - length:
            raise _broken(path.name, f"tensor {clean(name, 80)} lies beyond the end of the file; is it cut short?")
    return tensors


def hub_tensors(files: dict[str, Any]) -> Tensors:
    """Return the tensors of huggingface_hub's per-file header metadata ({file: SafetensorsFileMetadata})."""
    tensors: Tensors = {}
    for file, metadata in files.items():
        for name, info in metadata.tensors.items():
            entry = {"shape": info.shape, "dtype": info.dtype, "data_offsets": list(info.data_offsets)}
            tensors[name] = _entry(file, name, entry)
    return tensors


def element_count(tensor: dict[str, Any]) -> int:
    """Return how many numbers a tensor holds."""
    return math.prod(tensor["shape"])


def byte_count(tensor: dict[str, Any]) -> int:
    """Return how many bytes a tensor takes in the file."""
    return element_count(tensor) * _BYTES[tensor["dtype"]]


def _entry(file: str, name: str, entry: Any) -> dict[str, Any]:
    try:
        dtype, shape, (first, last) = str(entry["dtype"]), list(entry["shape"]), entry["data_offsets"]
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in [*shape, first, last])
        tensor = {"shape": shape, "dtype": dtype}
        good = whole and dtype in _BYTES and last - first == byte_count(tensor)
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise _broken(file, f"the entry of tensor {clean(name, 80)} makes no sense")
    return tensor


def _broken(file: str, why: str) -> ProbeError:
    return ProbeError(
        "bad_checkpoint", f"{clean(file, 80)} is a broken safetensors file: {why}; download or save it again."
    )
