"""The proof of the backbone: what gives the model's numbers passes, and whatever does not is caught and named."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tao_hf.answers import strategy
from tao_hf.base.errors import UserError
from tao_hf.inspection import proof
from tests.support.copies import make_vit
from tests.support.paths import STANDINS, in_runtime

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def proven(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the results of tests/support/proof_cases.py by case."""
    folder = tmp_path_factory.mktemp("proofs")
    model = make_vit(runtime_python, folder / "vit", ["a", "b", "c"])
    command = [str(runtime_python), "-W", "ignore", "-m", "tests.support.proof_cases", str(model)]
    done = subprocess.run(
        [*command, str(folder / "results.json")],
        env={**os.environ, **in_runtime(STANDINS / "tao_pytorch")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.runtime
def test_the_first_that_passes_is_taken(proven: dict[str, Any]) -> None:
    result = proven["auto"]
    assert list(result["tried"]) == ["reuse"] and list(result["measured"]) == ["reuse"]
    assert result["tried"]["reuse"]["difference"] <= TOLERANCE
    assert len(result["tried"]["reuse"]["sizes"]) == 2, "at its own size and at another one"
    assert result["weights"] == "random"


@pytest.mark.runtime
def test_the_models_own_weights(proven: dict[str, Any]) -> None:
    result = proven["own weights"]
    assert result["weights"] == "own"
    assert result["tried"]["timm"]["passed"]


@pytest.mark.runtime
def test_weights_without_effect_are_perturbed_until_they_have_one(proven: dict[str, Any]) -> None:
    """Logits that are all 0 would prove nothing, and are no reason to refuse the model."""
    result = proven["weights without effect"]
    assert result["tried"]["timm"]["passed"] and result["weights"] == "random"


@pytest.mark.runtime
def test_what_is_measured(proven: dict[str, Any]) -> None:
    measured = proven["hf"]["measured"]["hf"]
    assert measured["head"] == {"modules": ["hf_model.classifier"], "kind": "Linear", "width": 32}
    assert [tap["stride"] for tap in measured["taps"]] == [8]
    assert measured["unused_parameters"] is False
    measured = proven["auto"]["measured"]["reuse"]
    assert measured["stages"] == [{"modules": ["patch_embed"]}, {"each": "blocks"}]
    assert measured["taps"][0]["module"] == "blocks.-1" and measured["taps"][0]["channels"] == 32
    assert measured["pre_logits"] == "inherited" and measured["other_size"] == [64, 96]


@pytest.mark.runtime
def test_variants_have_widths_of_their_own(proven: dict[str, Any]) -> None:
    widths = {entry["name"]: entry["feature_dim"] for entry in proven["own weights"]["measured"]["timm"]["variants"]}
    assert widths["base_patch16"] == 768 and widths["large_patch16"] == 1024


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("q and k swapped", "its logits differ"),
        ("norms swapped", "its logits differ"),
        ("other activation", "its logits differ"),
        ("other heads", "its logits differ"),
        ("rule missing", "no rule for vit.embeddings.cls_token"),
        ("place unknown", "there is no no_head."),
        ("transposed", "gives head.weight the shape"),
        ("other depth", "there is no blocks.2."),
        ("no such argument", "it cannot be built"),
        ("refused by the family", "it uses something else"),
        ("not exportable", "it cannot be exported to ONNX: no operator"),
    ],
)
def test_a_broken_one_falls_through_and_says_why(proven: dict[str, Any], case: str, reason: str) -> None:
    entry = proven[case]["tried"]["timm"]
    assert not entry["passed"] and reason in entry["reason"]
    assert "timm" not in proven[case]["measured"]


@pytest.mark.runtime
def test_the_next_one_is_tried(proven: dict[str, Any]) -> None:
    assert proven["refused by the family"]["tried"]["hf"]["passed"]
    found = proven["not registered"]["tried"]
    assert found["reuse"]["reason"] == "this tao-pytorch registers no backbone in backbone_v2/vit.py"
    assert found["timm"]["passed"]


@pytest.mark.runtime
def test_position_embeddings_that_do_not_follow_as_the_models_do(proven: dict[str, Any]) -> None:
    result = proven["wrong interpolation"]
    assert len(result["tried"]["timm"]["sizes"]) == 1 and not result["measured"]["timm"]["other_size"]
    problem = strategy.size_problem(result, "timm", [32, 32], [64, 64])
    assert problem and "must be 32 x 32" in problem
    assert strategy.size_problem(result, "timm", [32, 32], [32, 32]) is None
    assert strategy.size_problem(proven["own weights"], "timm", [32, 32], [64, 64]) is None


PROOFS = {
    "tried": {
        "reuse": {"passed": False, "reason": "TAO has no beit", "difference": None, "sizes": []},
        "timm": {"passed": True, "reason": None, "difference": 2e-6, "sizes": [[32, 32]]},
    },
    "measured": {"timm": {}},
    "against": "tao-pytorch",
}


def test_chosen() -> None:
    assert strategy.chosen(PROOFS, "auto") == "timm"
    assert strategy.chosen(PROOFS, "timm") == "timm"
    with pytest.raises(UserError, match=r"strategy=reuse does not serve this model: TAO has no beit\."):
        strategy.chosen(PROOFS, "reuse")
    with pytest.raises(UserError, match="strategy=hf was not proven for this model: run copier copy"):
        strategy.chosen(PROOFS, "hf")
    none = {"tried": {"reuse": PROOFS["tried"]["reuse"]}, "measured": {}}
    with pytest.raises(UserError, match=r"No strategy serves this model \(reuse: TAO has no beit\)"):
        strategy.chosen(none, "auto")


def test_description() -> None:
    assert proof.describe(PROOFS).splitlines() == [
        "  strategy reuse    – TAO has no beit",
        "  strategy timm     ✓ differs by 2.0e-06 of the largest output, at 32x32 pixels",
    ]
    assert "stand-in" in proof.describe({**PROOFS, "against": "tao-pytorch cannot be imported here (x)"})
