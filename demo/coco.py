"""Scenes as a dataset in COCO format: pictures, classes.txt, and an annotation file for each split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from demo.scenes import Scene


def save(
    folder: Path,
    categories: list[dict[str, Any]],
    splits: dict[str, list[Scene]],
    describe: Callable[[Path, Scene], list[dict[str, Any]]],
) -> None:
    """Write the pictures as PNGs beside what is said of them.

    Args:
        folder: the dataset's, still to be made.
        categories: those of COCO, in the order of the classes.
        splits: scenes by split.
        describe: returns the annotations of a scene, whose picture gets this path; ``id`` and ``image_id`` are added.
    """
    (folder / "annotations").mkdir(parents=True)
    names = [category["name"] for category in categories]
    (folder / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for split, scenes in splits.items():
        (folder / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index, scene in enumerate(scenes):
            path = folder / split / f"{index:04d}.png"
            Image.fromarray(scene.pixels).save(path)
            height, width = scene.pixels.shape[:2]
            images.append({"id": index, "file_name": path.name, "height": height, "width": width})
            for entry in describe(path, scene):
                annotations.append({"id": len(annotations) + 1, "image_id": index, **entry})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
