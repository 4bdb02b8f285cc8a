"""Which task a model is for, whether TAO takes it, and which transformers class builds it."""

from __future__ import annotations

import re
from typing import Any

from tao_hf.in_runtime import task_code
from tao_hf.in_runtime.probe.common import ProbeError, clean

# Hub pipeline tag -> stems of transformers' MODEL_FOR_<stem>_MAPPING_NAMES whose classes serve it.
ACCEPTED = {
    "image-classification": ("IMAGE_CLASSIFICATION",),
    "object-detection": ("OBJECT_DETECTION",),
    "instance-segmentation": ("INSTANCE_SEGMENTATION", "UNIVERSAL_SEGMENTATION"),
    "panoptic-segmentation": ("UNIVERSAL_SEGMENTATION",),
    "image-segmentation": (
        "SEMANTIC_SEGMENTATION",
        "UNIVERSAL_SEGMENTATION",
        "IMAGE_SEGMENTATION",
        "INSTANCE_SEGMENTATION",
    ),
    "depth-estimation": ("DEPTH_ESTIMATION",),
    "keypoint-detection": ("KEYPOINT_DETECTION", "POSE_ESTIMATION"),
    "zero-shot-object-detection": ("ZERO_SHOT_OBJECT_DETECTION",),
    "zero-shot-image-classification": ("ZERO_SHOT_IMAGE_CLASSIFICATION",),
}
# For a directory without a tag: in which order a class name is looked up.
_LOOKUP = (
    ("IMAGE_CLASSIFICATION", "image-classification"),
    ("ZERO_SHOT_OBJECT_DETECTION", "zero-shot-object-detection"),
    ("OBJECT_DETECTION", "object-detection"),
    ("SEMANTIC_SEGMENTATION", "image-segmentation"),
    ("UNIVERSAL_SEGMENTATION", "image-segmentation"),
    ("INSTANCE_SEGMENTATION", "instance-segmentation"),
    ("IMAGE_SEGMENTATION", "image-segmentation"),
    ("DEPTH_ESTIMATION", "depth-estimation"),
    ("KEYPOINT_DETECTION", "keypoint-detection"),
    ("POSE_ESTIMATION", "keypoint-detection"),
    ("ZERO_SHOT_IMAGE_CLASSIFICATION", "zero-shot-image-classification"),
)
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


def check_tag(tag: str | None) -> None:
    """Refuse a pipeline tag that TAO has no computer-vision task for; None passes (it is found out later).

    Raises:
        ProbeError: kind rejected_task, naming the family of the tag.
    """
    if tag is None or tag in ACCEPTED:
        return
    if tag == "image-feature-extraction":
        family = "a backbone without a task head"
    else:
        family = next((words for pattern, words in _FAMILIES if re.search(pattern, tag)), "for something else")
    raise _rejected(f"its task, {clean(tag, 60)}, says it is {family}")


def tag_of(config: dict[str, Any]) -> str:
    """Return the pipeline tag of a model that has none, from its `architectures`.

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
    for stem, tag in _LOOKUP:
        if wanted in names.get(stem, _Names({})).values_flat:
            return tag
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


def model_class(tag: str, config: dict[str, Any]) -> Any:
    """Return the transformers class that builds this model for the task; never one from remote code.

    Raises:
        ProbeError: rejected_task, when the architecture has no class for the task.
    """
    import transformers

    architectures = architectures_of(config)
    names = _names()
    choices: list[str] = []
    for stem in ACCEPTED[tag]:
        choices += names.get(stem, _Names({})).get(str(config.get("model_type")))
    chosen = next((name for name in architectures if name in choices), choices[0] if choices else None)
    if chosen is None:
        raise _rejected(f"transformers has no {tag} class for {clean(config.get('model_type'), 60)}")
    return getattr(transformers, chosen)


def check_class(tag: str, cls: Any) -> None:
    """Refuse a class that transformers maps to a task that it does not serve.

    Raises:
        ProbeError: kind rejected_task.
    """
    room = task_code.load(tag, "outputs")
    why = room and room.refuse(cls)
    if why:
        raise _rejected(why)


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
    return ProbeError("rejected_task", f"This model cannot become a TAO model: {why}; TAO takes {', '.join(ACCEPTED)}.")


def _remote_code(config: dict[str, Any]) -> ProbeError:
    return ProbeError(
        "remote_code",
        f"This architecture ({clean(config.get('model_type') or 'unnamed', 60)}) exists only as code inside "
        "the model's repository (auto_map), which is never run; choose a model that transformers itself has.",
    )


def _version() -> str:
    import transformers

    return transformers.__version__
