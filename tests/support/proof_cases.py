"""Prove one tiny ViT in many ways, whole and broken, in one process of the runtime.

    python -m tests.support.proof_cases MODEL OUT

Run by the fixture `proven` in test_proof.py. A broken way is the real family with one thing changed in its network.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from families import vit
from families.network import Name, NotTheSame
from tao_hf.in_runtime.probe import run as probe
from tao_hf.in_runtime.prove import backbone
from tao_hf.in_runtime.prove import run as prove


def without_effect(model: Path, copy: Path) -> str:
    """Write a copy of a checkpoint whose logits are 0 for every image, as untrained ones can be; return its path."""
    shutil.copytree(model, copy)
    tensors = load_file(copy / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name].zero_()
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return str(copy)


def main(model: str, out: Path) -> None:
    """Prove every case and write {case: result of prove()}."""
    findings_file = out.with_suffix(".findings")
    assert probe.main(["local", model, "", "", str(findings_file), str(out.with_suffix(".report"))]) == 0
    findings = json.loads(findings_file.read_text(encoding="utf-8"))
    def run(strategies: list[str], **request: Any) -> dict[str, Any]:
        asked = {"findings": findings, "strategies": strategies, "network": "backbone"}
        asked |= {"registered": None, "weights": None, **request}
        return prove.prove(asked)

    def changed(change: Callable[[Any], Any]) -> dict[str, Any]:
        """Prove strategy timm with a family that says something else."""
        kept = vit.timm
        vit.timm = lambda config: change(kept(config))
        try:
            return run(["timm"])
        finally:
            vit.timm = kept

    def with_rules(edit: Callable[[tuple], tuple]) -> dict[str, Any]:
        return changed(lambda network: replace(network, rules=edit(network.rules)))

    def with_arguments(**arguments: Any) -> dict[str, Any]:
        return changed(lambda network: replace(network, arguments={**network.arguments, **arguments}))

    def refuse(config: Any) -> Any:
        raise NotTheSame("it uses something else")

    def not_exported(*_: Any) -> dict[str, Any]:
        return {"ok": False, "error": "no operator", "failing_op": None, "exporter": None, "opset": None}

    def patched(module: Any, name: str, value: Any, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        kept = getattr(module, name)
        setattr(module, name, value)
        try:
            return call()
        finally:
            setattr(module, name, kept)

    def swapped(text: str, one: str, other: str) -> str:
        return text.replace(one, "\0").replace(other, one).replace("\0", other)

    results = {
        "auto": run(["reuse", "timm", "hf"]),
        "hf": run(["hf"]),
        "own weights": run(["timm"], weights=model),
        "weights without effect": run(["timm"], weights=without_effect(Path(model), out.with_suffix(".silent"))),
        "not registered": run(["reuse", "timm"], registered=["swin.py"]),
        "q and k swapped": with_rules(
            lambda rules: tuple((swapped(names, "q_proj", "k_proj"), *rest) for names, *rest in rules)
        ),
        "norms swapped": with_rules(
            lambda rules: tuple((names, swapped(target, "norm1", "norm2"), how) for names, target, how in rules)
        ),
        "rule missing": with_rules(lambda rules: rules[1:]),
        "place unknown": with_rules(lambda rules: (("classifier.{tensor}", "no_head.{tensor}", ""), *rules)),
        "transposed": with_rules(lambda rules: (("classifier.weight", "head.weight", "transpose"), *rules)),
        "other activation": with_arguments(act_layer=Name("torch.nn.ReLU")),
        "other depth": with_arguments(depth=2),
        "other heads": with_arguments(num_heads=2),
        "no such argument": with_arguments(no_such_argument=1),
        "wrong interpolation": changed(
            lambda network: replace(
                network, positions={"pos_embed": {**network.positions["pos_embed"], "mode": "bilinear"}}
            )
        ),
        "refused by the family": patched(vit, "timm", refuse, lambda: run(["timm", "hf"])),
        "not exportable": patched(backbone, "try_exporters", not_exported, lambda: run(["timm", "hf"])),
    }
    out.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
