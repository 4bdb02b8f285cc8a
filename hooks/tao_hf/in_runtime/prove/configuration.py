"""The configuration of a model as it is recorded: complete with transformers' defaults, and with what timm builds."""

from __future__ import annotations

import json
from typing import Any

from tao_hf.in_runtime.probe.config import LEFT_OUT
from tao_hf.in_runtime.prove import timm_build

# The other side of models of images and text, and what a model says of itself as the backbone of another.
_NOT_OF_THE_NETWORK = {"text_config", "stage_names", "out_features", "out_indices"}


def recorded(config: Any) -> dict[str, Any]:
    """Return what a transformers configuration says of the network, as JSON has it.

    Raises:
        FellThrough: timm cannot say what it builds.
    """
    values = _of_network(config.to_dict())
    if config.model_type == "timm_wrapper":
        values["built"] = timm_build.found(str(config.architecture), dict(config.model_args or {}))
    values["architectures"] = list(config.architectures or ())
    return json.loads(json.dumps(values, default=str))


def _of_network(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that not every configuration has, and its type; in those inside it too."""
    from transformers import PretrainedConfig

    left_out = (PretrainedConfig().to_dict().keys() - {"model_type"}) | LEFT_OUT | _NOT_OF_THE_NETWORK
    return {
        name: _of_network(value) if isinstance(value, dict) and "model_type" in value else value
        for name, value in values.items()
        if name not in left_out
    }
