# SPDX-License-Identifier: Apache-2.0

"""The logger of the toolkit; import it as ``logging``."""

import logging as _logging
import os
from random import randint

from omegaconf import OmegaConf

LOG_LEVEL_MAPPING = {
    "DEBUG": _logging.DEBUG,
    "INFO": _logging.INFO,
    "WARNING": _logging.WARNING,
    "WARN": _logging.WARNING,
    "ERROR": _logging.ERROR,
    "CRITICAL": _logging.CRITICAL,
    "FATAL": _logging.CRITICAL,
}


def get_logging_level():
    """Return the level that TAO_LOGGING_LEVEL names; INFO when it names none."""
    return LOG_LEVEL_MAPPING.get(os.getenv("TAO_LOGGING_LEVEL", "INFO").upper(), _logging.INFO)


class StatusLoggerHandler(_logging.Handler):
    """Writes log records into status.json, through whichever status logger is set."""

    def emit(self, record):
        """Write one record."""
        from nvidia_tao_pytorch.core.loggers import api_logging  # cycle

        failed = record.levelno >= _logging.ERROR
        try:
            api_logging.get_status_logger().write(
                data={},
                status_level=api_logging.Status.FAILURE if failed else api_logging.Status.RUNNING,
                verbosity_level=record.levelno,
                message=self.format(record),
            )
        except Exception:  # logging must never end a training run
            self.handleError(record)


def enable_dual_logging():
    """Also write log records to the status logger from now on; calling it again changes nothing."""
    if not any(isinstance(handler, StatusLoggerHandler) for handler in logger.handlers):
        handler = StatusLoggerHandler()
        handler.setLevel(get_logging_level())
        logger.addHandler(handler)


def obfuscate_logs(cfg):
    """Log the experiment's configuration with its encryption key replaced by stars.

    Args:
        cfg (DictConfig): The configuration; it is not changed.
    """
    config = OmegaConf.to_container(cfg)
    if "encryption_key" in config:
        config["encryption_key"] = "*" * randint(3, 10)  # noqa: S311  not even its length is told
    logging.info(f"Experiment configuration:\n{OmegaConf.to_yaml(config)}")


def _make_logger():
    """Return the toolkit's logger with a handler that writes to standard error."""
    made = _logging.getLogger("TAO Toolkit")
    made.setLevel(get_logging_level())
    handler = _logging.StreamHandler()
    handler.setLevel(get_logging_level())
    handler.setFormatter(
        _logging.Formatter("%(asctime)s - [%(name)s] - %(levelname)s - %(message)s (%(filename)s:%(lineno)d)")
    )
    made.addHandler(handler)
    return made


logger = _make_logger()
logging = logger
