"""What a network looks like from outside, found by running it: its stages, feature maps and classification head.

A network is seen as a row of steps: modules that run one after the other, none inside another. Where the steps are is
found by looking for blocks: modules of the same kind, side by side. A tensor that a step returns is a feature map when
its shape fits the image and a change in a corner of the image shows most in the same corner of the map; that also tells
in which order it holds rows, columns and channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Any

import torch

_FINEST = 4  # feature maps of strides below are left out, as detectors and segmenters do
_COMMON, _COARSEST = 32, 64
_MOST_EXTRA_TOKENS = 8
_MOST_NESTED = 4
_CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList)
_LOCAL = 1.2  # a change must show in its place by more than this, in parts of how it shows on average,
_ENOUGH_CELLS = 64  # in maps of at least so many cells: in smaller ones it reaches all of them
_CLEARLY = 1.5  # and by so much more than in the likeliest way to read the map, for another to be believed


def look(network: Any, run: Callable[[], Any], size: list[int], head: list[str]) -> dict[str, Any]:
    """Return the stages and the feature maps of a network.

    Args:
        network: a module on any device, the meta device too.
        run: runs it on a batch of images.
        size: [height, width] of the images.
        head: paths of the classification layers.

    Returns:
        ``stages``: [{"modules": [paths]} or {"each": container}], the stem first; ``taps``: one feature map a stride,
        from fine to coarse: {"module", "index", "layout", "stride", "up", "channels", "prefix", "suffix", "nested"}.
        `up` says that rows and columns are rounded up. The layout is NCHW, NHWC, or tokens: (N, prefix + rows *
        columns + suffix, C), which stand in rows, or, if `nested` is not 0, in that many squares of four inside each
        other. There are no taps where nothing looks like a map.
    """
    seen = _Run(network, run, size)
    steps = _unfold(seen, "", head) or list(seen.parts(""))
    stem, body = _divided(seen, steps)
    return {"stages": _shortened(network, _stages(seen, stem, body)), "taps": _taps(seen, body)}


def head_modules(build: Callable[[int], Any], count: int) -> dict[str, Any] | None:
    """Return the layers whose size follows the number of classes.

    Args:
        build: makes the network for a number of classes.
        count: a number of classes.

    Returns:
        ``modules`` (paths), ``kind`` ("Linear" or "Conv2d") and ``width`` (features that enter); None where there are
        none, or they are of another kind.
    """
    one, other = build(count), build(count + 1)
    shapes = {name: value.shape for name, value in other.named_parameters()}
    changed = [name for name, value in one.named_parameters() if shapes.get(name) != value.shape]
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in changed))
    modules = [one.get_submodule(path) for path in paths]
    for kind, width in (("Linear", "in_features"), ("Conv2d", "in_channels")):
        if modules and all(isinstance(module, getattr(torch.nn, kind)) for module in modules):
            return {"modules": paths, "kind": kind, "width": getattr(modules[0], width)}
    return None


class _Run:
    """What happened when the network ran.

    Attributes:
        network: the network.
    """

    def __init__(self, network: Any, run: Callable[[], Any], size: list[int]) -> None:
        """Run it twice: on the images, and on images with a change in one place."""
        self.network = network
        self._entered: dict[str, int] = {}
        self._left: list[str] = []
        self._change = _Change(size)
        self._outputs = self._watched(run)
        changing = network.register_forward_pre_hook(lambda _, args: (self._change.made(args[0]), *args[1:]))
        try:
            self._changed = self._watched(run)
        finally:
            changing.remove()

    def _watched(self, run: Callable[[], Any]) -> dict[str, Any]:
        """Run, noting in what order modules are entered and left; return what they returned, by their paths."""
        outputs: dict[str, Any] = {}
        self._entered, self._left = {}, []

        def enter(path: str) -> None:
            self._entered.setdefault(path, len(self._entered))

        def leave(path: str, output: Any) -> None:
            self._left.append(path)
            outputs[path] = output

        handles = []
        for path, module in self.network.named_modules():
            if path:
                handles.append(module.register_forward_pre_hook(lambda *_, path=path: enter(path)))
                handles.append(module.register_forward_hook(lambda _, args, output, path=path: leave(path, output)))
        try:
            run()
        finally:
            for handle in handles:
                handle.remove()
        return outputs

    def module(self, path: str) -> Any:
        """Return a module."""
        return self.network.get_submodule(path)

    def parts(self, path: str) -> list[str]:
        """Return the children that ran, in their order; of containers that are only iterated over, their children."""

        def below(module: Any, path: str) -> Iterator[str]:
            for name, child in module.named_children():
                inner = f"{path}.{name}" if path else name
                if inner in self._entered:
                    yield inner
                else:
                    yield from below(child, inner)

        return sorted(below(self.module(path), path), key=self._entered.__getitem__)

    def rows(self, path: str) -> list[str]:
        """Return the blocks inside a module: what its lists and sequences hold, single layers left out."""
        found = []
        for part in self.parts(path):
            if isinstance(self.module(part), torch.nn.Sequential):
                found += self.parts(part)
            elif self.in_container(part):
                found.append(part)
        return [part for part in found if _has_children(self.module(part))]

    def in_container(self, path: str) -> bool:
        """Tell whether a module is an element of a list or sequence."""
        return isinstance(self.module(path.rpartition(".")[0]), _CONTAINERS)

    def maps(self, path: str) -> list[dict[str, Any]]:
        """Return the feature maps among what a module returned, one for each stride; none if it ran several times."""
        output, changed = self._outputs[path], self._changed[path]
        several = isinstance(output, (tuple, list))
        pairs = list(zip(output, changed, strict=True)) if several else [(output, changed)]
        tensors = {
            index: other - value
            for index, (value, other) in enumerate(pairs)
            if isinstance(value, torch.Tensor) and value.ndim in (3, 4) and self._left.count(path) == 1
        }
        found: dict[int, dict[str, Any]] = {}
        for index in sorted(tensors, key=lambda index: tensors[index].ndim, reverse=True):  # maps rather than tokens
            entry = self._change.reading(tensors[index])
            if entry:
                found.setdefault(entry["stride"], {"index": index if several else None, **entry})
        return list(found.values())

    def left_after(self, path: str, other: str) -> bool:
        """Tell whether a module was done after another."""
        return self._left.index(path) > self._left.index(other)


class _Change:
    """A change of the images, in another place of each, and how it shows in what the network computes."""

    def __init__(self, size: list[int]) -> None:
        """Choose the places: squares a quarter of the image wide."""
        height, width = size
        self._size = size
        self._side = max(1, height // 4), max(1, width // 4)
        self._places = [(0, width // 2), (height // 2, width // 4)]
        self._known: dict[tuple[int, ...], dict[str, Any] | None] = {}

    def made(self, images: Any) -> Any:
        """Return the images with the change."""
        changed = images.clone()
        rows, columns = self._side
        for image, (top, left) in zip(changed, self._places, strict=False):
            image[:, top : top + rows, left : left + columns] += 1.0
        return changed

    def reading(self, difference: Any) -> dict[str, Any] | None:
        """Return how a tensor is to be read as a feature map, given how the change shows in it; None if it is none.

        The first tensor of a shape tells for all: in later ones a change has spread, be they maps or not.
        """
        shape = tuple(difference.shape)
        if shape not in self._known:
            self._known[shape] = self._found(difference)
        return self._known[shape]

    def _found(self, difference: Any) -> dict[str, Any] | None:
        entries = list(_readings(list(difference.shape), self._size))
        if not entries or difference.is_meta:
            return entries[0] if entries else None
        maps = [as_map(difference, entry, self._size) for entry in entries]
        if maps[0].shape[-2] * maps[0].shape[-1] < _ENOUGH_CELLS:
            return entries[0]
        scores = [self._local(values) for values in maps]
        best = max(scores) if max(scores) > _CLEARLY * scores[0] else scores[0]
        return entries[scores.index(best)] if best > _LOCAL else None

    def _local(self, difference: Any) -> float:
        """Return by how much more a change shows in its place than on average; of two images the lesser."""
        energy = difference.abs().mean(dim=1)
        rows, columns = energy.shape[-2:]
        ratios = []
        for image, (top, left) in zip(energy, self._places, strict=False):
            vertical = _span(top, self._side[0], self._size[0], rows)
            horizontal = _span(left, self._side[1], self._size[1], columns)
            everywhere = float(image.mean())
            ratios.append(float(image[vertical, horizontal].mean()) / everywhere if everywhere > 0 else 0.0)
        return min(ratios)


def _span(start: int, length: int, size: int, cells: int) -> slice:
    """Return the cells of a row that pixels from `start` fall into."""
    first = start * cells // size
    return slice(first, max(first + 1, (start + length) * cells // size))


def as_map(tensor: Any, entry: dict[str, Any], size: list[int]) -> Any:
    """Return a tensor as a feature map (N, C, rows, columns), read as `entry` says."""
    if entry["layout"] == "NCHW":
        return tensor
    if entry["layout"] == "NHWC":
        return tensor.permute(0, 3, 1, 2)
    rows, columns = (-(-side // entry["stride"]) if entry["up"] else side // entry["stride"] for side in size)
    tokens = tensor[:, entry["prefix"] : tensor.shape[1] - entry["suffix"]].transpose(1, 2)
    levels = entry["nested"]
    squares = tokens.unflatten(2, [2] * 2 * levels + [rows >> levels, columns >> levels])
    vertical, horizontal = (range(2 + 2 * levels + axis, 1 + axis, -2) for axis in (0, 1))
    return squares.permute(0, 1, *vertical, *horizontal).reshape(*tokens.shape[:2], rows, columns)


def _readings(shape: list[int], size: list[int]) -> Iterator[dict[str, Any]]:
    """Yield the ways in which a tensor of that shape may hold a feature map, the likely ones first."""
    plain = {"prefix": 0, "suffix": 0, "nested": 0}
    if len(shape) == 4:
        for layout, rows, columns, channels in (("NCHW", 2, 3, 1), ("NHWC", 1, 2, 3)):
            for stride, up, *grid in _grids(size):
                if grid == [shape[rows], shape[columns]]:
                    yield {"layout": layout, "stride": stride, "up": up, "channels": shape[channels], **plain}
                    break
        return
    for stride, up, rows, columns in _grids(size):
        extra = shape[1] - rows * columns
        most = min(_MOST_EXTRA_TOKENS, rows * columns // 2) if stride >= _FINEST else 0
        if rows * columns and 0 <= extra <= most:
            entry = {"layout": "tokens", "stride": stride, "up": up, "channels": shape[2], **plain}
            if extra:
                yield {**entry, "prefix": extra}
                yield {**entry, "suffix": extra}
                return
            for nested in range(_MOST_NESTED + 1):
                if rows % 2**nested == 0 == columns % 2**nested:
                    yield {**entry, "nested": nested}
            return


def _grids(size: list[int]) -> Iterator[tuple[int, bool, int, int]]:
    """Yield strides, whether sides are rounded up, and the rows and columns that come out; the likely ones first."""

    def unlikely(stride: int) -> tuple[bool, bool, int]:
        return stride > _COMMON or any(side % stride for side in size), stride & (stride - 1) > 0, stride

    for stride in sorted(range(1, _COARSEST + 1), key=unlikely):
        yield stride, False, *(side // stride for side in size)
        if any(side % stride for side in size):
            yield stride, True, *(-(-side // stride) for side in size)


def _unfold(seen: _Run, path: str, head: list[str]) -> list[str]:
    """Return the steps of a module, down to where its blocks stand side by side; nothing where it has no blocks."""
    parts = seen.parts(path)
    weights = {part: 0 if part in head else _weight(seen.module(part)) for part in parts}
    kinds = {part: _kind(seen.module(part)) for part in parts if weights[part]}
    rows: dict[Any, int] = {}
    for part, kind in kinds.items():
        if kind and list(kinds.values()).count(kind) > 1:
            rows[kind] = rows.get(kind, 0) + weights[part]
    heaviest_row = max(rows.values(), default=0)
    for part in sorted(parts, key=weights.__getitem__, reverse=True):
        deeper = _unfold(seen, part, head) if weights[part] > heaviest_row else []
        if deeper:
            place = parts.index(part)
            return [*parts[:place], *deeper, *parts[place + 1 :]]
    return parts if rows else []


def _kind(module: Any) -> Any:
    """Return what makes blocks alike: their class; that of sequences only if they hold blocks; for others None."""
    if isinstance(module, _CONTAINERS):
        return type(module) if any(_kind(child) and _has_children(child) for child in module) else None
    return None if type(module).__module__.split(".")[0] == "torch" else type(module)


def _has_children(module: Any) -> bool:
    return next(module.children(), None) is not None


def _weight(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _divided(seen: _Run, steps: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return the stem's steps, and the body: groups of steps that belong together, each ending with a block.

    There is no stem where the first block comes first and holds parts of its own.
    """
    kinds = [_kind(seen.module(path)) for path in steps]
    blocks = [place for place, path in enumerate(steps) if seen.in_container(path) and _weight(seen.module(path))]
    if not blocks:
        blocks = [place for place, kind in enumerate(kinds) if kind and kinds.count(kind) > 1]
    if not blocks:
        return steps[:1], [[path] for path in steps[1:]]
    if blocks[0] == 0 and not seen.rows(steps[0]):
        del blocks[0]
    begins = [blocks[0], *(place + 1 for place in blocks)]
    body = [steps[begin:end] for begin, end in pairwise(begins)]
    return steps[: blocks[0]], body


def _stages(seen: _Run, stem: list[str], body: list[list[str]]) -> list[list[str]]:
    """Return the stages: the stem; then what holds blocks itself, else blocks of one resolution, else every block."""
    if not stem:  # the first stage holds it
        stem, *rest = seen.parts(body[0][0])
        stem, body = [stem], [rest, *body[1:]]
    elif not any(seen.rows(group[-1]) for group in body):
        strides: list[int | None] = []
        for group in body:
            maps = seen.maps(group[-1])
            strides.append(maps[0]["stride"] if maps else strides[-1] if strides else None)
        if len(set(strides)) > 1:
            pairs = groupby(zip(body, strides, strict=True), lambda pair: pair[1])
            body = [[path for group, _ in pair for path in group] for _, pair in pairs]
    stages = [[path for path in group if _weight(seen.module(path))] for group in [stem, *body]]
    return [stages[0], *filter(None, stages[1:])]


def _shortened(network: Any, stages: list[list[str]]) -> list[dict[str, Any]]:
    """Return the stages as paths; a container whose every child is a stage of its own by its name alone."""
    own = [stage[0] for stage in stages[1:] if len(stage) == 1]
    containers = {path.rpartition(".")[0] for path in own}
    if len(own) == len(stages) - 1 and len(own) > 1 and len(containers) == 1 and "" not in containers:
        container = containers.pop()
        if [f"{container}.{name}" for name, _ in network.get_submodule(container).named_children()] == own:
            return [{"modules": stages[0]}, {"each": container}]
    return [{"modules": stage} for stage in stages]


def _taps(seen: _Run, body: list[list[str]]) -> list[dict[str, Any]]:
    """Return the last feature map of each stride; the path of the last of many equal blocks counts from the end."""
    found: dict[int, dict[str, Any]] = {}
    for path in (path for group in body for step in group for path in [*seen.rows(step), step]):
        for entry in seen.maps(path):
            found[entry["stride"]] = {"module": path, **entry}
    kept: list[dict[str, Any]] = []
    for stride in sorted(stride for stride in found if stride >= _FINEST):
        if not kept or seen.left_after(found[stride]["module"], kept[-1]["module"]):
            kept.append(found[stride])
    if len(kept) == 1:
        container, _, name = kept[0]["module"].rpartition(".")
        if name.isdigit() and int(name) == len(list(seen.module(container).children())) - 1:
            kept[0]["module"] = f"{container}.-1"
    return kept
