"""The functions that ``copier.yml`` calls: what is found out between questions, and what is wrong with answers."""

from __future__ import annotations

import difflib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tao_hf.answers import earlier, validators
from tao_hf.answers import recorded as answers_of
from tao_hf.answers.model_name import free_name, model_name_problem
from tao_hf.answers.strategy import chosen
from tao_hf.base import git, lock
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.text import one_line
from tao_hf.clones import branches, sources, survey
from tao_hf.inspection import findings_table, inspect, proof
from tao_hf.lifecycle import checks
from tao_hf.rendering import tasks, template_vars
from tao_hf.runtime import engine, host, host_check, images
from tao_hf.workdir import ledger, records, staging

DISTINCT_LABELS = 0.99
UNUSED = "N/A"  # the name of a class index that stands for nothing
NEEDED_BYTES = 32 * 1024**2

BANNER = """
tao-hf-template · a Hugging Face vision model into NVIDIA TAO Toolkit
Everything stays on this machine: nothing is pushed, uploaded or published.
"""


def _say(text: str) -> None:
    """Print to the terminal beside Copier's own output."""
    print(text, file=sys.stderr, flush=True)


def _questions() -> dict[str, Any]:
    """Return the questions of ``copier.yml`` by name."""
    config = yaml.safe_load((TEMPLATE / "copier.yml").read_text(encoding="utf-8"))
    return {name: question for name, question in config.items() if not name.startswith("_")}


def _values(choices: Any) -> list[str]:
    """Return the values of a question's choices, given as list or as label-to-value mapping."""
    return list(choices.values()) if isinstance(choices, dict) else list(choices)


def task_types() -> list[str]:
    """Return the task types this version of the template can generate."""
    return list(tasks.task_types(TEMPLATE))


def has_classes(task_type: str) -> bool:
    """Tell whether models of a task have a list of classes."""
    about = tasks.task(TEMPLATE, task_type)
    return about is not None and about["classes"]


def welcome(conf: Mapping[str, Any]) -> str:
    """Return the banner, after checking the names and choices of answers given with ``--data``.

    Raises:
        UserError: If an answer is for no question, or is none of the choices.
    """
    questions = _questions()
    for name, value in conf["data"].items():
        if name not in questions:
            close = difflib.get_close_matches(name, questions, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the questions are {', '.join(questions)}."
            raise UserError(f"There is no question called {one_line(name)}: {hint}")
        choices = task_types() if name == "task_type" else questions[name].get("choices")
        if isinstance(choices, (list, dict)) and value not in _values(choices):
            raise UserError(f"{name} cannot be {one_line(value)}: choose one of {', '.join(_values(choices))}.")
    _check_image_size(conf["data"])
    if "recopy" in sys.argv[1:2] and not _answers_named(conf):
        raise UserError("copier recopy needs -a .tao-hf/MODEL/answers.yml; for a newer version use ./tao-hf update.")
    # Copier would take another model's answers for this one's; the link comes back when the model is in place.
    link = Path(str(conf["dst_path"])) / checks.ANSWERS_LINK
    if link.is_symlink() and not conf["pretend"]:
        link.unlink()
    return BANNER


def _check_image_size(data: Mapping[str, Any]) -> None:
    """Refuse an image size given with ``--data`` that is no JSON, which Copier would show as a traceback."""
    given = data.get("image_size")
    if isinstance(given, str):
        try:
            json.loads(given)
        except ValueError as error:
            raise UserError("image_size must be one number, or [height, width], in pixels.") from error


def refuse_other_answers(conf: Mapping[str, Any]) -> None:
    """Refuse to copy with the answers of another model, which `welcome` prevents where Copier prints it.

    Raises:
        UserError: Copier was told to be quiet, in a working directory with a model.
    """
    if conf["quiet"] and not conf["pretend"] and (Path(str(conf["dst_path"])) / checks.ANSWERS_LINK).is_symlink():
        raise UserError(
            f"{conf['dst_path']} holds a model, whose answers Copier would take for this one's; leave out --quiet, or "
            f"remove {checks.ANSWERS_LINK} first (it comes back)."
        )


def _answers_named(conf: Mapping[str, Any]) -> bool:
    """Tell whether Copier was given an answers file; without one it renders the template's with no model in it."""
    return Path(str(conf["answers_file"])).parent.name != ".tao-hf"


def begin_update(conf: Mapping[str, Any]) -> str:
    """Prepare an update, or refuse it; return nothing to print."""
    workdir = Path(str(conf["dst_path"])).absolute()
    _check_image_size(conf["data"])
    checks.prepare(workdir, str(conf["answers_file"]), conf["data"], _questions())
    return ""


def _labels_broken(labels: Sequence[str]) -> bool:
    """Tell whether a name is empty, or more repeat than in ImageNet, which itself has the class crane twice."""
    named = [label for label in labels if label != UNUSED]
    return not named or any(not label.strip() for label in named) or len(set(named)) < DISTINCT_LABELS * len(named)


def default_image(component: str, image_pytorch: str = "") -> str:
    """Return the published image that the environment names; "none" where the person has no tao-pytorch image."""
    return host_check.NO_IMAGES if image_pytorch == host_check.NO_IMAGES else host_check.image_variable(component)


def asks_for_image(component: str, runtime: str, *answered: str) -> bool:
    """Tell whether a published image is to be asked for: containers may be used, and it is not prepared yet.

    Args:
        component: One of engine.COMPONENTS.
        runtime: The answer.
        answered: The images answered before this one; nothing or "none" for one of them means no containers.
    """
    if runtime == "local" or host_check.NO_IMAGES in answered or _docker_problem():
        return False
    before = zip(engine.COMPONENTS, answered, strict=False)
    if runtime == "auto" and any(not answer and not _is_prepared(name) for name, answer in before):
        return False
    return not _is_prepared(component)


def asks_about_gpu(runtime: str, *answered: str) -> bool:
    """Tell whether the person must say that it goes without a GPU; `answered` are the tao-pytorch and deploy images."""
    if runtime == "local" or host_check.NO_IMAGES in answered or host.gpus() or _docker_problem():
        return False
    return all(answer or _is_prepared(name) for name, answer in zip(host_check.REQUIRED, answered, strict=True))


@cache
def _docker_problem() -> str | None:
    return engine.problem()


@cache
def _is_prepared(component: str) -> bool:
    return engine.has_image(engine.prepared(component))


def image_problem_when_asked(question: str, conf: Mapping[str, Any], answer: str) -> str:
    """Return what is wrong with an image typed at the prompt, or an empty string; see `problem_when_asked`."""
    if conf["defaults"] or question in conf["data"] or answer in ("", host_check.NO_IMAGES):
        return ""
    return "this is no image reference: write registry/name:tag" if images.reference_problem(answer) else ""


def settle_runtime(
    runtime: str, image_pytorch: str, image_deploy: str, image_dataservices: str, without_gpu: bool
) -> dict[str, Any]:
    """Return where Python code runs, after phase 0 where that is in containers.

    Returns:
        ``kind`` ("docker" or "local"), ``gpu``, ``images`` and ``fallback``, as `phase0.run` does.

    Raises:
        UserError: The person wants containers, and something they need is missing.
    """
    settled = _settle_once(runtime, (image_pytorch, image_deploy, image_dataservices), without_gpu)
    if isinstance(settled, UserError):
        raise settled
    return settled


def _local(because: str = "") -> dict[str, Any]:
    if because:
        _say(f"  – using the local runtime: {because}")
    return {"kind": "local", "gpu": False, "images": {}, "fallback": False}


@cache
def _settle_once(runtime: str, answered: tuple[str, ...], without_gpu: bool) -> dict[str, Any] | UserError:
    """Settle once per run: Copier asks for the default of a question many times."""
    try:
        return _settle(runtime, dict(zip(engine.COMPONENTS, answered, strict=True)), without_gpu)
    except UserError as error:
        return error


def _settle(runtime: str, answers: dict[str, str], without_gpu: bool) -> dict[str, Any]:
    if runtime == "local":
        return _local()
    host_check.check_references(answers)
    if runtime == "auto":
        reason = _why_not_docker(answers, without_gpu)
        if reason:
            return _local(reason)
    try:
        return host_check.run(answers, without_gpu)
    except UserError as error:
        if runtime == "auto":
            return _local(str(error))
        raise


def _why_not_docker(answers: Mapping[str, str], without_gpu: bool) -> str:
    """Return why `auto` means local, an empty string when it means docker."""
    trouble = _docker_problem()
    if trouble:
        return trouble.replace(", or choose runtime=local", "")
    if host_check.no_images(answers):
        return "Docker answers, but there are no TAO images here."
    missing = [f"tao-{name}" for name in host_check.REQUIRED if not answers[name] and not _is_prepared(name)]
    if missing:
        return (
            f"Docker answers, but no {' and no '.join(missing)} image is prepared or given; name the ones you can pull "
            "with --data image_pytorch= and --data image_deploy=."
        )
    if not host.gpus() and not without_gpu:
        return "Docker answers, but there is no NVIDIA GPU; --data without_gpu=true uses the containers without one."
    return ""


def inspect_model(hf_model_id: str, containers: Mapping[str, Any], keep_scratch: bool) -> dict[str, Any]:
    """Inspect the model, show the findings as a table, and return them."""
    findings = inspect.inspect_model(
        hf_model_id, containers["kind"], accept_labels=True, keep_scratch=keep_scratch
    )
    _say(findings_table.render(findings, min(shutil.get_terminal_size().columns, 100)))
    if findings["task_type"] not in task_types():
        raise UserError(
            f"{one_line(hf_model_id)} is made for {findings['task_type']}; this version of the template generates "
            f"{', '.join(task_types())}. Choose a model of such a task."
        )
    if has_classes(findings["task_type"]) and _labels_broken(findings["labels"]):
        raise UserError(
            f"The label names of {one_line(hf_model_id)} cannot be used: {findings['label_problem']}; correct id2label "
            "in the config.json of a local copy."
        )
    return findings


def _explored(workdir: Path, repos: Mapping[str, Mapping[str, Any]], task_type: str) -> dict[str, Any]:
    """Return what the repositories hold: those of the working directory, else where they wait to be put there."""
    return _explore_once(tuple(_places(workdir, repos).items()), task_type, workdir)


def _places(workdir: Path, repos: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Return where each repository can be read now."""
    return {name: workdir / name if (workdir / name).exists() else Path(repo["path"]) for name, repo in repos.items()}


@cache
def _explore_once(paths: tuple[tuple[str, Path], ...], task_type: str, workdir: Path) -> dict[str, Any]:
    """Read the repositories once per run: the prompt checks a model name after every key."""
    return survey.explore(dict(paths), tasks.task(TEMPLATE, task_type)["reference"], workdir)


def _still_the_same(path: Path, recorded: Mapping[str, Any] | None) -> bool:
    """Tell whether the repository at `path` is the one that was put there earlier, whatever was committed since."""
    commit = recorded and recorded["commit"]
    return bool(commit) and path.exists() and git.succeeds("cat-file", "-e", f"{commit}^{{commit}}", cwd=path)


def explore_workspace(
    dst_path: Any, tao_version: str, tao_source: str, base_branch: str, findings: Mapping[str, Any]
) -> dict[str, Any]:
    """Find or fetch the TAO repositories, read what is in them, and show both.

    Returns:
        ``repos`` (where each repository comes from) and ``reference_model`` (TAO's own model for the task).
    """
    workdir = Path(str(dst_path)).absolute()
    recorded = records.repositories(workdir)
    resolved = {
        name: recorded[name] if _still_the_same(workdir / name, recorded.get(name)) else repo
        for name, repo in sources.resolve(workdir, tao_version, tao_source, base_branch).items()
    }
    _say(sources.describe(resolved))
    explored = _explored(workdir, resolved, findings["task_type"])
    _say(survey.render(explored))
    return {"repos": resolved, "reference_model": explored["reference"]["model"]}


def prove_backbones(
    dst_path: Any,
    findings: Mapping[str, Any],
    workspace: Mapping[str, Any],
    strategy: str,
    containers: Mapping[str, Any],
    keep_scratch: bool,
) -> dict[str, Any]:
    """Prove which strategy gives the model's numbers, show the figures, and return them with what they are made from.

    Raises:
        UserError: The strategy that the person chose does not give them, or none does.
    """
    workdir = Path(str(dst_path)).absolute()
    proofs = _prove_once(workdir, _Once(findings), _Once(workspace), strategy, containers["kind"], keep_scratch)
    chosen(proofs, strategy)
    return proofs


class _Once(dict):
    """An answer that `cache` takes as an argument: the same one for equal contents."""

    def __hash__(self) -> int:
        return hash(json.dumps(self, sort_keys=True))


@cache
def _prove_once(
    workdir: Path, findings: _Once, workspace: _Once, strategy: str, runtime_kind: str, keep_scratch: bool
) -> dict[str, Any]:
    """Prove once per run: Copier asks for the default of a question many times."""
    repos = _places(workdir, workspace["repos"])
    registered = _explored(workdir, workspace["repos"], findings["task_type"])["backbones"]["files"]
    about = tasks.task(TEMPLATE, findings["task_type"])
    proofs = proof.prove(findings, about, repos, sorted(registered), strategy, runtime_kind, keep_scratch)
    if workspace["repos"]["tao-pytorch"]["source"] == "embedded":
        proofs = {**proofs, "against": "no clone of tao-pytorch is in the working directory"}
    _say(proof.describe(proofs))
    return proofs


def suggest_name(dst_path: Any, findings: Mapping[str, Any], workspace: Mapping[str, Any]) -> str:
    """Return a name for the model that nothing in the repositories has yet."""
    workdir = Path(str(dst_path)).absolute()
    explored = _explored(workdir, workspace["repos"], findings["task_type"])
    others = [name for name in explored["own_models"] if _made_from_another(workdir, name, findings)]
    taken = {**explored, "own_models": [], "models": {**explored["models"], "the working directory": others}}
    own = set(explored["own_models"]) - set(others)
    return free_name(findings["suggested_name"], {**taken, "own_models": sorted(own)})


def _made_from_another(workdir: Path, model_name: str, findings: Mapping[str, Any]) -> bool:
    """Tell whether the model of this name in the working directory was made from another Hugging Face model."""
    if model_name not in records.models(workdir):
        return False
    return answers_of.load(workdir, model_name)["findings"]["hf_model_id"] != findings["hf_model_id"]


def default_branch(dst_path: Any, model_name: str) -> str:
    """Return the branch of an earlier model in the working directory, or one named after the model."""
    return branches.default_branch(Path(str(dst_path)).absolute(), model_name)


def _model_name_problem(
    model_name: str, workspace: Mapping[str, Any], findings: Mapping[str, Any], workdir: Path
) -> str | None:
    return model_name_problem(model_name, _explored(workdir, workspace["repos"], findings["task_type"]))


def problem_when_asked(question: str, conf: Mapping[str, Any], *given: Any) -> str:
    """Return what is wrong with an answer typed at the prompt, or an empty string.

    Answers given with ``--data`` or taken with ``--defaults`` are checked by `check_all` instead: Copier shows an
    invalid one of those as a traceback.
    """
    if conf["defaults"] or question in conf["data"]:
        return ""
    if question == "model_name":
        return _model_name_problem(*given, Path(str(conf["dst_path"])).absolute()) or ""
    if question == "image_size":
        return validators.image_size_problem(*given) or ""
    return validators.num_labels_problem(*given) or ""


def _task_problem(task_type: str, findings: Mapping[str, Any]) -> str | None:
    if task_type not in task_types():
        return f"task_type={one_line(task_type)} is not part of this version: choose {' or '.join(task_types())}."
    if task_type != findings["task_type"]:
        return f"task_type={task_type} does not fit the model, which is made for {findings['task_type']}."
    return None


def _path_problem(workdir: Path) -> str | None:
    if set(str(workdir)) & set(" \t\n'\"\\$`"):
        return f"TAO's commands cannot take blanks and quotes in paths: choose another folder than {workdir}."
    return None


def _disk_problem(workdir: Path) -> str | None:
    existing = next(path for path in (workdir, *workdir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < NEEDED_BYTES:
        return (
            f"{workdir} has {free // 1024} KiB of free disk space, and {NEEDED_BYTES // 1024**2} MiB are needed: "
            "make room or choose another folder."
        )
    return None


def check_all(updating: bool, conf: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Check all answers and the working directory before anything is written; an update has done so already.

    Returns:
        The name of the strategy that was settled on.

    Raises:
        UserError: For the first thing that is wrong.
    """
    if updating:
        return {"strategy": chosen(answers["proofs"], answers["strategy"])}
    workdir = Path(str(conf["dst_path"])).absolute()
    problem = (
        _model_name_problem(answers["model_name"], answers["workspace"], answers["findings"], workdir)
        or _task_problem(answers["task_type"], answers["findings"])
        or validators.image_size_problem(answers["image_size"], answers["findings"])
        or validators.num_labels_problem(answers["num_labels"], answers["findings"])
        or validators.backbone_problem(
            answers["strategy"], answers["image_size"], answers["findings"], answers["proofs"]
        )
        or _path_problem(workdir)
        or _disk_problem(workdir)
    )
    if problem:
        raise UserError(problem)
    if _made_from_another(workdir, answers["model_name"], answers["findings"]):
        raise UserError(
            f"{answers['model_name']} in {workdir} was made from another Hugging Face model: choose another "
            f"model_name, or remove it first (./tao-hf remove {answers['model_name']})."
        )
    generated = template_vars.generated_files(TEMPLATE, answers["task_type"], answers["model_name"])
    taken = sources.collisions(answers["workspace"]["repos"], generated)
    if taken and answers["model_name"] not in records.models(workdir):
        raise UserError(f"{taken[0]} is in the repository already: choose another model_name.")
    branches.check(workdir, answers["branch_name"], answers["base_branch"])
    ledger.Ledger(workdir).exists()
    if not conf["pretend"]:
        # Copier removes a destination it made itself when a task fails; what failed its tests must stay.
        workdir.mkdir(parents=True, exist_ok=True)
        lock.hold_model(workdir, answers["model_name"])
        staging.clear(workdir, answers["model_name"])
    return {"strategy": chosen(answers["proofs"], answers["strategy"])}


def recorded(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to write down, in the present form; a template in a folder is found from everywhere then."""
    source = Path(str(answers["_src_path"]))
    answers = earlier.brought_up(answers)
    return {**answers, "_src_path": str(source.absolute())} if source.is_dir() else answers


FUNCTIONS = (
    recorded, task_types, has_classes, welcome, begin_update, default_image, asks_for_image, asks_about_gpu,
    image_problem_when_asked, settle_runtime, inspect_model, explore_workspace, prove_backbones, suggest_name,
    default_branch, problem_when_asked, check_all,
)  # fmt: skip
