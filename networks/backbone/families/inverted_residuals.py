"""What the networks of timm's EfficientNet class share: stages written as text, and the names of tensors in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from families.common import activation, require
from families.network import Call, Name

BASE = "timm.models.efficientnet.EfficientNet"

_MULTIPLE = 8  # to which the base class rounds widths


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, of which only the first may have a stride.

    Attributes:
        kind: "ir" (with an expansion), "ds" (without) or "dsa" (without, and an activation at the end).
        depth: number of blocks.
        width_in: channels that enter the first block.
        width: channels that leave every block.
        expansion: of the channels inside the block.
        squeeze: channels of the squeeze and excitation, as a part of those that enter; 0 for none.
        first_adds: the first block adds what entered it where it can.
    """

    kind: str
    depth: int
    width_in: int
    width: int
    kernel: int = 3
    stride: int = 1
    expansion: float = 1
    squeeze: float = 0.0
    first_adds: bool = True


def arguments(
    stages: Sequence[Stage], stem: int, last: int, *, act: Any, eps: float, pad_type: str = ""
) -> dict[str, Any]:
    """Return the arguments of the base class.

    Args:
        stages: the stages.
        stem: channels of the first convolution.
        last: channels of the last convolution; 0 for none.
        act: activation in all blocks.
        eps: of all batch norms.
        pad_type: "same" pads as TensorFlow does.

    Raises:
        NotTheSame: the base class would round a width.
    """
    inside = [stage.width_in * stage.expansion for stage in stages if stage.kind == "ir"]
    inside += [stage.width * stage.expansion for stage in stages if stage.kind == "ir" and stage.depth > 1]
    require(not any(width % _MULTIPLE for width in inside), f"a width in its blocks is not a multiple of {_MULTIPLE}")
    found: dict[str, Any] = {
        "block_args": block_args([[stage] for stage in stages]),
        "stem_size": stem,
        "fix_stem": True,
        "num_features": last,
        "act_layer": activation(act),
        "norm_layer": Call("functools.partial", (Name("torch.nn.BatchNorm2d"),), {"eps": float(eps)}),
    }
    if pad_type:
        found["pad_type"] = pad_type
    if any(stage.width % _MULTIPLE for stage in stages):
        exact = Call("functools.partial", (Name("timm.models._efficientnet_builder.round_channels"),), {"divisor": 1})
        found["round_chs_fn"] = exact
    return found


def block_args(stages: Sequence[Sequence[Stage]]) -> Call:
    """Return the base class's argument for stages, each of one or several kinds of blocks."""
    texts = [[text for part in stage for text in _texts(part)] for stage in stages]
    return Call("timm.models._efficientnet_builder.decode_arch_def", (texts,))


def block_spellings(prefix: str, stages: Sequence[Stage], first: int = 0) -> tuple[tuple[str, str], ...]:
    """Return spellings that number blocks by stage: block 4 of all becomes block 1 of stage 2.

    Args:
        prefix: regular expression of what comes before a block's number.
        stages: the stages.
        first: number of the first of these stages.
    """
    places = [(place, block) for place, stage in enumerate(stages, start=first) for block in range(stage.depth)]
    return tuple(
        (rf"^{prefix}\.{number}\.", f"blocks.{place}.{block}.") for number, (place, block) in enumerate(places)
    )


def block_rules(
    stages: Sequence[Stage], parts: Sequence[tuple[str, str]], names: dict[str, str]
) -> tuple[tuple[str, str, str], ...]:
    """Return the rules of the blocks, whose tensors are named ``blocks.{stage}.{block}.{part}``.

    Args:
        stages: the stages.
        parts: convolution and norm of "expand", "depthwise" and "project", as the checkpoint names them.
        names: other parts of a block: as the checkpoint names them, and as timm does.
    """
    rules = []
    without = [str(place) for place, stage in enumerate(stages) if stage.kind != "ir"]
    for place in ["{i}"] if len(without) == len(stages) else without:
        rules += _part_rules(f"blocks.{place}.{{j}}.", parts[1:], ("conv_dw", "bn1", "conv_pw", "bn2"))
    if any(stage.kind == "ir" for stage in stages):
        targets = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        rules += _part_rules("blocks.{i}.{j}.", parts, targets)
    rules += [
        (f"blocks.{{i}}.{{j}}.{name}.{{tensor}}", f"blocks.{{i}}.{{j}}.{target}.{{tensor}}", "")
        for name, target in names.items()
    ]
    return tuple(rules)


def _part_rules(block: str, parts: Sequence[tuple[str, str]], targets: Sequence[str]) -> list[tuple[str, str, str]]:
    names = [name for part in parts for name in part]
    return [
        (f"{block}{name}.{{tensor}}", f"{block}{target}.{{tensor}}", "")
        for name, target in zip(names, targets, strict=True)
    ]


def _texts(stage: Stage) -> list[str]:
    """Return a stage in the notation of the EfficientNet papers: blocks in a row that are the same are one text."""
    text = f"k{stage.kernel}_s{stage.stride}_e{stage.expansion:g}_c{stage.width}"
    if stage.squeeze:
        text += f"_se{stage.squeeze}"
    if stage.first_adds or stage.stride != 1 or stage.width_in != stage.width or stage.kind == "dsa":
        return [f"{stage.kind}_r{stage.depth}_{text}"]
    first, others = f"{stage.kind}_r1_{text}_noskip", f"{stage.kind}_r{stage.depth - 1}_{text}"
    return [first, others] if stage.depth > 1 else [first]
