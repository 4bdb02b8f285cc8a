"""What the tasks beside classification bring for the runtime: synthetic data and the comparison of predictions."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import HOOKS

pytestmark = pytest.mark.runtime

DETECTION, SEGMENTATION, DEPTH = "object-detection", "image-segmentation", "depth-estimation"
INSTANCES, PANOPTIC = "instance-segmentation", "panoptic-segmentation"
Rows = list[list[object]]


def ours(python: Path, module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of `tao_hf.in_runtime`."""
    argv = [str(python), "-m", f"tao_hf.in_runtime.{module}", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(HOOKS)}
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize(
    "task", [DETECTION, SEGMENTATION, INSTANCES, PANOPTIC], ids=["detection", "segmentation", "instances", "panoptic"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_synthetic_dataset_is_whole_and_the_same_every_time(
    runtime_python: Path, tmp_path: Path, task: str, channels: int
) -> None:
    size = ["--classes", "4", "--height", "48", "--width", "64", "--channels", str(channels)]
    for name in ("first", "second"):
        assert ours(runtime_python, "tools.dataset", task, tmp_path / name, *size).returncode == 0
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert all((tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes() for file in files)
    classes = (tmp_path / "first" / "classes.txt").read_text().split("\n")[:-1]
    assert len(classes) == len(set(classes)) == 4
    for split in ("train", "val", "test"):
        images = {path.name for path in (tmp_path / "first" / split).rglob("*.png")}
        assert len(images) >= 4
        if task == SEGMENTATION:
            assert {path.name for path in (tmp_path / "first" / "masks" / split).rglob("*.png")} == images
            continue
        content = json.loads((tmp_path / "first" / "annotations" / f"{split}.json").read_text())
        assert {image["file_name"] for image in content["images"]} == images
        names = {category["id"]: category["name"] for category in content["categories"]}
        assert set(names.values()) == set(classes) and min(names) > 1
        if task == PANOPTIC:
            assert {category["isthing"] for category in content["categories"]} == {0, 1}
            assert {entry["file_name"] for entry in content["annotations"]} == images
            segments = [segment for entry in content["annotations"] for segment in entry["segments_info"]]
            assert {names[segment["category_id"]] for segment in segments} == set(classes)
            assert {path.name for path in (tmp_path / "first" / "panoptic" / split).rglob("*.png")} == images
            continue
        assert {names[box["category_id"]] for box in content["annotations"]} == set(classes)
        for box in content["annotations"]:
            left, top, width, height = box["bbox"]
            assert 0 <= left < left + width <= 72 and 0 <= top < top + height <= 54
        if task == INSTANCES:
            assert {type(entry["segmentation"]) for entry in content["annotations"]} == {list, dict}


@pytest.mark.parametrize("channels", [1, 3])
def test_synthetic_depths_can_be_seen_and_are_the_same_every_time(
    runtime_python: Path, tmp_path: Path, channels: int
) -> None:
    size = ["--classes", "0", "--height", "48", "--width", "64", "--channels", str(channels)]
    for name in ("first", "second"):
        assert ours(runtime_python, "tools.dataset", DEPTH, tmp_path / name, *size).returncode == 0
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert all((tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes() for file in files)
    assert not (tmp_path / "first" / "classes.txt").exists()
    for split in ("train", "val", "test"):
        images = {path.name for path in (tmp_path / "first" / split).rglob("*.png")}
        assert len(images) >= 4
        assert {path.name for path in (tmp_path / "first" / "depth" / split).rglob("*.png")} == images
    code = """
import sys
import numpy as np
from PIL import Image

image, depth = (np.asarray(Image.open(path)).astype(float) for path in sys.argv[1:])
image = image.mean(axis=2) if image.ndim == 3 else image
assert image.shape == depth.shape == (54, 72), (image.shape, depth.shape)
known = depth > 0
assert not known[:2].any() and known[3:].all() and 1000 <= depth[known].min() < depth.max() == 4000
print(np.corrcoef(image[known], depth[known])[0, 1])
"""
    pair = [tmp_path / "first" / folder / "000.png" for folder in ("test", "depth/test")]
    done = subprocess.run([runtime_python, "-c", code, *pair], capture_output=True, text=True, check=True)
    assert float(done.stdout) < -0.95  # the nearer the brighter


def detections(count: int = 20) -> Rows:
    """Return detections in two images, one after the other, scores falling."""
    rng = random.Random(0)  # noqa: S311 - a test
    rows: Rows = []
    for image in ("a.png", "b.png"):
        for index in range(count):
            left, top = rng.uniform(0, 400), rng.uniform(0, 300)
            box = [left, top, left + rng.uniform(20, 100), top + rng.uniform(20, 100)]
            rows.append([image, f"class_{index % 3}", 0.95 - 0.04 * index, *box])
    return rows


def compare(python: Path, tmp_path: Path, native: Rows, deployed: Rows, precision: str = "FP32") -> tuple[int, dict]:
    """Compare two tables of detections as step 23 does."""
    header = ["img_name", "pred_label", "pred_score", "left", "top", "right", "bottom"]
    for name, rows in (("native", native), ("deployed", deployed)):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "result.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
    out = tmp_path / "out.json"
    folders = [DETECTION, tmp_path / "native", tmp_path / "deployed"]
    done = ours(python, "check.crosscheck", *folders, "--precision", precision, "--json", out)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(out.read_text())


def test_detections_are_matched_in_whatever_order_they_come(runtime_python: Path, tmp_path: Path) -> None:
    rows = detections()
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)  # noqa: S311 - a test
    moved = [[*row[:3], row[3] + 0.5, *row[4:]] for row in shuffled]
    code, result = compare(runtime_python, tmp_path, rows, moved)
    assert code == 0
    assert (result["images"], result["agreement"]) == (2, 1.0)
    assert result["max_abs_diff"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "precision", "said"),
    [
        (lambda row: [*row[:3], row[3] + 3.0, *row[4:]], "FP32", "differ by up to 3"),
        (lambda row: [*row[:3], row[3] + 200.0, *row[4:]], "FP32", "of the detections found again"),
        (lambda row: [row[0], "another", *row[2:]], "FP32", "of the detections found again"),
        (lambda row: [*row[:2], row[2] / 2, *row[3:]], "FP32", "of the detections found again"),
        (lambda row: [*row[:3], row[3] + 3.0, *row[4:]], "FP16", ""),
        (lambda row: [*row[:3], row[3] + 9.0, *row[4:]], "FP16", "differ by up to 9"),
        (lambda row: ["c.png", *row[1:]], "FP32", "do not hold the same images"),
    ],
)
def test_detections_that_differ(runtime_python: Path, tmp_path: Path, change, precision: str, said: str) -> None:
    rows = detections()
    code, result = compare(runtime_python, tmp_path, rows, [change(rows[0]), *rows[1:]], precision)
    assert code == (1 if said else 0)
    assert said in "; ".join(result["problems"])


def test_in_half_precision_what_has_no_score_may_be_elsewhere(runtime_python: Path, tmp_path: Path) -> None:
    rows = [[*row[:2], 0.9 if index % 20 == 0 else 0.02, *row[3:]] for index, row in enumerate(detections())]
    moved = [row if row[2] == 0.9 else [*row[:3], row[3] + 9.0, *row[4:]] for row in rows]
    for precision, code in (("FP16", 0), ("FP32", 1)):
        (tmp_path / precision).mkdir()
        assert compare(runtime_python, tmp_path / precision, rows, moved, precision)[0] == code


def test_another_detection_of_the_last_score_counts_for_nothing(runtime_python: Path, tmp_path: Path) -> None:
    """What is kept at the end of the list is left to chance where scores are equal."""
    rows = detections()
    last = [[image, "class_2", rows[19][2] + 0.001, 1, 2, 3, 4] for image in ("a.png", "b.png")]
    others = [*rows[:19], last[0], *rows[20:39], last[1]]
    assert compare(runtime_python, tmp_path, rows, others)[0] == 0


def test_masks_are_compared_pixel_by_pixel(runtime_python: Path, tmp_path: Path) -> None:
    code = """
import csv, sys
from pathlib import Path
import numpy as np
from PIL import Image

folder, changed = Path(sys.argv[1]), int(sys.argv[2])
(folder / "masks").mkdir(parents=True)
mask = np.zeros((40, 50), dtype=np.uint8)
mask[10:20, 10:30] = 1
mask.ravel()[:changed] = 2
Image.fromarray(mask).save(folder / "masks" / "a.png")
with (folder / "result.csv").open("w", newline="") as file:
    counts = np.bincount(mask.ravel(), minlength=3).tolist()
    csv.writer(file).writerows([["img_name", "mask", "x", "y", "z"], ["/d/a.png", "masks/a.png", *counts]])
"""
    out = tmp_path / "out.json"
    subprocess.run([runtime_python, "-c", code, tmp_path / "native", "0"], check=True)
    for name, changed, status in (("same", "0", 0), ("few", "8", 0), ("many", "20", 1)):
        subprocess.run([runtime_python, "-c", code, tmp_path / name, changed], check=True)
        folders = (SEGMENTATION, tmp_path / "native", tmp_path / name)
        done = ours(runtime_python, "check.crosscheck", *folders, "--json", out)
        assert (done.returncode, done.stderr) == (status, ""), name
        assert json.loads(out.read_text())["agreement"] == pytest.approx(1 - int(changed) / 2000)


def write_depths(python: Path, folder: Path, **changes: object) -> Path:
    """Write the depths of one image, as inference does, and return the folder.

    Args:
        python: Interpreter of the runtime.
        folder: Is made.
        **changes: ``factor`` of the first ``pixels`` of 2,000; ``image``; ``mean`` in result.csv; ``shape``.
    """
    code = """
import csv, json, sys
from pathlib import Path
import numpy as np

folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
(folder / "depth").mkdir(parents=True)
depth = np.linspace(1, 5, 2000, dtype=np.float32)
depth[: changes.get("pixels", 0)] *= changes.get("factor", 1)
depth = depth.reshape(changes.get("shape", [40, 50]))
np.save(folder / "depth" / "a.npy", depth)
with (folder / "result.csv").open("w", newline="") as file:
    row = [changes.get("image", "/d/a.png"), "depth/a.npy", depth.min(), changes.get("mean", depth.mean()), depth.max()]
    csv.writer(file).writerows([["img_name", "depth", "min_depth", "mean_depth", "max_depth"], row])
"""
    subprocess.run([python, "-c", code, folder, json.dumps(changes)], check=True)
    return folder


@pytest.mark.parametrize(
    ("changes", "precision", "agreement", "said"),
    [
        ({}, "FP32", 1.0, ""),
        ({"factor": 1.005, "pixels": 2000}, "FP32", 1.0, ""),
        ({"factor": 1.02, "pixels": 8}, "FP32", 0.996, ""),
        ({"factor": 1.02, "pixels": 20}, "FP32", 0.99, "only 99.00% of the pixels have the same depth"),
        ({"factor": 1.02, "pixels": 20}, "FP16", 0.99, ""),
        ({"factor": 1.02, "pixels": 60}, "FP16", 0.97, "only 97.00% of the pixels"),
        ({"image": "/d/b.png"}, "FP32", None, "do not hold the same images"),
        ({"mean": 9}, "FP32", None, "are not those that result.csv describes"),
        ({"shape": [50, 40]}, "FP32", None, "of different sizes"),
    ],
)
def test_depths_are_compared_pixel_by_pixel(
    runtime_python: Path, tmp_path: Path, changes: dict, precision: str, agreement: float | None, said: str
) -> None:
    native = write_depths(runtime_python, tmp_path / "native")
    deployed = write_depths(runtime_python, tmp_path / "deployed", **changes)
    out = tmp_path / "out.json"
    done = ours(runtime_python, "check.crosscheck", DEPTH, native, deployed, "--precision", precision, "--json", out)
    assert (done.returncode, done.stderr) == (1 if said else 0, "")
    result = json.loads(out.read_text())
    assert said in "; ".join(result["problems"])
    if agreement is not None:
        assert result["agreement"] == pytest.approx(agreement)


def write_instances(python: Path, folder: Path, **changes: object) -> Path:
    """Write the instances of one image, as inference does, and return the folder.

    Args:
        python: Interpreter of the runtime.
        folder: Is made.
        **changes: ``moved`` pixels and ``score``, ``label``, ``image`` of the first of ten; whether ``backwards``.
    """
    code = """
import csv, json, sys
from pathlib import Path
import numpy as np
from pycocotools import mask

folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
folder.mkdir(parents=True)
rows = []
for number in range(10):
    first = {} if number else changes
    left = 40 * number + first.get("moved", 0)
    pixels = np.zeros((100, 420), dtype=np.uint8, order="F")
    pixels[20:60, left : left + 40] = 1
    counts = mask.encode(pixels)["counts"].decode("ascii")
    label, score = first.get("label", f"class_{number % 3}"), first.get("score", 0.9 - 0.05 * number)
    rows.append([first.get("image", "a.png"), label, score, left, 20, left + 40, 60, 100, 420, counts])
header = ["img_name", "pred_label", "pred_score", "left", "top", "right", "bottom", "height", "width", "counts"]
with (folder / "result.csv").open("w", newline="") as file:
    csv.writer(file).writerows([header, *(rows[::-1] if changes.get("backwards") else rows)])
"""
    subprocess.run([python, "-c", code, folder, json.dumps(changes)], check=True)
    return folder


@pytest.mark.parametrize(
    ("changes", "precision", "said"),
    [
        ({"backwards": True}, "FP32", ""),
        ({"moved": 1, "score": 0.89}, "FP32", ""),  # 39 of 41 columns in common
        ({"moved": 5}, "FP32", "of the instances found again"),
        ({"moved": 5}, "FP16", ""),
        ({"moved": 15}, "FP16", "of the instances found again"),
        ({"score": 0.7}, "FP32", "of the instances found again"),
        ({"label": "another"}, "FP32", "of the instances found again"),
        ({"image": "b.png"}, "FP32", "do not hold the same images"),
    ],
)
def test_instances_are_compared_as_matched_sets(
    runtime_python: Path, tmp_path: Path, changes: dict, precision: str, said: str
) -> None:
    native = write_instances(runtime_python, tmp_path / "native")
    deployed = write_instances(runtime_python, tmp_path / "deployed", **changes)
    out = tmp_path / "out.json"
    folders = [INSTANCES, native, deployed]
    done = ours(runtime_python, "check.crosscheck", *folders, "--precision", precision, "--json", out)
    assert (done.returncode, done.stderr) == (1 if said else 0, "")
    assert said in "; ".join(json.loads(out.read_text())["problems"])


def write_segments(python: Path, folder: Path, **changes: object) -> Path:
    """Write the segments of one image, as inference does, and return the folder.

    Args:
        python: Interpreter of the runtime.
        folder: Is made.
        **changes: ``moved`` columns, ``label`` and ``score`` of the first of three, ``image``, whether ``backwards``,
            ``area`` that the table tells of the first.
    """
    code = """
import csv, json, sys
from pathlib import Path
import numpy as np
from PIL import Image

folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
(folder / "panoptic").mkdir(parents=True)
ids = np.zeros((100, 400), dtype=np.uint8)
order = [3, 2, 1] if changes.get("backwards") else [1, 2, 3]
for segment_id, left in zip(order, (changes.get("moved", 0), 100, 200)):
    ids[:, left : left + 100] = segment_id
Image.fromarray(np.stack([ids, ids * 0, ids * 0], axis=2)).save(folder / "panoptic" / "a.png")
labels = [changes.get("label", "class_0"), "class_1", "class_0"]
scores = [changes.get("score", 0.9), 0.8, 0.7]
found = sorted(zip(order, labels, scores))
areas = np.bincount(ids.ravel(), minlength=4).tolist()
areas[1] = changes.get("area", areas[1])
rows = [[0, "", 0], *found]
rows = [[changes.get("image", "a.png"), "panoptic/a.png", *row, area] for row, area in zip(rows, areas)]
header = ["img_name", "segment_map", "segment_id", "pred_label", "pred_score", "area"]
with (folder / "result.csv").open("w", newline="") as file:
    csv.writer(file).writerows([header, *rows])
"""
    subprocess.run([python, "-c", code, folder, json.dumps(changes)], check=True)
    return folder


@pytest.mark.parametrize(
    ("changes", "precision", "said"),
    [
        ({"backwards": True, "score": 0.85}, "FP32", ""),
        ({"moved": 3}, "FP32", ""),  # 3 of 400 columns
        ({"moved": 8}, "FP32", "of the pixels in the same segments"),
        ({"moved": 8}, "FP16", ""),
        ({"label": "another"}, "FP16", "of the pixels in the same segments"),
        ({"image": "b.png"}, "FP32", "do not hold the same images"),
        ({"area": 7}, "FP32", "does not hold the pixels that result.csv counts"),
    ],
)
def test_segments_are_compared_pixel_by_pixel(
    runtime_python: Path, tmp_path: Path, changes: dict, precision: str, said: str
) -> None:
    native = write_segments(runtime_python, tmp_path / "native")
    deployed = write_segments(runtime_python, tmp_path / "deployed", **changes)
    out = tmp_path / "out.json"
    folders = [PANOPTIC, native, deployed]
    done = ours(runtime_python, "check.crosscheck", *folders, "--precision", precision, "--json", out)
    assert (done.returncode, done.stderr) == (1 if said else 0, "")
    assert said in "; ".join(json.loads(out.read_text())["problems"])
