"""The files of a model: which template each comes from. The path in the repositories is the path in the source.

A layer is a folder of templates: what every model gets, what its strategy adds to any network, what its network adds,
what the strategy adds to that network, what the task adds that its task is based on, what its task adds. A later
layer's template takes the place of an earlier one's of the same path, and may extend it.

Copier asks for the names that templates use with every text that it renders: the folders are read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGES = {"tao-core": "nvidia_tao_core", "tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
BOTH = "both"  # a layer's folder of templates that tao-pytorch and tao-deploy get alike, below their packages
_REPOS_OF_BOTH = ("tao-pytorch", "tao-deploy")
_MODEL = "{{model_name}}"
_SUFFIX = ".jinja"


class File(NamedTuple):
    """A file of a model.

    Attributes:
        path: Where it goes, relative to the working directory.
        source: Its template, relative to the template's root.
        repo: The repository that it goes to.
        package: The Python package of that repository.
    """

    path: str
    source: str
    repo: str
    package: str


@cache
def layers_of(root: Path, network: str, strategy: str, *tasks: str) -> tuple[str, ...]:
    """Return the layers of a model, relative to the template's root, the earliest first.

    Args:
        root: Folder of the template.
        network: Folder of `networks/`.
        strategy: The way to the network; not every strategy has a layer, for any network or for one.
        tasks: Folders of `tasks/`, the base of a task before it.
    """
    layers = (
        "template",
        f"networks/strategies/{strategy}",
        f"networks/{network}",
        f"networks/{network}/strategies/{strategy}",
        *(f"tasks/{task}" for task in tasks),
    )
    return tuple(layer for layer in layers if (root / layer).is_dir())


@cache
def files(
    root: Path, layers: tuple[str, ...], model_name: str, left_out: frozenset[str] = frozenset()
) -> tuple[File, ...]:
    """Return the files of a model, sorted by path.

    Args:
        root: Folder of the template.
        layers: Its layers; see `layers_of`.
        model_name: The model.
        left_out: Files that this model does not have: paths with the placeholder for the model's name.
    """
    wanted = (file for path, file in _merged(root, layers).items() if path not in left_out)
    return tuple(sorted(file._replace(path=file.path.replace(_MODEL, model_name)) for file in wanted))


def source(root: Path, layers: tuple[str, ...], path: str) -> str:
    """Return the template of a file, relative to the template's root.

    Args:
        root: Folder of the template.
        layers: The layers; see `layers_of`.
        path: The file, relative to the working directory, with the placeholder for the model's name.
    """
    return _merged(root, layers)[path].source


@cache
def _merged(root: Path, layers: tuple[str, ...]) -> Mapping[str, File]:
    """Return the files of a model by path, with the placeholder for its name."""
    found: dict[str, File] = {}
    for layer in layers:
        found.update(files_of_layer(root, layer))
    return found


def files_of_layer(root: Path, layer: str) -> Mapping[str, File]:
    """Return what one layer has, by path, with the placeholder for the model's name.

    Args:
        root: Folder of the template.
        layer: The layer, relative to it.
    """
    found = {}
    for repo in _REPOS_OF_BOTH:
        for path in _templates(root / layer / BOTH):
            place = f"{repo}/{PACKAGES[repo]}/{path}"
            found[place] = File(place, f"{layer}/{BOTH}/{path}{_SUFFIX}", repo, PACKAGES[repo])
    for repo, package in PACKAGES.items():
        for path in _templates(root / layer / repo):
            place = f"{repo}/{path}"
            found[place] = File(place, f"{layer}/{place}{_SUFFIX}", repo, package)
    return found


def _templates(folder: Path) -> list[str]:
    """Return the templates below a folder, relative to it, without their suffix."""
    return [path.relative_to(folder).as_posix().removesuffix(_SUFFIX) for path in folder.rglob(f"*{_SUFFIX}")]
