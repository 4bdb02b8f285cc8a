"""Write the spec files of one test run: the model's own specs with the run's settings. Runs inside the runtime.

    python -m tao_hf.in_runtime.tools.specs JOB.json

TAO's launcher joins command-line settings with blanks and splits them again, so a value with a blank or a bracket would
not survive; in a YAML file it does. JOB.json holds {"model", "settings": ["key=value", …] (the person's, applied last),
"specs": [{"base": path, "out": path, "values": {"dotted.key": value}}]}. A setting that the model's schema does
not have, or a value of the wrong type, ends with 1 and one sentence.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


def parse_settings(settings: list[str], schema: DictConfig) -> DictConfig:
    """Return key=value settings as a config, values read as YAML.

    Raises:
        ValueError: the schema has no such key, or the value is of the wrong type.
    """
    for setting in settings:
        try:
            OmegaConf.merge(schema, OmegaConf.from_dotlist([setting]))
        except (OmegaConfBaseException, ValueError) as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"the setting {setting} does not fit the model's schema: {first}") from error
    return OmegaConf.from_dotlist(settings)


def merged(base: Path, values: dict[str, object], settings: DictConfig) -> DictConfig:
    """Return the spec at `base` with `values` (dotted keys) and then `settings` laid over it."""
    spec = OmegaConf.load(base)
    for key, value in values.items():
        OmegaConf.update(spec, key, value, merge=False, force_add=True)
    return OmegaConf.merge(spec, settings)


def main() -> int:
    """Write every spec of the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    schema = importlib.import_module(f"nvidia_tao_core.config.{job['model']}.default_config").ExperimentConfig
    try:
        settings = parse_settings(job["settings"], OmegaConf.structured(schema))
    except ValueError as error:
        print(error)
        return 1
    for spec in job["specs"]:
        out = Path(spec["out"])
        out.parent.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(merged(Path(spec["base"]), spec["values"], settings), out)
        print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
