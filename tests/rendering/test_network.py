"""The families, asked on the host with a recorded configuration: what they say is what the proof saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tao_hf.answers import earlier
from tao_hf.base.paths import TEMPLATE
from tao_hf.rendering import network
from tests.support.paths import in_runtime as environment
from tests.support.renderings import classifier_context, rendered

VIT = {
    "model_type": "vit", "image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 4, "intermediate_size": 64, "hidden_act": "gelu", "qkv_bias": True, "layer_norm_eps": 1e-12,
}  # fmt: skip
MEASURED = {"configuration": VIT, "variants": [{"name": "tiny_patch16", "feature_dim": 192}], "feature_dim": 32}


def asked(strategy: str, configuration: dict[str, Any]) -> Any:
    """Return what a family says, or why it refuses."""
    try:
        return network.evaluate(strategy, configuration)
    except network.NotCovered as reason:
        return str(reason)


@pytest.fixture(scope="module")
def in_runtime(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what tests/support/family_cases.py found."""
    out = tmp_path_factory.mktemp("families") / "found.json"
    done = subprocess.run(
        [str(runtime_python), "-m", "tests.support.family_cases", str(out)],
        env={**os.environ, **environment(), "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.runtime
def test_every_family_says_on_the_host_what_it_says_in_the_runtime(in_runtime: dict[str, Any]) -> None:
    rows = in_runtime["rows"]
    assert {row["model_type"] for row in rows} == set(network.model_types())
    covered = set()
    for row in rows:
        for strategy, expected in row["said"].items():
            said = json.loads(json.dumps(asked(strategy, row["recorded"])))
            assert said == expected, (row["model_type"], row["changes"], strategy)
            covered |= {row["model_type"]} if isinstance(said, dict) else set()
    assert covered == set(network.model_types()), "a family that refuses all that is asked here proves nothing"


@pytest.mark.runtime
def test_sizes_that_families_write_down_are_timms(in_runtime: dict[str, Any]) -> None:
    sizes = in_runtime["sizes"]
    known = earlier.completed({"model_type": "hgnet_v2"})
    variants = network.evaluate("timm", known)["variants"]
    assert {name: dict(arguments)["cfg"] for name, arguments in variants.items()} == sizes["hgnet_v2"]
    for kind in ("x", "y"):
        known = earlier.completed({"model_type": "regnet", "layer_type": kind})
        variants = network.evaluate("timm", known)["variants"]
        found = {}
        for name, arguments in variants.items():
            cfg = dict(dict(arguments)["cfg"]["kwargs"])
            found[name] = [cfg[key] for key in ("stem_width", "w0", "depth", "group_size")]
        assert found == sizes[kind]


@pytest.mark.runtime
def test_defaults_for_what_version_0_4_did_not_record_are_transformers_own(in_runtime: dict[str, Any]) -> None:
    defaults = {row["model_type"]: row["recorded"] for row in in_runtime["rows"] if not row["changes"]}
    assert defaults.keys() == set(network.model_types()) - {"timm_wrapper"}
    for model_type, expected in defaults.items():
        found = earlier.completed({"model_type": model_type})
        assert {**found, "architectures": []} == expected, model_type


def test_families_need_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from tao_hf.rendering import network\n"
        f"assert network.evaluate('timm', {VIT!r})['base'].startswith('timm.')\n"
        "assert len(network.model_types()) > 30\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'tao_hf', 'families'}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(TEMPLATE / "hooks")},
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_variants_are_those_that_were_measured_and_that_the_family_still_knows() -> None:
    gone = {"name": "of_another_version", "feature_dim": 1}
    made = network.backbone("timm", {**MEASURED, "variants": [*MEASURED["variants"], gone]})
    assert [variant["suffix"] for variant in made["variants"]] == ["", "_tiny_patch16"]
    assert [variant["feature_dim"] for variant in made["variants"]] == [0, 192]
    assert dict(made["variants"][1]["arguments"])["embed_dim"] == 192
    assert network.backbone("hf", {"feature_dim": 3}) == {"feature_dim": 3, "network": None, "variants": []}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model_type": "nothing"}, "no family of this template knows nothing"),
        ({"model_type": "bit"}, "TAO has no bit"),
        ({"hidden_act": "own"}, "it uses the activation own"),
        ({"patch_size": [8, 4]}, "its patches are not square"),
        ({"hidden_act": ["gelu"]}, "its configuration cannot be read"),
    ],
)
def test_a_configuration_that_is_not_covered(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(network.NotCovered, match=why):
        network.evaluate("reuse", {**VIT, **changes})


def test_a_value_that_is_not_recorded() -> None:
    with pytest.raises(network.NotCovered, match="the configuration has no qkv_bias"):
        network.evaluate("reuse", {name: value for name, value in VIT.items() if name != "qkv_bias"})


@pytest.mark.parametrize("term", ["$name", "$call", "$tuple"])
def test_what_strangers_write_into_a_configuration_never_passes_for_code(term: str) -> None:
    code = {term: "os.system", "args": ["true"], "kwargs": []}
    with pytest.raises(network.NotCovered):
        network.evaluate("timm", {**VIT, "num_attention_heads": code})
    arguments = [["layers", {"mapping": [list(item) for item in code.items()]}]]
    built = {"class": "timm.models.resnet.ResNet", "arguments": arguments, "sized": False}
    with pytest.raises(network.NotCovered):
        network.evaluate("timm", {"model_type": "timm_wrapper", "built": built})


@pytest.mark.parametrize("path", ["os", "a.b; c", "a.b\nimport c", "a..b", "a.1b", ""])
def test_what_timm_builds_is_named_by_dotted_paths(path: str) -> None:
    for built in (
        {"class": path, "arguments": []},
        {"class": "timm.models.resnet.ResNet", "arguments": [["layers", {"object": path}]]},
        {"class": "timm.models.resnet.ResNet", "arguments": [["l", {"made_by": path, "args": [], "kwargs": []}]]},
    ):
        with pytest.raises(network.NotCovered):
            network.evaluate("timm", {"model_type": "timm_wrapper", "built": {**built, "sized": False}})


@pytest.mark.parametrize(
    ("measured", "strategy"),
    [
        ({}, "ddp_find_unused_parameters_true"),  # answers of earlier versions do not say
        ({"unused_parameters": True}, "ddp_find_unused_parameters_true"),
        ({"unused_parameters": False}, "ddp"),
    ],
)
def test_unused_parameters_are_looked_for_where_there_are_some(measured: dict[str, Any], strategy: str) -> None:
    names = classifier_context(measured=measured)
    train = rendered(names)["tao-pytorch/nvidia_tao_pytorch/cv/tiny_vit/scripts/train.py"]
    assert f'strategy="{strategy}" if distributed else "auto"' in train and "sync_batchnorm" not in train
