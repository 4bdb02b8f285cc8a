"""Answers of version 0.4.0, which held code: read in the present form, the code left out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_hf.answers import earlier, strategy
from tao_hf.answers.recorded import check_values
from tao_hf.base.paths import TEMPLATE
from tao_hf.rendering import network, template_vars
from tests.support.answers import code_in

RECORDED = sorted((Path(__file__).parent / "of_0_4_0").glob("*.yml"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the answers of a model that 0.4.0 made."""
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def test_no_code_is_left(old: dict[str, Any]) -> None:
    kept = copy.deepcopy(old)
    new = earlier.brought_up(old)
    assert old == kept, "the answers that were given are not changed"
    assert not code_in(new)
    assert "plans" not in new["proofs"] and new["proofs"]["measured"].keys() == old["proofs"]["plans"].keys()
    assert earlier.brought_up(new) == new
    check_values(new)


def test_the_network_is_the_one_that_was_recorded(old: dict[str, Any]) -> None:
    """Evaluated anew from the configuration, it is what 0.4.0 had evaluated; a correction in a family may differ."""
    used = strategy.chosen(old["proofs"], old["strategy"])
    plan = old["proofs"]["plans"][used]
    if plan["network"] is None:
        pytest.skip("the network is the Hugging Face model")
    made = network.backbone(used, earlier.brought_up(old)["proofs"]["measured"][used])
    assert made["network"] | plan["network"] == made["network"]
    assert made["variants"] == plan["variants"]


def test_templates_can_be_rendered_from_them(old: dict[str, Any]) -> None:
    names = template_vars.derived(TEMPLATE, old)
    assert names["files"] and names["measured"]["onnx"]["ok"]


def test_what_config_json_leaves_out_is_completed() -> None:
    found = earlier.completed({"model_type": "clip", "vision_config": {"patch_size": 14}})
    assert found["vision_config"]["patch_size"] == 14 and found["vision_config"]["hidden_act"] == "quick_gelu"
    assert earlier.completed({"model_type": "unknown", "a": 1}) == {"model_type": "unknown", "a": 1}


def test_answers_without_a_proof_stay_as_they_are() -> None:
    assert earlier.brought_up({"findings": {}}) == {"findings": {}}
