# SPDX-License-Identifier: Apache-2.0

"""Status reporting around a subtask."""

import os
from functools import wraps

from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, UnsupportedInterpolationType

from nvidia_tao_pytorch.core.loggers import api_logging as status_logging
from nvidia_tao_pytorch.core.utilities import update_results_dir

# In this order: some of OmegaConf's errors are ValueErrors too.
_EXPLANATIONS = (
    (
        (
            ConfigCompositionException,
            MissingConfigException,
            ConfigKeyError,
            MissingMandatoryValue,
            UnsupportedInterpolationType,
        ),
        "Configuration error",
    ),
    (NotImplementedError, "Feature not implemented"),
    ((ValueError, TypeError), "Parameter validation error"),
    (OSError, "File system error"),
)


def monitor_status(name="module name", mode="train"):
    """Decorate a subtask's runner so that status.json tells how it goes.

    Before the runner, the subtask's results directory is settled and made, and the configuration saved there
    as experiment.yaml. An interruption is noted and ends quietly; errors are noted and raised again.

    Args:
        name (str): The model's name for people.
        mode (str): The subtask; also the section of the configuration.
    """

    def inner(runner):
        @wraps(runner)
        def _func(cfg, **kwargs):
            cfg = update_results_dir(cfg, task=mode)
            results_dir = cfg["results_dir"]
            os.makedirs(results_dir, exist_ok=True)
            OmegaConf.save(cfg, os.path.join(results_dir, "experiment.yaml"))
            status_logging.set_status_logger(
                status_logging.StatusLogger(filename=os.path.join(results_dir, "status.json"), verbosity=1, append=True)
            )
            log = status_logging.get_status_logger()
            try:
                log.write(status_level=status_logging.Status.STARTED, message=f"Starting {name} {mode}.")
                runner(cfg, **kwargs)
                log.write(
                    status_level=status_logging.Status.RUNNING,
                    message=f"{mode.capitalize()} finished successfully.",
                )
            except (KeyboardInterrupt, SystemError):
                log.write(
                    status_level=status_logging.Status.FAILURE,
                    message=f"User/System interruption: {mode.capitalize()} was interrupted",
                )
            except Exception as error:
                for kinds, explanation in _EXPLANATIONS:
                    if isinstance(error, kinds):
                        log.write(status_level=status_logging.Status.FAILURE, message=f"{explanation}: {error}")
                        break
                raise

        return _func

    return inner
