"""What a model is told in words: OneFormer hears with every image which task it is to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe.common import ProbeError, first_line

TOLD = ("oneformer",)
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")


def told(config: Any, folder: Path, task_type: str) -> dict[str, Any]:
    """Return the fields that a configuration needs for a model that is told something, else none.

    A generated model has one task, so that its words never change: they become ``task_tokens``, numbers as of the
    model's tokenizer, which the model wants filled up with 0 to ``task_seq_len``. OneFormer can learn from texts about
    each image too, which TAO's datasets do not have: ``is_training`` is off, as it is in published checkpoints.

    Args:
        config: transformers' configuration of the model.
        folder: where the files of the tokenizer are.
        task_type: the task.

    Raises:
        ProbeError: bad_config, the tokenizer cannot be read.
    """
    if config.model_type not in TOLD:
        return {}
    from transformers import AutoTokenizer

    words = f"the task is {task_type.partition('-')[0]}"
    try:
        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            raise FileNotFoundError("there is none")  # transformers makes one that knows no words
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokens = tokenizer(words, truncation=True, max_length=config.task_seq_len)["input_ids"]
    except Exception as error:
        raise ProbeError(
            "bad_config",
            f"The model is told in words what to do ({words}), and its tokenizer cannot be read ({first_line(error)}); "
            "save the tokenizer beside the model.",
        ) from error
    return {"task_tokens": tokens, "is_training": False}
