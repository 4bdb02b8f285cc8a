# SPDX-License-Identifier: Apache-2.0

"""Runs a main function with the experiment spec named on the command line."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.types import TaskFunction
from omegaconf import DictConfig

# No .hydra folder, no log file, no change of directory: TAO's own results_dir says where things go.
_QUIET = ("hydra.output_subdir=null", "hydra/job_logging=stdout", "hydra.run.dir=.")


def hydra_runner(
    config_path: str | None = ".", config_name: str | None = None, schema: Any | None = None
) -> Callable[[TaskFunction], Any]:
    """Decorate a main function so that it gets the spec file merged over its schema.

    Args:
        config_path: Directory of the default spec; ``--config-path`` overrides it.
        config_name: Name of the default spec; ``--config-name`` overrides it.
        schema: Dataclass that gives defaults and against which the spec is checked.

    Returns:
        A decorator. The decorated function takes no argument, or a ready configuration to pass on.
    """

    def decorator(task_function: TaskFunction) -> Callable[[], None]:
        @functools.wraps(task_function)
        def wrapper(cfg_passthrough: DictConfig | None = None) -> Any:
            if cfg_passthrough is not None:
                return task_function(cfg_passthrough)
            if schema is not None:
                _store(schema, get_args_parser().parse_args().config_name, config_name)
            run = hydra.main(config_path=config_path, config_name=config_name, version_base="1.1")(task_function)
            arguments = sys.argv
            sys.argv = [*arguments, *_QUIET]
            try:
                return run()
            finally:
                sys.argv = arguments

        return wrapper

    return decorator


def _store(schema, given_name, default_name):
    """Register `schema` under the spec's name, by which Hydra matches the two; exit when that is a path."""
    if given_name is not None and os.path.dirname(given_name):
        sys.stderr.write(
            f"ERROR: --config-name takes a file name, got the path {given_name}. "
            "Give its directory with --config-path.\n"
        )
        sys.exit(1)
    ConfigStore.instance().store(name=given_name or default_name, node=schema)
