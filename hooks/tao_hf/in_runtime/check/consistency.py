"""Check that a model's files still agree with each other across tao-core, tao-pytorch and tao-deploy.

    python -m tao_hf.in_runtime.check.consistency WORKDIR MODEL --json OUT

Runs inside the runtime, after rendering and after a person's edits. One function per item of the porting procedure's
cross-phase checklist. Files are read (YAML, syntax trees), never run; only the config schema is imported. Ends with 0
when all items hold, 1 when one does not, 2 when there is no such model.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tao_hf.in_runtime.check.model_tree import MISSING, RESULTS, Module, Tree, UnreadableError, dotted, keyword

SECTIONS = ("model", "dataset", "train", "evaluate", "inference", "export", "gen_trt_engine", "quantize")
NORMALIZE_ARGUMENTS = ("mean", "std", "image_mean", "image_std")
PYTORCH, DEPLOY = "nvidia_tao_pytorch", "nvidia_tao_deploy"
ENTRYPOINT = {PYTORCH: f"{PYTORCH}.core.entrypoint", DEPLOY: f"{DEPLOY}.cv.common.entrypoint.entrypoint_hydra"}
HYDRA_RUNNER = {
    PYTORCH: f"{PYTORCH}.core.hydra.hydra_runner.hydra_runner",
    DEPLOY: f"{DEPLOY}.cv.common.hydra.hydra_runner.hydra_runner",
}
MONITOR_STATUS = {
    PYTORCH: f"{PYTORCH}.core.decorators.workflow.monitor_status",
    DEPLOY: f"{DEPLOY}.cv.common.decorators.monitor_status",
}


@dataclass(frozen=True)
class Finding:
    """What one item of the checklist came to.

    Attributes:
        item: short name of the item, the name of its function.
        title: what should hold, in words.
        ok: whether it does.
        detail: every problem on a line of its own: file:line, what is wrong, what to change; empty when ok.
    """

    item: str
    title: str
    ok: bool
    detail: str


def schema_keys(tree: Tree) -> Iterator[str]:
    """Check that every key of the specs is a field of ExperimentConfig and its value fits."""
    for name in SECTIONS:
        if name not in tree.schema:
            yield f"{tree.core}/default_config.py: ExperimentConfig lacks the section {name}; add it"
    for spec in tree.specs:
        unknown = [key for key in spec.lines if not _is_field(tree.schema, key)]
        for key in unknown:
            if not any(key.startswith(f"{other}.") for other in unknown):
                yield f"{spec.at(key)}: {key} is not a field of ExperimentConfig; correct the name or add the field"
        if not unknown:
            try:
                OmegaConf.merge(tree.schema, spec.data)
            except OmegaConfBaseException as error:
                key = getattr(error, "full_key", None) or ""
                first = str(error).splitlines()[0]
                yield f"{spec.at(key)}: the value of {key or 'a key'} does not fit its field ({first})"


def _is_field(schema: DictConfig, key: str) -> bool:
    node: Any = schema
    for part in key.split("."):
        if not isinstance(node, DictConfig) or OmegaConf.get_type(node) is dict:
            return True  # below an untyped or unset field anything goes; the merge judges the value
        if part not in node.keys():
            return False
        if OmegaConf.is_missing(node, part):
            return True
        node = node[part]
    return True


def head_in_channels(tree: Tree) -> Iterator[str]:
    """Check that the head width is what model_params_mapping.py gives for the backbone."""
    mapping = tree.module(f"{tree.core}/model_params_mapping.py")
    expression = mapping.assigned.get("map_params")
    params = mapping.value(expression)
    channels = params.get("head", {}).get("in_channels") if isinstance(params, dict) else None
    if not isinstance(channels, dict):
        yield f"{mapping.at(expression)}: map_params must be {{'head': {{'in_channels': {{backbone: width}}}}}}"
        return
    spec = tree.train_spec
    backbone, width = (tree.setting(spec, key) for key in ("model.backbone.type", "model.head.in_channels"))
    if backbone not in channels:
        yield f"{mapping.at(expression)}: has no width for {backbone} of {spec.at('model.backbone.type')}; add it"
    elif width != channels[backbone]:
        yield (
            f"{spec.at('model.head.in_channels')}: model.head.in_channels is {width}, "
            f"but {mapping.at(expression)} gives {channels[backbone]} for {backbone}; make them equal"
        )


def checkpoint_name(tree: Tree) -> Iterator[str]:
    """Check that the checkpoint that training writes is the one that the spec hands on."""
    found = [
        (module, node, module.value(node))
        for module in tree.modules(f"{tree.pytorch}/model")
        for name, node in module.assigned.items()
        if name == "self.checkpoint_filename"
    ]
    wanted = f"{tree.model}_model"
    if not found:
        yield f"{tree.pytorch}/model: nothing sets self.checkpoint_filename; set it to {wanted!r}"
        return
    module, node, value = found[0]
    if value != wanted:
        shown = "not a plain string" if value is MISSING else repr(value)
        yield f"{module.at(node)}: self.checkpoint_filename is {shown}; set it to {wanted!r}"
        return
    spec = tree.train_spec
    for section in ("evaluate", "inference", "export"):
        key = f"{section}.checkpoint"
        path = tree.setting(spec, key)
        if Path(path or "").name != f"{wanted}_latest.pth":
            yield f"{spec.at(key)}: {key} is {path}, but training writes train/{wanted}_latest.pth; point to that"


def normalization(tree: Tree) -> Iterator[str]:
    """Check that mean and std are the same in training, calibration, TensorRT inference and TensorRT evaluation."""
    yield from _same_settings(tree, ("dataset.augmentation.mean", "dataset.augmentation.std"))
    yield from _builder_normalization(tree)
    yield from _fixed_normalization(tree)


def _same_settings(tree: Tree, keys: Sequence[str]) -> Iterator[str]:
    train = tree.train_spec
    for key in keys:
        wanted = tree.setting(train, key)
        for spec in tree.deploy_specs.values():
            value = tree.setting(spec, key)
            if value != wanted:
                yield f"{spec.at(key)}: {key} is {value}, but {train.at(key)} has {wanted}; make them equal"


def _builder_normalization(tree: Tree) -> Iterator[str]:
    """Check that the builder calibrates by itself: TAO's builders do it with a mean and std of their own."""
    modules = tree.modules(tree.deploy)
    functions = (node for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef))
    if not any(function.name == "set_calibrator" for function in functions):
        yield (
            f"{tree.deploy}/engine_builder.py:1: has no set_calibrator, so TAO's builder calibrates with a mean and "
            f"std of its own; calibrate with those of {tree.train_spec.at('dataset.augmentation')}"
        )


def _fixed_normalization(tree: Tree) -> Iterator[str]:
    """Check that no transform or loader carries its own numbers."""
    for module in [*tree.modules(tree.pytorch), *tree.modules(tree.deploy)]:
        for call in module.calls("Normalization", "Normalize", "normalize", "ClassificationLoader"):
            for argument in [*call.args, *(item.value for item in call.keywords if item.arg in NORMALIZE_ARGUMENTS)]:
                value = module.value(argument)
                if isinstance(value, (list, tuple)) and value and all(isinstance(item, (int, float)) for item in value):
                    yield (
                        f"{module.at(argument)}: carries its own numbers {list(value)}; use dataset.augmentation.mean "
                        "and dataset.augmentation.std of the spec"
                    )


def preprocessing(tree: Tree) -> Iterator[str]:
    """Check that sizes, preprocessing and post-processing are the same in training, calibration and deployment."""
    yield from _same_settings(tree, tree.info["shared_settings"])


def onnx_names(tree: Tree) -> Iterator[str]:
    """Check that the ONNX export names inputs and outputs as the deployment expects."""
    calls = list(_export_calls(tree))
    if not calls:
        yield f"{tree.pytorch}: nothing calls torch.onnx.export"
    for module, call in calls:
        for argument, wanted in (
            ("input_names", tree.info["onnx_inputs"]),
            ("output_names", tree.info["onnx_outputs"]),
        ):
            node = keyword(call, argument)
            value = module.value(node)
            if value is MISSING or list(value or ()) != list(wanted):
                target = module.assigned.get(dotted(node), node) if node is not None else call
                shown = "not a plain list" if value is MISSING else value
                yield f"{module.at(target)}: {argument} is {shown}; tao-deploy expects {list(wanted)}"


def _export_calls(tree: Tree) -> Iterator[tuple[Module, ast.Call]]:
    for module in tree.modules(tree.pytorch):
        for call in module.calls("export"):
            if dotted(call.func).endswith("onnx.export"):
                yield module, call


def deploy_fields(tree: Tree) -> Iterator[str]:
    """Check that the deploy specs and scripts keep ONNX file and engine under their sections."""
    wanted = {
        "gen_trt_engine": ("gen_trt_engine.onnx_file", "gen_trt_engine.trt_engine"),
        "inference": ("inference.trt_engine",),
        "evaluate": ("evaluate.trt_engine",),
    }
    specs = tree.deploy_specs
    for name, keys in wanted.items():
        spec = specs[name]
        for key in keys:
            if not spec.has(key):
                yield f"{spec.at(key)}: {key} is missing; add it ('???' when the person must give it)"
        for bare in ("onnx_file", "trt_engine"):
            if spec.has(bare):
                yield f"{spec.at(bare)}: {bare} stands at the top; move it into its section ({', '.join(keys)})"
        module = tree.module(f"{tree.deploy}/scripts/{name}.py")
        read = {dotted(node) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
        for bare in ("onnx_file", "trt_engine"):
            if f"cfg.{bare}" in read:
                node = next(node for node in ast.walk(module.tree) if dotted(node) == f"cfg.{bare}")
                yield f"{module.at(node)}: reads cfg.{bare}; read it from its section ({', '.join(keys)})"


def onnx_file(tree: Tree) -> Iterator[str]:
    """Check that the ONNX file that export writes is the one that gen_trt_engine reads."""
    spec = tree.train_spec
    written, read = (tree.setting(spec, f"{section}.onnx_file") for section in ("export", "gen_trt_engine"))
    if written != read or not written:
        yield (
            f"{spec.at('gen_trt_engine.onnx_file')}: gen_trt_engine.onnx_file is {read}, but "
            f"{spec.at('export.onnx_file')} writes {written}; make them equal"
        )


def engine(tree: Tree) -> Iterator[str]:
    """Check that the engine is built in one way: what both specs say of gen_trt_engine.tensorrt is the same."""
    train, deploy = tree.train_spec, tree.deploy_specs["gen_trt_engine"]
    for key in deploy.lines:
        if key.startswith("gen_trt_engine.tensorrt.") and train.has(key):
            value, wanted = tree.setting(deploy, key), tree.setting(train, key)
            if value != wanted and not isinstance(value, dict):
                yield f"{deploy.at(key)}: {key} is {value}, but {train.at(key)} has {wanted}; make them equal"


def results_chain(tree: Tree) -> Iterator[str]:
    """Check that the paths train, export, trt resolve from results_dir, each below it."""
    spec = tree.train_spec
    chain = {f"{section}.checkpoint": f"{RESULTS}/train/" for section in ("evaluate", "inference", "export")}
    chain |= {"export.onnx_file": f"{RESULTS}/export/", "gen_trt_engine.trt_engine": f"{RESULTS}/trt/"}
    for key, folder in chain.items():
        try:
            path = tree.setting(spec, key)
        except UnreadableError as error:
            yield f"{error}; write it with ${{results_dir}}"
            continue
        if not str(path or "").startswith(folder):
            shown = str(path).replace(RESULTS, "${results_dir}")
            yield f"{spec.at(key)}: {key} is {shown}; it must lie in ${{results_dir}}{folder.removeprefix(RESULTS)}"
    engine = tree.setting(spec, "gen_trt_engine.trt_engine")
    if str(engine).startswith(RESULTS) and Path(str(engine)).name != f"{tree.model}.engine":
        yield f"{spec.at('gen_trt_engine.trt_engine')}: the engine must be named {tree.model}.engine"


def input_size(tree: Tree) -> Iterator[str]:
    """Check that the exported input has the dataset's image size and channels."""
    spec = tree.train_spec
    size = tree.setting(spec, "dataset.img_size")
    height, width = (size, size) if isinstance(size, int) else size
    channels = len(tree.setting(spec, "dataset.augmentation.mean"))
    for key, wanted, source in (
        ("export.input_height", height, "dataset.img_size"),
        ("export.input_width", width, "dataset.img_size"),
        ("export.input_channel", channels, "dataset.augmentation.mean"),
    ):
        value = tree.setting(spec, key)
        if value != wanted:
            yield f"{spec.at(key)}: {key} is {value}, but {spec.at(source)} ({source}) says {wanted}; make them equal"


def entrypoint_imports(tree: Tree) -> Iterator[str]:
    """Check that each entrypoint uses its own repository's launcher."""
    for repo, folder in ((PYTORCH, tree.pytorch), (DEPLOY, tree.deploy)):
        module = tree.module(f"{folder}/entrypoint/{tree.model}.py")
        imports = module.imports()
        for name in ("get_subtasks", "command_line_parser", "launch"):
            origin, node = imports.get(name, ("nowhere", None))
            if origin != f"{ENTRYPOINT[repo]}.{name}":
                yield f"{module.at(node)}: {name} comes from {origin}; import it from {ENTRYPOINT[repo]}"
        origin, node = imports.get("scripts", ("nowhere", None))
        if origin != f"{repo}.cv.{tree.model}.scripts":
            yield f"{module.at(node)}: scripts comes from {origin}; import it from {repo}.cv.{tree.model}"


def hydra_imports(tree: Tree) -> Iterator[str]:
    """Check that each script uses its own repository's hydra_runner, the shared schema and a spec that exists."""
    schema = f"nvidia_tao_core.config.{tree.model}.default_config.ExperimentConfig"
    for repo, folder, specs in ((PYTORCH, tree.pytorch, "experiment_specs"), (DEPLOY, tree.deploy, "specs")):
        for module in tree.scripts(folder):
            imports = module.imports()
            for name, wanted in (("hydra_runner", HYDRA_RUNNER[repo]), ("ExperimentConfig", schema)):
                origin, node = imports.get(name, ("nowhere", None))
                if origin != wanted:
                    yield f"{module.at(node)}: {name} comes from {origin}; import it from {wanted.rpartition('.')[0]}"
            for call in module.calls("hydra_runner"):
                name = module.value(keyword(call, "config_name"))
                if not (tree.root / folder / specs / f"{name}.yaml").is_file():
                    yield f"{module.at(call)}: config_name is {name!r}, but {folder}/{specs} has no such spec"


def monitor_imports(tree: Tree) -> Iterator[str]:
    """Check that each script reports through its own repository's monitor_status, under its own subtask."""
    for repo, folder in ((PYTORCH, tree.pytorch), (DEPLOY, tree.deploy)):
        for module in tree.scripts(folder):
            origin, node = module.imports().get("monitor_status", ("nowhere", None))
            if origin != MONITOR_STATUS[repo]:
                wanted = MONITOR_STATUS[repo].rpartition(".")[0]
                yield f"{module.at(node)}: monitor_status comes from {origin}; import it from {wanted}"
            subtask = Path(module.name).stem
            for call in module.calls("monitor_status"):
                mode = module.value(keyword(call, "mode"))
                if mode != subtask:
                    yield f"{module.at(call)}: mode is {mode!r}; the subtask is {subtask!r}"


def classes_file(tree: Tree) -> Iterator[str]:
    """Check that training and deployment read the same classes.txt, in its own order."""
    yield from _same_settings(tree, ("dataset.classes_file", "dataset.root_dir"))
    names: dict[str, set[str]] = {}
    for folder in (tree.pytorch, tree.deploy):
        readers = [(module, function) for module in tree.modules(folder) for function in _class_readers(module)]
        names[folder] = {Path(name).name for _, function in readers for name in _file_names(function)}
        for module, function in readers:
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] in ("sorted", "sort"):
                    yield f"{module.at(call)}: sorts the class list; the line order of classes.txt is the class index"
    if names[tree.pytorch] != names[tree.deploy] or not names[tree.deploy]:
        shown = {folder: ", ".join(sorted(found)) or "none" for folder, found in names.items()}
        yield (
            f"{tree.deploy}: reads the class list {shown[tree.deploy]}, but {tree.pytorch} reads "
            f"{shown[tree.pytorch]}; use the same file name"
        )


def _class_readers(module: Module) -> list[ast.FunctionDef]:
    """Return the functions that read a class list: they name a .txt file and where it lies."""
    return [
        function
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef)
        and any(
            isinstance(node, ast.Attribute) and node.attr in ("classes_file", "root_dir") for node in ast.walk(function)
        )
        and _file_names(function)
    ]


def _file_names(function: ast.FunctionDef) -> set[str]:
    return {
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.endswith(".txt")
        and not any(character.isspace() for character in node.value)
    }


def init_files(tree: Tree) -> Iterator[str]:
    """Check that every package folder has an __init__.py."""
    for folder in (tree.core, tree.pytorch, tree.deploy):
        holders = {path.parent for path in (tree.root / folder).rglob("*.py")} | {tree.root / folder}
        holders |= {tree.root / folder / "scripts"} if folder != tree.core else set()
        for holder in sorted(holders):
            if not (holder / "__init__.py").is_file():
                name = (holder / "__init__.py").relative_to(tree.root).as_posix()
                yield f"{name}: is missing; add it (it may be empty)"


def console_scripts(tree: Tree) -> Iterator[str]:
    """Check that both setup.py register the model's console command, and it has a main()."""
    for repo, folder in ((PYTORCH, tree.pytorch), (DEPLOY, tree.deploy)):
        setup = tree.module(f"{folder.partition('/')[0]}/setup.py")
        wanted = f"{tree.model}={repo}.cv.{tree.model}.entrypoint.{tree.model}:main"
        entries = [node for node in setup.strings() if node.value.replace(" ", "").partition("=")[0] == tree.model]
        entries = [node for node in entries if "=" in node.value]
        if not entries:
            yield f"{setup.name}: console_scripts has no {tree.model}; add '{wanted}'"
        elif entries[0].value.replace(" ", "") != wanted:
            yield f"{setup.at(entries[0])}: console_scripts has '{entries[0].value}'; write '{wanted}'"
        module = tree.module(f"{folder}/entrypoint/{tree.model}.py")
        if not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.tree.body):
            yield f"{module.name}:1: has no function main for the console command; add it"


def backbone_registered(tree: Tree) -> Iterator[str]:
    """Check that the backbone that the spec names is registered, imported and listed in backbone_v2."""
    folder = f"tao-pytorch/{PYTORCH}/cv/backbone_v2"
    spec = tree.train_spec
    backbone = tree.setting(spec, "model.backbone.type")
    owners = [module for module in tree.modules(folder) if backbone in _registered(module)]
    if not owners:
        yield f"{spec.at('model.backbone.type')}: no file of {folder} registers the backbone {backbone}"
        return
    package = tree.module(f"{folder}/__init__.py")
    origin, _ = package.imports().get(backbone, ("nowhere", None))
    home = f"{PYTORCH}.cv.backbone_v2.{Path(owners[0].name).stem}"
    if origin not in (f"{home}.{backbone}", f"{Path(owners[0].name).stem}.{backbone}"):
        yield f"{package.name}: does not import {backbone}; add 'from {home} import {backbone}'"
    listed = package.assigned.get("__all__")
    if listed is not None and backbone not in {
        node.value for node in ast.walk(listed) if isinstance(node, ast.Constant)
    }:
        yield f"{package.at(listed)}: __all__ does not list {backbone!r}; add it"


def _registered(module: Module) -> set[str]:
    names = set()
    for node in module.tree.body:
        for decorator in getattr(node, "decorator_list", ()):
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if dotted(call) == "BACKBONE_REGISTRY.register":
                names.add(node.name)
    return names


def dynamic_batch(tree: Tree) -> Iterator[str]:
    """Check that a batch size of -1 exports a dynamic batch axis for every input and output."""
    spec = tree.train_spec
    if tree.setting(spec, "export.batch_size") != -1:
        return
    for module, call in _export_calls(tree):
        names = [module.value(keyword(call, argument)) for argument in ("input_names", "output_names")]
        wanted = {name for part in names if isinstance(part, (list, tuple)) for name in part}
        axes, shapes = keyword(call, "dynamic_axes"), keyword(call, "dynamic_shapes")
        node = axes if axes is not None else shapes
        expression = module.assigned.get(dotted(node), node) if node is not None else None
        dicts = (
            [item for item in ast.walk(expression) if isinstance(item, (ast.Dict, ast.DictComp))] if expression else []
        )
        first_axis = [item for item in dicts if isinstance(item, ast.Dict) and _has_key(item, 0)]
        named = _named_axes(module, dicts) if axes is not None else wanted
        if not first_axis:
            yield (
                f"{module.at(expression or call)}: export.batch_size is -1 ({spec.at('export.batch_size')}), but the "
                "export makes no axis 0 dynamic; pass dynamic_axes or dynamic_shapes"
            )
        elif wanted - named:
            yield f"{module.at(expression)}: axis 0 of {', '.join(sorted(wanted - named))} is not dynamic; add it"


def _has_key(node: ast.Dict, key: int) -> bool:
    return any(isinstance(item, ast.Constant) and item.value == key for item in node.keys)


def _named_axes(module: Module, dicts: list[ast.Dict | ast.DictComp]) -> set[str]:
    names: set[str] = set()
    for item in dicts:
        if isinstance(item, ast.DictComp):
            found = module.value(item.generators[0].iter)
            names |= set() if found is MISSING else set(found)
        else:
            names |= {key.value for key in item.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return names


ITEMS: tuple[Callable[[Tree], Iterator[str]], ...] = (
    schema_keys,
    head_in_channels,
    checkpoint_name,
    normalization,
    preprocessing,
    onnx_names,
    deploy_fields,
    onnx_file,
    engine,
    results_chain,
    input_size,
    entrypoint_imports,
    hydra_imports,
    monitor_imports,
    classes_file,
    init_files,
    console_scripts,
    backbone_registered,
    dynamic_batch,
)
OF_BACKBONES = (head_in_channels, backbone_registered)  # mean nothing where the network is a Hugging Face model whole
OF_CLASSES = (classes_file,)  # mean nothing where the task has none


def check(root: Path, model: str) -> list[Finding]:
    """Return one finding per item.

    Args:
        root: the working directory.
        model: name of a model in it.
    """
    info = json.loads((root / ".tao-hf" / model / "model.json").read_text(encoding="utf-8"))
    tree = Tree(root, model, info)
    findings = []
    for item in ITEMS:
        if item in OF_BACKBONES and info["network"] != "backbone":
            continue
        if item in OF_CLASSES and not info["num_labels"]:
            continue
        problems: list[str] = []
        try:
            problems.extend(item(tree))
        except UnreadableError as error:
            problems.append(str(error))
        findings.append(Finding(item.__name__, _title(item), not problems, "\n".join(problems)))
    return findings


def _title(item: Callable[[Tree], Iterator[str]]) -> str:
    """Return what an item's docstring says should hold."""
    words = item.__doc__.splitlines()[0].removeprefix("Check that ").rstrip(".")
    return words[0].upper() + words[1:]


def main() -> int:
    """Check one model, print the findings and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir", type=Path)
    parser.add_argument("model")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    try:
        findings = check(args.workdir, args.model)
    except (OSError, ValueError) as error:
        print(f"the model {args.model} of {args.workdir} cannot be read: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(f"{'✓' if finding.ok else '✗'} {finding.title}")
        for line in finding.detail.splitlines():
            print(f"    {line}")
    if args.json:
        text = json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=2)
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
