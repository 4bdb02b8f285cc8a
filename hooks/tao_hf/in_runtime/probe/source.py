"""Get a model's small files: from the Hub without its weights, or from a directory made by save_pretrained."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe import checkpoint
from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line, parse_json
from tao_hf.in_runtime.probe.task_words import TOKENIZER, TOLD

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"


@dataclass
class Source:
    """A model as far as it can be known without its weights.

    Attributes:
        folder: a directory that holds config.json, the preprocessor config and a tokenizer, if any, and nothing secret.
        config: config.json.
        preprocessor: the image processor's dict, None when the model has none.
        format: "safetensors", "pytorch" or "none".
        tensors: {name: {"shape", "dtype"}}; empty unless safetensors.
        size: [height, width] in pixels where the preprocessing is timm's, None otherwise.
    """

    folder: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any] | None
    format: str
    tensors: checkpoint.Tensors
    revision: str | None = None
    pipeline_tag: str | None = None
    library: str | None = None
    notes: list[str] = field(default_factory=list)
    size: list[int] | None = None


def from_directory(folder: Path) -> Source:
    """Read a directory made by save_pretrained.

    Raises:
        ProbeError: unknown_id, bad_config or bad_checkpoint.
    """
    if not folder.is_dir():
        raise ProbeError("unknown_id", f"There is no directory {folder}.")
    if not (folder / CONFIG).is_file():
        raise ProbeError(
            "bad_config", f"{folder} has no config.json; give a directory made by save_pretrained, or a Hub id."
        )
    try:
        config = parse_json((folder / CONFIG).read_bytes(), CONFIG)
        preprocessor = _preprocessor(folder)
        kind, tensors = checkpoint.local_tensors(folder)
    except OSError as error:
        raise ProbeError("bad_config", f"{folder} cannot be read: {error.strerror}.") from error
    return Source(folder, config, preprocessor, kind, tensors)


def from_hub(model: str, revision: str | None, folder: Path, accept: Any) -> Source:
    """Fetch the model's card facts, config, preprocessor config and safetensors headers into `folder`.

    Args:
        model: the repository, "org/name" or "name".
        revision: branch, tag or commit; None for the default branch.
        folder: an empty directory for the small files.
        accept: called with the pipeline tag before anything is downloaded; raises to stop.

    Raises:
        ProbeError: unknown_id, gated, no_network, bad_config or bad_checkpoint.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=os.environ.get("HF_TOKEN") or None)
    with _hub_errors(model, revision):
        info = api.model_info(model, revision=revision, timeout=20)
        accept(info.pipeline_tag)
        files = {item.rfilename for item in info.siblings or []}
        if CONFIG not in files:
            raise ProbeError("bad_config", f"{model} has no config.json, so transformers cannot build it.")
        api.hf_hub_download(model, CONFIG, revision=info.sha, local_dir=folder)
        config = parse_json((folder / CONFIG).read_bytes(), CONFIG)
        told = TOKENIZER if config.get("model_type") in TOLD else ()
        for name in (PREPROCESSOR, PROCESSOR, *told):
            if name in files:
                api.hf_hub_download(model, name, revision=info.sha, local_dir=folder)
        kind, tensors = _hub_checkpoint(api, model, info.sha, files)
    return Source(
        folder,
        config,
        _preprocessor(folder),
        kind,
        tensors,
        revision=info.sha,
        pipeline_tag=info.pipeline_tag,
        library=info.library_name,
    )


def _hub_checkpoint(api: Any, model: str, revision: str, files: set[str]) -> tuple[str, checkpoint.Tensors]:
    if checkpoint.SINGLE in files:
        header = api.parse_safetensors_file_metadata(model, checkpoint.SINGLE, revision=revision)
        return "safetensors", checkpoint.hub_tensors({checkpoint.SINGLE: header})
    if checkpoint.INDEX in files:
        return "safetensors", checkpoint.hub_tensors(
            api.get_safetensors_metadata(model, revision=revision).files_metadata
        )
    return ("pytorch" if files & set(checkpoint.PICKLES) else "none"), {}


def _preprocessor(folder: Path) -> dict[str, Any] | None:
    """Return the image processor's dict; newer models nest it in processor_config.json."""
    if (folder / PREPROCESSOR).is_file():
        return parse_json((folder / PREPROCESSOR).read_bytes(), PREPROCESSOR)
    if (folder / PROCESSOR).is_file():
        nested = parse_json((folder / PROCESSOR).read_bytes(), PROCESSOR).get("image_processor")
        return nested if isinstance(nested, dict) else None
    return None


class _hub_errors:  # noqa: N801 - reads as a statement at its only use
    """Turn what the Hub client raises into a ProbeError that says what to do."""

    def __init__(self, model: str, revision: str | None) -> None:
        self.model = model
        self.at = f"{model} at revision {revision}" if revision else model

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> bool:
        if error is None or isinstance(error, ProbeError) or not isinstance(error, Exception):
            return False
        raise self._explain(error) from error

    def _explain(self, error: Exception) -> ProbeError:
        from huggingface_hub import errors

        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        token = "your HF_TOKEN has no access" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, errors.GatedRepoError):
            return ProbeError(
                "gated",
                f"{self.model} is gated and {token}; accept its licence at {endpoint}/{self.model} and set HF_TOKEN.",
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return ProbeError("unknown_id", f"There is no {clean(self.at)} on the Hub; check the revision.")
        if isinstance(error, errors.RepositoryNotFoundError):
            return ProbeError(
                "unknown_id",
                f"There is no model {self.model} at {endpoint} that you may see ({token}); check the spelling, or set "
                "HF_TOKEN when the model is private.",
            )
        if isinstance(error, errors.HFValidationError):
            return ProbeError("unknown_id", f"{self.model!r} is not a Hub id: {first_line(error)}")
        if isinstance(error, errors.SafetensorsParsingError):
            return ProbeError(
                "bad_checkpoint", f"The safetensors header of {self.model} is broken: {first_line(error)}"
            )
        if status in (401, 403):
            return ProbeError("gated", f"The Hub refuses {self.model} ({status}) and {token}; set a valid HF_TOKEN.")
        if isinstance(error, errors.EntryNotFoundError) and status == 404:
            return ProbeError("bad_config", f"{self.model} lacks a file that it lists: {first_line(error)}")
        if isinstance(error, (errors.HfHubHTTPError,)) and status:
            return ProbeError("no_network", f"The Hub at {endpoint} answered {status}; try again later.")
        if isinstance(error, OSError) and error.errno == 28:
            return ProbeError("bad_config", "There is no space left on the disk for the model's configuration.")
        if isinstance(error, (OSError, errors.OfflineModeIsEnabled)) or "onnect" in type(error).__name__:
            return ProbeError(
                "no_network",
                f"The Hub at {endpoint} cannot be reached ({first_line(error, 80)}); connect, set HF_ENDPOINT to a "
                "mirror, or give a local directory.",
            )
        return ProbeError("bad_config", f"The Hub's answer about {self.model} is not usable: {first_line(error)}")
