"""What a network looks like from outside, found by running it once: its stages, feature maps and classification head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

_DOMINANT = 0.6  # a part with more of the parameters than this is looked into
_FINEST = 4  # feature maps of strides below are left out, as detectors and segmenters do
_MOST_EXTRA_TOKENS = 8


@dataclass
class Unit:
    """A module that ran, as one step of the forward pass.

    Attributes:
        path: its name in the network.
        module: the module.
        maps: feature maps among its outputs: {"index", "layout", "stride", "channels", "prefix", "suffix"}.
        output: what it returned.
    """

    path: str
    module: Any
    maps: list[dict[str, Any]] = field(default_factory=list)


def look(network: Any, run: Callable[[], Any], size: list[int], head: list[str]) -> dict[str, Any]:
    """Return the stages and the feature maps of a network.

    Args:
        network: a module on any device, the meta device too.
        run: runs it on a batch of images.
        size: [height, width] of the images.
        head: paths of the classification layers.

    Returns:
        ``stages``: [{"modules": [paths]} or {"each": container}], the stem first; ``taps``: one feature map a stride,
        from fine to coarse: {"module", "index", "layout", "stride", "channels", "prefix", "suffix"}.
    """
    order, outputs = _watch(network, run)
    units = [Unit(path, network.get_submodule(path)) for path in _unfold(network, "", order, head)]
    patch_prefix = getattr(network, "num_prefix_tokens", None)
    for unit in units:
        unit.maps = list(_maps(outputs.get(unit.path), size, patch_prefix))
    first, last = _body(units, head)
    body = units[first:last]
    stages = _stages(units[:first], body)
    return {"stages": _shortened(network, stages), "taps": _taps(network, body, stages)}


def head_modules(build: Callable[[int], Any], count: int) -> dict[str, Any] | None:
    """Return the layers whose size follows the number of classes.

    Args:
        build: makes the network for a number of classes.
        count: a number of classes.

    Returns:
        ``modules`` (paths), ``kind`` ("Linear" or "Conv2d") and ``width`` (features that enter); None where there are
        none, or they are of another kind.
    """
    import torch

    one, other = build(count), build(count + 1)
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    changed = [name for name, value in one.state_dict().items() if shapes.get(name) != value.shape]
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in changed))
    modules = [one.get_submodule(path) for path in paths]
    for kind, width in (("Linear", "in_features"), ("Conv2d", "in_channels")):
        if modules and all(isinstance(module, getattr(torch.nn, kind)) for module in modules):
            return {"modules": paths, "kind": kind, "width": getattr(modules[0], width)}
    return None


def _watch(network: Any, run: Callable[[], Any]) -> tuple[list[str], dict[str, Any]]:
    """Run, and return the paths of the modules in the order in which they were entered, and what they returned."""
    order: dict[str, None] = {}
    outputs: dict[str, Any] = {}
    handles = []
    for path, module in network.named_modules():
        if path:
            handles.append(module.register_forward_pre_hook(lambda *_, path=path: order.setdefault(path)))
            handles.append(module.register_forward_hook(lambda _, args, out, path=path: outputs.update({path: out})))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return list(order), outputs


def _unfold(network: Any, path: str, order: list[str], head: list[str]) -> list[str]:
    """Return the steps of a module: its parts that ran, looking into one that holds nearly everything."""
    parts = sorted(_parts(network.get_submodule(path), path, order), key=order.index)
    kinds = [type(network.get_submodule(part)) for part in parts if _weight(network, part, head)]
    if any(kinds.count(kind) > 1 for kind in kinds if kind.__module__.split(".")[0] != "torch"):
        return parts  # a row of blocks
    total = sum(_weight(network, part, head) for part in parts)
    for place, part in enumerate(parts):
        inside = list(_parts(network.get_submodule(part), part, order))
        if total and _weight(network, part, head) >= _DOMINANT * total and len(inside) > 1:
            deeper = _unfold(network, part, order, head)
            return [*parts[:place], *deeper, *parts[place + 1 :]]
    return parts


def _parts(module: Any, path: str, order: list[str]) -> Iterator[str]:
    """Yield the children that ran; of containers that are only iterated over, their children."""
    ran = set(order)
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if inner in ran:
            yield inner
        else:
            yield from _parts(child, inner, order)


def _weight(network: Any, path: str, head: list[str]) -> int:
    if path in head:
        return 0
    return sum(parameter.numel() for parameter in network.get_submodule(path).parameters())


def _body(units: list[Unit], head: list[str]) -> tuple[int, int]:
    """Return where the blocks begin and end: those of the kind that holds most parameters, and what is between them."""
    weights: dict[type, int] = {}
    for unit in units:
        if not any(path == unit.path or path.startswith(f"{unit.path}.") for path in head):
            count = sum(parameter.numel() for parameter in unit.module.parameters())
            weights[type(unit.module)] = weights.get(type(unit.module), 0) + count
    kind = max(weights, key=weights.__getitem__)
    places = [place for place, unit in enumerate(units) if type(unit.module) is kind]
    first = places[0]
    if first == 0 and len(units) > 1 and len(places) > 1:
        return first + 1, places[-1] + 1  # nothing comes before the blocks: the first of them is the stem
    return first, places[-1] + 1


def _stages(stem: list[Unit], body: list[Unit]) -> list[list[Unit]]:
    """Group the units: by resolution where there are several, else each by itself."""
    strides = []
    for unit in body:
        strides.append(unit.maps[0]["stride"] if unit.maps else strides[-1] if strides else None)
    with_weights = [unit for unit in stem if any(True for _ in unit.module.parameters())]
    if len(set(strides)) > 1:
        groups = [[unit for unit, _ in group] for _, group in groupby(zip(body, strides, strict=True), lambda it: it[1])]
    else:
        groups = [[unit] for unit in body if any(True for _ in unit.module.parameters())]
    groups = [[unit for unit in group if any(True for _ in unit.module.parameters())] for group in groups]
    return [with_weights, *filter(None, groups)]


def _shortened(network: Any, stages: list[list[Unit]]) -> list[dict[str, Any]]:
    """Return the stages as paths; a container whose every child is a stage of its own by its name alone."""
    paths = [[unit.path for unit in stage] for stage in stages]
    own = [stage[0] for stage in paths[1:] if len(stage) == 1]
    containers = {path.rpartition(".")[0] for path in own}
    if len(own) == len(paths) - 1 and len(own) > 1 and len(containers) == 1 and "" not in containers:
        container = containers.pop()
        if [f"{container}.{name}" for name, _ in network.get_submodule(container).named_children()] == own:
            return [{"modules": paths[0]}, {"each": container}]
    return [{"modules": stage} for stage in paths]


def _taps(network: Any, body: list[Unit], stages: list[list[Unit]]) -> list[dict[str, Any]]:
    """Return the last feature map of each stride; paths of the last of many equal blocks count from the end."""
    found: dict[int, dict[str, Any]] = {}
    for unit in body:
        for entry in unit.maps:
            found[entry["stride"]] = {"module": unit.path, **entry}
    kept = [found[stride] for stride in sorted(found) if stride >= _FINEST] or list(found.values())
    if len(kept) == 1:
        container, _, name = kept[0]["module"].rpartition(".")
        if name.isdigit() and int(name) == len(list(network.get_submodule(container).children())) - 1:
            kept[0]["module"] = f"{container}.-1"
    return kept


def _maps(output: Any, size: list[int], prefix: int | None) -> Iterator[dict[str, Any]]:
    import torch

    several = isinstance(output, (tuple, list))
    values = list(output) if several else [output]
    seen = set()
    for index, value in enumerate(values):
        if not isinstance(value, torch.Tensor) or value.ndim not in (3, 4):
            continue
        entry = _as_map(list(value.shape), size, prefix)
        if entry and entry["stride"] not in seen:
            seen.add(entry["stride"])
            yield {"index": index if several else None, **entry}


def _as_map(shape: list[int], size: list[int], prefix: int | None) -> dict[str, Any] | None:
    """Return how a tensor holds a feature map of an image of that size, None where it does not."""
    if len(shape) == 4:
        for layout, (rows, columns, channels) in (
            ("NCHW", (shape[2], shape[3], shape[1])),
            ("NHWC", (shape[1], shape[2], shape[3])),
        ):
            stride = _stride(rows, columns, size)
            if stride:
                return {"layout": layout, "stride": stride, "channels": channels, "prefix": 0, "suffix": 0}
        return None
    for stride in sorted(range(2, 65), key=lambda stride: (size[0] % stride + size[1] % stride > 0, stride)):
        count = (size[0] // stride) * (size[1] // stride)
        extra = shape[1] - count
        if count and 0 <= extra <= min(_MOST_EXTRA_TOKENS, count) and (extra == 0 or stride >= _FINEST):
            before = extra if prefix is None else min(prefix, extra)
            return {
                "layout": "tokens", "stride": stride, "channels": shape[2], "prefix": before, "suffix": extra - before,
            }  # fmt: skip
    return None


def _stride(rows: int, columns: int, size: list[int]) -> int | None:
    """Return the stride of a grid, rounded down or up; None when the sides do not agree."""
    for stride in range(1, max(size) + 1):
        if (rows, columns) in (
            (size[0] // stride, size[1] // stride),
            (-(-size[0] // stride), -(-size[1] // stride)),
        ):
            power = 1 << (stride - 1).bit_length()
            same = (rows, columns) in ((size[0] // power, size[1] // power), (-(-size[0] // power), -(-size[1] // power)))
            return power if same else stride
    return None
