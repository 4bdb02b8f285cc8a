"""Make tiny checkpoints of timm's, good and bad, and probe them in one process of the runtime.

    python -m tests.support.probe_timm_cases OUT

Run by the fixture `probed` in test_probe_timm.py. A stand-in for the Hub runs in the same process; whatever a model
makes anybody ask it for is in the results.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.support.stub_hub import StubHub, StubModel

SIZE = {"input_size": [3, 64, 64], "crop_pct": 0.95, "interpolation": "bicubic", "crop_mode": "center"}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SMALL = {"img_size": 64, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
EVERYTHING = {
    "tag": "a1_in1k",
    "fixed_input_size": False,
    "first_conv": "conv1",
    "classifier": "fc",
    "pool_size": [2, 2],
}


def save(folder: Path, architecture: str, classes: int, arguments: dict, pretrained_cfg: dict, **more: Any) -> None:
    """Write a folder as it lies on the Hub: timm's config.json and names of tensors."""
    import timm
    from safetensors.torch import save_file

    folder.mkdir()
    model = timm.create_model(architecture, num_classes=classes, **arguments)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": architecture,
        "num_classes": classes,
        "num_features": model.num_features,
        "global_pool": "avg",
        **({"model_args": arguments} if arguments else {}),
        "pretrained_cfg": {**EVERYTHING, "num_classes": classes, **pretrained_cfg},
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))


def variant(out: Path, name: str, config: dict | None = None, cfg: dict | None = None, base: str = "vit") -> None:
    """Copy a folder and change entries of its config.json and of the pretrained_cfg there; None deletes an entry."""
    shutil.copytree(out / base, out / name)
    file = out / name / "config.json"
    content = json.loads(file.read_text())
    if cfg is not None:
        content["pretrained_cfg"].update(cfg)
    content.update(config or {})
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def good(out: Path) -> None:
    """Save what must be accepted."""
    import timm
    from timm.models._hub import save_for_hf
    from transformers import AutoConfig, TimmWrapperForImageClassification

    save(out / "resnet", "test_resnet", 1000, {}, {**SIZE, **IMAGENET})
    names = ["ant", "bee", "cat", "dog", "elk"]
    half = {"mean": [0.5] * 3, "std": [0.25] * 3, "fixed_input_size": True}
    save(out / "vit", "vit_tiny_patch16_224", 5, SMALL, {**SIZE, **half}, label_names=names)
    gray = {"input_size": [1, 48, 64], "crop_pct": 0.8, "crop_mode": "squash", "interpolation": "bilinear"}
    save(out / "gray", "test_resnet", 2, {"in_chans": 1}, {**gray, "mean": [0.25], "std": [0.5]})
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **SMALL)
    save_for_hf(
        model, out / "by_timm", safe_serialization=True, model_config={"label_names": {"0": "a", "1": "b", "2": "c"}}
    )
    config = AutoConfig.from_pretrained(out / "vit")
    TimmWrapperForImageClassification.from_pretrained(out / "vit", config=config).save_pretrained(out / "wrapped")
    variant(out, "defaults", {"pretrained_cfg": {}}, base="resnet")
    variant(out, "border", cfg={"crop_mode": "border", "crop_pct": 1.0}, base="resnet")
    shutil.copytree(out / "wrapped", out / "beside")
    file = out / "beside" / "config.json"
    content = json.loads(file.read_text())
    pretrained_cfg = content.pop("pretrained_cfg")
    file.write_text(json.dumps(content))
    beside = {"image_processor_type": "TimmWrapperImageProcessor", "pretrained_cfg": pretrained_cfg}
    (out / "beside" / "preprocessor_config.json").write_text(json.dumps(beside))


def bad(out: Path, marker: Path) -> None:
    """Save what must be refused."""
    for name, size in (
        ("text", "large"),
        ("zero", [3, 0, 64]),
        ("huge", [3, 10**9, 10**9]),
        ("short", [64, 64]),
        ("float", [3, 64.5, 64]),
        ("channels", ["x", 64, 64]),
        ("other", [3, 96, 96]),
    ):
        variant(out, f"size_{name}", cfg={"input_size": size})
    for name, mean in (("text", "gray"), ("short", [0.5, 0.5]), ("null", [None] * 3), ("bool", [True] * 3)):
        variant(out, f"mean_{name}", cfg={"mean": mean})
    for name, number in (("mean_nan", "NaN"), ("mean_infinite", "1e999"), ("mean_digits", "1" + "0" * 400)):
        variant(out, name)
        file = out / name / "config.json"
        file.write_text(file.read_text().replace('"mean": [0.5, 0.5, 0.5]', f'"mean": [{number}, 0.5, 0.5]'))
    variant(out, "std_zero", cfg={"std": [0.5, 0, 0.5]})
    variant(out, "crop_pct_zero", cfg={"crop_pct": -1})
    variant(out, "crop_mode", cfg={"crop_mode": ["center"]})
    variant(out, "interpolation", cfg={"interpolation": "random"})
    variant(out, "cfg_list", {"pretrained_cfg": [1]})
    variant(out, "cfg_missing", {"pretrained_cfg": None})
    for name, architecture in (
        ("hub", "hf-hub:acme/secret"),
        ("hub_old", "hf_hub:acme/secret"),
        ("folder", f"local-dir:{out / 'vit'}"),
        ("path", "../vit"),
        ("unknown", "never_heard_of"),
        ("escape", "vit\x1b[31m"),
        ("number", 7),
        ("missing", None),
        ("tag", "vit_tiny_patch16_224.no_such_tag"),
    ):
        variant(out, f"architecture_{name}", {"architecture": architecture})
    checkpoint = {**SMALL, "checkpoint_path": str(marker)}
    for name, arguments in (
        ("list", [1]),
        ("pretrained", {**SMALL, "pretrained": True}),
        ("checkpoint", checkpoint),
        ("overlay", {**SMALL, "pretrained_cfg_overlay": {"hf_hub_id": "acme/secret"}}),
        ("features", {**SMALL, "features_only": True}),
        ("name", {**SMALL, "a b": 1}),
        ("deep", {**SMALL, "depth": 10**6}),
        ("wide", {**SMALL, "embed_dim": 10**9}),
        ("size", {**SMALL, "img_size": "large"}),
        ("nested", {**SMALL, "norm_layer": [[[[[[[[[1]]]]]]]]]}),
        ("classes", {**SMALL, "num_classes": 7}),
        ("unknown", {**SMALL, "no_such_argument": 1}),
        ("layer", {**SMALL, "act_layer": "os.system"}),
    ):
        variant(out, f"args_{name}", {"model_args": arguments})
    for name, classes in (("zero", 0), ("text", "many"), ("huge", 10**12)):
        variant(out, f"classes_{name}", {"num_classes": classes})
    for name, labels in (("few", ["a"]), ("text", "abcde"), ("numbers", [1, 2, 3, 4, 5]), ("keys", {"x": "a"})):
        variant(out, f"labels_{name}", {"label_names": labels})


def main(out: Path) -> None:
    """Make everything, probe everything, prove one, write results.json."""
    with StubHub() as hub:
        os.environ.update(HF_ENDPOINT=hub.url, HF_HOME=str(out / "home"), HF_HUB_DISABLE_PROGRESS_BARS="1")
        models = out / "models"
        models.mkdir(parents=True)
        from tao_hf.in_runtime.probe import run as probe  # first: it makes the libraries quiet

        good(models)
        bad(models, out / "EXECUTED")
        hub.models["acme/resnet"] = StubModel(models / "resnet", library="timm")
        results = {}

        def run(name: str, kind: str, model: str) -> None:
            findings, report = out / f"{name}.findings.json", out / f"{name}.report.json"
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                status = probe.main([kind, model, "", "", str(findings), str(report)])
            results[name] = {
                "status": status,
                "found": json.loads(findings.read_text()),
                "report": json.loads(report.read_text()) if report.exists() else None,
            }

        for folder in sorted(models.iterdir()):
            run(folder.name, "local", str(folder))
        results["asked"] = [path for _, path, _ in hub.requests]
        run("hub", "hub", "acme/resnet")
        results["downloaded"] = sorted(hub.downloaded())
        results["bytes_sent"] = hub.bytes_sent
        results["bytes_of_weights"] = (models / "resnet" / "model.safetensors").stat().st_size
        results["executed"] = (out / "EXECUTED").exists()

    from tao_hf.in_runtime.prove import run as prove

    request = {"strategies": ["reuse"], "registered": None, "weights": str(models / "by_timm"), "network": "backbone"}
    with contextlib.redirect_stdout(io.StringIO()):
        results["proof"] = prove.prove({**request, "findings": results["by_timm"]["found"]})["tried"]
    (out / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
