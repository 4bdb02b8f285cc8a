"""Which task a model is for, whether TAO takes it, and which transformers class builds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime import task_code
from tao_hf.in_runtime.probe.common import ProbeError, clean
from tao_hf.rendering import tasks

_FAMILIES = (
    (r"audio|speech|voice|sound", "an audio model"),
    (
        r"image-text|image-to-text|video-text|visual-question|document-question|any-to-any|multimodal|visual-document",
        "a multimodal language model",
    ),
    (r"text-to-(image|video|3d)|image-to-(image|video|3d)|unconditional|inpaint", "an image generator"),
    (r"text-generation|conversational", "a language model"),
    (r"video", "a video model"),
    (r"tabular|time-series|reinforcement|robotics|graph", "not for images"),
    (
        r"text|token|question|summar|translat|fill-mask|sentence|feature-extraction$|table|zero-shot-classification",
        "a natural language (NLP) model",
    ),
)
_STEM_FAMILIES = (
    (r"AUDIO|SPEECH|CTC|RNNT|TDT|SPECTROGRAM|WAVEFORM", "an audio model"),
    (r"VISUAL_QUESTION|DOCUMENT_QUESTION|IMAGE_TEXT|MULTIMODAL|VISION_2_SEQ", "a multimodal language model"),
    (r"CAUSAL_LM|SEQ_TO_SEQ", "a language model"),
    (r"VIDEO", "a video model"),
    (
        r"SEQUENCE|TOKEN|QUESTION|MASKED_LM|MULTIPLE_CHOICE|NEXT_SENTENCE|TEXT_ENCODING",
        "a natural language (NLP) model",
    ),
    (r"TIME_SERIES|DECISION", "not for images"),
)


@dataclass(frozen=True)
class Kind:
    """A vision task.

    Attributes:
        name: its task type; of a task that this template does not have, its tag on the Hub.
        tags: what the Hub calls it.
        mappings: stems of transformers' MODEL_FOR_<stem>_MAPPING_NAMES whose classes serve it.
    """

    name: str
    tags: tuple[str, ...]
    mappings: tuple[str, ...]


def kinds() -> list[Kind]:
    """Return the vision tasks there are: first those that this template has."""
    found = []
    for name in tasks.task_types(TEMPLATE):
        about = tasks.task(TEMPLATE, name)
        found.append(Kind(name, tuple(about["hub_tags"]), tuple(about["auto_models"])))
    return found + [Kind(tag, (tag,), tuple(names)) for tag, names in tasks.other_tasks(TEMPLATE).items()]


def check_tag(tag: str | None) -> None:
    """Refuse a pipeline tag that TAO has no computer-vision task for; None passes (it is found out later).

    Raises:
        ProbeError: kind rejected_task, naming the family of the tag.
    """
    if tag is None or any(tag in kind.tags for kind in kinds()):
        return
    if tag == "image-feature-extraction":
        family = "a backbone without a task head"
    else:
        family = next((words for pattern, words in _FAMILIES if re.search(pattern, tag)), "for something else")
    raise _rejected(f"its task, {clean(tag, 60)}, says it is {family}")


def find(tag: str | None, config: dict[str, Any]) -> dict[str, Any]:
    """Return the tasks that a model can be for, the likeliest first, with the transformers class that builds it.

    One tag may mean several tasks, and one class may serve them: which of them a model was trained for, its
    configuration does not tell, but its name often does. No class is ever one from remote code.

    Args:
        tag: the pipeline tag; None where there is none, and `architectures` tells the task.
        config: config.json.

    Returns:
        {task: class}, with at least one entry: a task of this template, else one that is only known by name.

    Raises:
        ProbeError: rejected_task or bad_config.
    """
    check_tag(tag)
    candidates = [kind for kind in kinds() if tag in kind.tags] if tag else _by_architecture(config)
    found, known, refusal = {}, {}, None
    for kind in candidates:
        cls = _class(kind, config)
        outputs = task_code.load(kind.name, "outputs")
        why = outputs.refuse(cls, config) if outputs and cls else None
        refusal = refusal or why
        if cls and not why:
            (found if outputs else known)[kind.name] = cls
    if not found and (refusal or not known):  # a task that is only known by name hides no reason
        raise _rejected(
            refusal or f"transformers has no {candidates[0].name} class for {clean(config.get('model_type'), 60)}"
        )
    return found or known


def choose(found: dict[str, Any], wanted: str | None, names: list[str]) -> str:
    """Return which of a model's tasks it is to be for.

    Args:
        found: the tasks, from `find`.
        wanted: the task that the person asked for; None leaves it to the model.
        names: what the model is called: the first word of a task in it, such as "instance", tells the task.

    Raises:
        ProbeError: rejected_task, the model is not for the task that is wanted.
    """
    if wanted is None:
        words = {word for name in names for word in re.split(r"[^a-z]+", name.lower())}
        return next((task for task in found if task.partition("-")[0] in words), next(iter(found)))
    if wanted not in found:
        raise ProbeError(
            "rejected_task",
            f"task_type={clean(wanted, 60)} does not fit the model, which is made for {' or '.join(found)}.",
        )
    return wanted


def _by_architecture(config: dict[str, Any]) -> list[Kind]:
    """Return the tasks of a model that has no tag, from its `architectures`; there is at least one.

    Raises:
        ProbeError: rejected_task or bad_config.
    """
    names = _names()
    architectures = architectures_of(config)
    if not architectures:
        raise ProbeError(
            "bad_config",
            "config.json names no architectures, so the task cannot be told; save the whole model with "
            "save_pretrained.",
        )
    wanted = architectures[0]
    found = [
        kind for kind in kinds() if any(stem in names and wanted in names[stem].values_flat for stem in kind.mappings)
    ]
    if found:
        return found
    for stem, known in names.items():
        if wanted in known.values_flat:
            family = next((words for pattern, words in _STEM_FAMILIES if re.search(pattern, stem)), None)
            if family:
                raise _rejected(f"{clean(wanted, 80)} is {family}")
    if any(wanted in known.values_flat for known in names.values()):
        raise _rejected(f"{clean(wanted, 80)} has no head for one of TAO's tasks")
    if "auto_map" in config:
        raise _remote_code(config)
    raise ProbeError(
        "bad_config",
        f"transformers {_version()} does not know the architecture {clean(wanted, 80)}; use a model that it knows.",
    )


def _class(kind: Kind, config: dict[str, Any]) -> Any:
    """Return the transformers class that builds a model for a task, None where its architecture has none."""
    import transformers

    names = _names()
    choices = [
        name for stem in kind.mappings if stem in names for name in names[stem].get(str(config.get("model_type")))
    ]
    chosen = next((name for name in architectures_of(config) if name in choices), choices[0] if choices else None)
    return chosen and getattr(transformers, chosen)


def check_native(config: dict[str, Any]) -> None:
    """Refuse a model that only code from its repository could build, or that transformers does not know.

    Raises:
        ProbeError: remote_code or bad_config.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    model_type = config.get("model_type")
    if model_type in CONFIG_MAPPING_NAMES or (model_type is None and "pretrained_cfg" in config):
        return
    if "auto_map" in config:
        raise _remote_code(config)
    if not model_type:
        raise ProbeError("bad_config", "config.json has no model_type, so transformers cannot tell what it is.")
    raise ProbeError(
        "bad_config",
        f"transformers {_version()} does not know the model_type {clean(model_type, 60)}; use a model that it knows.",
    )


def architectures_of(config: dict[str, Any]) -> list[str]:
    """Return `architectures` as a list of strings, whatever the file holds."""
    value = config.get("architectures")
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class _Names:
    """One of transformers' {model_type: class name or names} tables."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = {key: list(value) if isinstance(value, (tuple, list)) else [value] for key, value in table.items()}
        self.values_flat = {name for value in self.table.values() for name in value}

    def get(self, model_type: str) -> list[str]:
        return self.table.get(model_type, [])


def _names() -> dict[str, _Names]:
    """Return transformers' tables by stem, e.g. "IMAGE_CLASSIFICATION"."""
    from transformers.models.auto import modeling_auto

    found = {}
    for attribute in dir(modeling_auto):
        match = re.fullmatch(r"MODEL_(?:FOR_(.+)_|)MAPPING_NAMES", attribute)
        if match:
            found[match[1] or "BASE"] = _Names(getattr(modeling_auto, attribute))
    return found


def _rejected(why: str) -> ProbeError:
    names = ", ".join(kind.name for kind in kinds())
    return ProbeError("rejected_task", f"This model cannot become a TAO model: {why}; TAO takes {names}.")


def _remote_code(config: dict[str, Any]) -> ProbeError:
    return ProbeError(
        "remote_code",
        f"This architecture ({clean(config.get('model_type') or 'unnamed', 60)}) exists only as code inside "
        "the model's repository (auto_map), which is never run; choose a model that transformers itself has.",
    )


def _version() -> str:
    import transformers

    return transformers.__version__
