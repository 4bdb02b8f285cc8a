"""Read a model's files for the consistency check: YAML with line numbers, Python as a syntax tree, nothing executed."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

RESULTS = "/results"  # stands for the results_dir that the person chooses
MISSING = object()


class UnreadableError(Exception):
    """A file of the model is missing or cannot be read; the text is a finding by itself."""


class Spec:
    """One spec file: its values, and the line of every key.

    Attributes:
        name: path relative to the working directory.
        data: the file's content, interpolations as written.
        lines: line of each dotted key.
    """

    def __init__(self, root: Path, name: str) -> None:
        """Read the file."""
        self.name = name
        self.lines: dict[str, int] = {}
        try:
            text = (root / name).read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.data = OmegaConf.create(text)
        except OSError as error:
            raise UnreadableError(
                f"{name}: cannot be read ({error.strerror}); run copier update to write it again"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
            raise UnreadableError(f"{name}: is not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(self.data, DictConfig):
            raise UnreadableError(f"{name}:1: must be a mapping of sections")
        self._index(node, "")

    def _index(self, node: yaml.Node, prefix: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                path = f"{prefix}{key.value}"
                self.lines[path] = key.start_mark.line + 1
                self._index(value, f"{path}.")

    def at(self, key: str) -> str:
        """Return "file:line" of a dotted key, or of the nearest section above it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.name}:{self.lines.get(key, 1)}"

    def has(self, key: str) -> bool:
        """Tell whether the file itself sets the dotted key."""
        return key in self.lines


class Module:
    """One Python file as a syntax tree.

    Attributes:
        name: path relative to the working directory.
        tree: the parsed file.
    """

    def __init__(self, root: Path, name: str) -> None:
        """Parse the file."""
        self.name = name
        try:
            self.tree = ast.parse((root / name).read_text(encoding="utf-8"))
        except OSError as error:
            raise UnreadableError(
                f"{name}: cannot be read ({error.strerror}); run copier update to write it again"
            ) from error
        except (SyntaxError, ValueError) as error:
            raise UnreadableError(
                f"{name}:{getattr(error, 'lineno', 1) or 1}: is not valid Python ({error})"
            ) from error

    def at(self, node: ast.AST | None) -> str:
        """Return "file:line" of a node."""
        return f"{self.name}:{getattr(node, 'lineno', 1)}"

    def imports(self) -> dict[str, tuple[str, ast.AST]]:
        """Return {name as used in this file: (full dotted origin, node)} of every import."""
        found: dict[str, tuple[str, ast.AST]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = (f"{node.module}.{alias.name}", node)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name] = (alias.name, node)
        return found

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """Yield the calls of functions or methods whose last name part is one of `names`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in names:
                yield node

    def strings(self) -> Iterator[ast.Constant]:
        """Yield every string of the code, docstrings left out."""
        docs = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield node

    @cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """The expression last assigned to each plain name or attribute, in module order."""
        found: dict[str, ast.expr] = {}
        for node in ast.walk(self.tree):
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            for target in targets:
                if node.value is not None and dotted(target):
                    found[dotted(target)] = node.value
        return found

    def value(self, node: ast.AST | None) -> Any:
        """Return the value of an expression made of literals, assigned names and `+`; MISSING for anything else."""
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            pass
        if isinstance(node, (ast.Name, ast.Attribute)):
            target = self.assigned.get(dotted(node))
            return MISSING if target is None or target is node else self.value(target)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.value(node.left), self.value(node.right)
            if MISSING not in (left, right) and type(left) is type(right):
                return left + right
        return MISSING


def dotted(node: ast.AST) -> str:
    """Return "a.b.c" for a name or attribute chain, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the expression of a keyword argument, None when it is not given."""
    return next((item.value for item in call.keywords if item.arg == name), None)


@dataclass(frozen=True)
class Tree:
    """All that the check reads of one model.

    Attributes:
        root: the working directory.
        model: name of the model.
        info: the model's model.json.
    """

    root: Path
    model: str
    info: dict[str, Any]

    @property
    def core(self) -> str:
        """Folder of the config schema."""
        return f"tao-core/nvidia_tao_core/config/{self.model}"

    @property
    def pytorch(self) -> str:
        """Folder of the trainer."""
        return f"tao-pytorch/nvidia_tao_pytorch/cv/{self.model}"

    @property
    def deploy(self) -> str:
        """Folder of the deployment."""
        return f"tao-deploy/nvidia_tao_deploy/cv/{self.model}"

    @cached_property
    def train_spec(self) -> Spec:
        """The training spec."""
        return Spec(self.root, f"{self.pytorch}/experiment_specs/experiment_spec.yaml")

    @cached_property
    def deploy_specs(self) -> dict[str, Spec]:
        """The deploy specs gen_trt_engine, inference and evaluate."""
        return {
            name: Spec(self.root, f"{self.deploy}/specs/{name}.yaml")
            for name in ("gen_trt_engine", "inference", "evaluate")
        }

    @property
    def specs(self) -> list[Spec]:
        """The training spec and the deploy specs."""
        return [self.train_spec, *self.deploy_specs.values()]

    @cached_property
    def _modules(self) -> dict[str, Module]:
        return {}

    def module(self, name: str) -> Module:
        """Return one Python file, named relative to the working directory."""
        if name not in self._modules:
            self._modules[name] = Module(self.root, name)
        return self._modules[name]

    def modules(self, folder: str) -> list[Module]:
        """Return every Python file below a folder, in order."""
        paths = sorted((self.root / folder).rglob("*.py"))
        return [self.module(path.relative_to(self.root).as_posix()) for path in paths]

    def scripts(self, folder: str) -> list[Module]:
        """Return the subtask scripts of the trainer or the deployment."""
        return [module for module in self.modules(f"{folder}/scripts") if not module.name.endswith("__init__.py")]

    @cached_property
    def schema(self) -> DictConfig:
        """The model's ExperimentConfig, the one thing that is imported."""
        name = f"nvidia_tao_core.config.{self.model}.default_config"
        try:
            return OmegaConf.structured(importlib.import_module(name).ExperimentConfig)
        except Exception as error:  # whatever a person's edit may raise is their finding
            raise UnreadableError(
                f"{self.core}/default_config.py: ExperimentConfig cannot be used ({type(error).__name__}: {error})"
            ) from error

    @cached_property
    def _effective(self) -> dict[str, DictConfig]:
        return {}

    def effective(self, spec: Spec) -> DictConfig:
        """Return what a script sees: the schema's defaults with the spec laid over them, results_dir filled in."""
        if spec.name not in self._effective:
            defaults = OmegaConf.create(OmegaConf.to_container(self.schema, resolve=False))
            merged = OmegaConf.merge(defaults, spec.data)
            merged.results_dir = RESULTS
            self._effective[spec.name] = merged
        return self._effective[spec.name]

    def setting(self, spec: Spec, key: str) -> Any:
        """Return the resolved value of a dotted key as a script sees it; None when it is not set ("???", null).

        Raises:
            UnreadableError: the value refers to something that is not there.
        """
        try:
            value = OmegaConf.select(self.effective(spec), key, throw_on_missing=False)
        except OmegaConfBaseException as error:
            first = str(error).splitlines()[0]
            raise UnreadableError(f"{spec.at(key)}: {key} does not resolve ({first})") from error
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
