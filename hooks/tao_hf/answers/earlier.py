"""Brings the answers of earlier versions of the template into the form that this one reads and writes.

It is done wherever answers are read, and when they are written, rather than in the file beforehand: while an update is
under way Copier renders the earlier version too, which knows the earlier form alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_DEFAULTS = Path(__file__).with_name("transformers_defaults.json")
_TAO = "nvidia_tao_pytorch.cv.backbone_v2."


def brought_up(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return answers in the present form, unchanged where they have it already.

    0.4.0 recorded what a backbone is rendered from, code included, as ``proofs.plans``, and of the configuration only
    what the checkpoint's config.json says.
    """
    proofs = answers.get("proofs")
    if not isinstance(proofs, Mapping) or "plans" not in proofs:
        return dict(answers)
    measured = {strategy: _measured(plan, answers["findings"]) for strategy, plan in proofs["plans"].items()}
    rest = {name: value for name, value in proofs.items() if name != "plans"}
    return {**answers, "proofs": {**rest, "measured": measured}}


def _measured(plan: Mapping[str, Any], findings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of what 0.4.0 recorded of a strategy."""
    facts = {name: value for name, value in plan.items() if name not in ("network", "variants")}
    network = plan.get("network")
    if network is None:
        return facts
    configuration = {**completed(findings["config"]), "architectures": [findings["model_class"]]}
    if findings["model_type"] == "timm_wrapper":
        configuration["built"] = _built(network, plan["variants"][0]["arguments"])
    others = [{key: variant[key] for key in ("name", "feature_dim")} for variant in plan["variants"] if variant["name"]]
    return {**facts, "configuration": configuration, "variants": others}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config.json says, with transformers' defaults for what it leaves out."""
    return _laid_over(_defaults().get(config["model_type"], {}), config)


def _laid_over(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known values with the given ones over them, in configurations inside it too."""
    inside = {name for name, value in known.items() if isinstance(value, Mapping) and "model_type" in value}
    return {
        **known,
        **{
            name: _laid_over(known[name], value) if name in inside and isinstance(value, Mapping) else value
            for name, value in given.items()
        },
    }


@cache
def _defaults() -> dict[str, dict[str, Any]]:
    return json.loads(_DEFAULTS.read_text(encoding="utf-8"))


def _built(network: Mapping[str, Any], arguments: Any) -> dict[str, Any]:
    """Return what timm builds an architecture from, of which 0.4.0 recorded the expression."""
    base = network["base"]
    if base.startswith(_TAO):  # a class of TAO's that extends timm's
        names = {"vit": "vision_transformer"}
        module, _, name = base.removeprefix(_TAO).partition(".")
        base = f"timm.models.{names.get(module, module)}.{name}"
    return {"class": base, "arguments": _described_pairs(arguments), "sized": network["sized"]}


def _described_pairs(pairs: Any) -> list[list[Any]]:
    return [[name, _described(value)] for name, value in pairs]


def _described(value: Any) -> Any:
    """Return an expression that 0.4.0 recorded in the terms of `tao_hf.in_runtime.prove.timm_build`."""
    if isinstance(value, list):
        return [_described(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "$name" in value:
        return {"object": value["$name"]}
    if "$call" in value:
        args = [_described(item) for item in value["args"]]
        return {"made_by": value["$call"], "args": args, "kwargs": _described_pairs(value["kwargs"])}
    return {"mapping": _described_pairs(value.items())}
