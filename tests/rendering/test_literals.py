"""Strangers' text in generated files: it comes back as it was, and nothing else happens."""

from __future__ import annotations

import ast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tao_hf.base.text import one_line
from tao_hf.rendering import template_vars
from tao_hf.rendering.literals import pascal_case, pyrepr, yamlrepr

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.integers(0, 12))
def test_python_literals_come_back(value: object, indent: int) -> None:
    source = pyrepr(value, indent)
    assert ast.literal_eval(source) == value
    assert source.isascii()


@given(st.text())
def test_yaml_strings_come_back_through_omegaconf(text: str) -> None:
    line = f"value: {yamlrepr(text)}\n"
    assert "\n" not in line[:-1]
    assert isinstance(yaml.safe_load(line)["value"], str)
    if not text.endswith("\\") and "\\$" not in text:  # OmegaConf reads a backslash before ${ itself
        assert OmegaConf.create(line)["value"] == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans() | st.none())
def test_yaml_numbers_stay_numbers(value: object) -> None:
    assert yaml.safe_load(f"[{yamlrepr(value)}]") == [value]
    assert type(yaml.safe_load(yamlrepr([value]))[0]) is type(value)


@given(st.text())
def test_comments_and_docstrings_cannot_be_left(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not set(line) & set("\"'\\{}%`#\x00")
    ast.parse(f'"""{line}"""\nx = 1  # {line}\n')


def test_what_is_no_json_has_no_literal() -> None:
    with pytest.raises(TypeError, match="literal"):
        pyrepr({"a": object()})


@pytest.mark.parametrize(
    ("name", "expected"), [("vit", "Vit"), ("vit_base_p16", "VitBaseP16"), ("resnet50", "Resnet50")]
)
def test_class_names(name: str, expected: str) -> None:
    assert pascal_case(name) == expected


@pytest.mark.parametrize(
    ("resize", "crop", "size", "expected", "cropped"),
    [
        ({"mode": "exact", "height": 32, "width": 32}, None, (32, 32), [32, 32], False),
        ({"mode": "exact", "height": 32, "width": 32}, None, (64, 48), [64, 48], False),
        ({"mode": "exact", "height": 36, "width": 36}, {"height": 32, "width": 32}, (32, 32), [36, 36], True),
        ({"mode": "shortest_edge", "size": 40}, {"height": 32, "width": 32}, (64, 64), [80], True),
        (None, None, (32, 32), [], True),
    ],
)
def test_preprocessing_follows_the_input_size(
    resize: dict | None, crop: dict | None, size: tuple[int, int], expected: list[int], cropped: bool
) -> None:
    found = {"resize": resize, "crop": crop, "interpolation": "bilinear", "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}
    adapted = template_vars.adapt_preprocess(found, [32, 32], *size)
    assert (adapted["resize"]["size"], adapted["center_crop"]) == (expected, cropped)
    assert adapted["mean"] == [0.1, 0.2, 0.3]
    turned = template_vars.adapt_preprocess({**found, "channel_order": "BGR"}, [32, 32], *size)
    assert (turned["mean"], turned["std"]) == ([0.3, 0.2, 0.1], [3, 2, 1])
