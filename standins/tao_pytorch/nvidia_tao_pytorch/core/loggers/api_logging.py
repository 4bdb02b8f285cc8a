# SPDX-License-Identifier: Apache-2.0

"""Writes status.json: one JSON object per line about how a job is going."""

import atexit
import json
import os
from datetime import datetime

import numpy as np
from pytorch_lightning.utilities import rank_zero_only


class Verbosity:
    """How important a line is; the numbers of Python's logging levels."""

    DISABLE = 0
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


class Status:
    """How a job is going."""

    SUCCESS = 0
    FAILURE = 1
    STARTED = 2
    RUNNING = 3
    SKIPPED = 4


log_level_to_name = {value: name for name, value in vars(Verbosity).items() if name.isupper()}
status_level_to_name = {value: name for name, value in vars(Status).items() if name.isupper()}


def _plain(value):
    """Return a NumPy value as JSON can take it.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


class BaseLogger:
    """A status logger that writes nowhere.

    Attributes:
        kpi, graphical, categorical (dict): When not empty, they are added to every line written.
    """

    def __init__(self, verbosity=Verbosity.INFO):
        """Set the least important lines to write."""
        self.verbosity = verbosity
        self.categorical = {}
        self.graphical = {}
        self.kpi = {}

    @property
    def date(self):
        """Today as month/day/year, without leading zeros."""
        now = datetime.now()
        return f"{now.month}/{now.day}/{now.year}"

    @property
    def time(self):
        """The time as hour:minute:second, without leading zeros."""
        now = datetime.now()
        return f"{now.hour}:{now.minute}:{now.second}"

    def format_data(self, data: dict):
        """Return `data` as one line of JSON."""
        return json.dumps(data, default=_plain)

    @rank_zero_only
    def log(self, level, string):
        """Write a line (nowhere, in the base class)."""

    @rank_zero_only
    def flush(self):
        """Make sure that lines have been written."""

    @rank_zero_only
    def write(self, data=None, status_level=Status.RUNNING, verbosity_level=Verbosity.INFO, message=None):
        """Write one line, on the first process only.

        Args:
            data (dict): What to tell; date, time, status and verbosity are added.
            status_level (int): A :class:`Status`.
            verbosity_level (int): A :class:`Verbosity`.
            message (str): Free text.
        """
        if self.verbosity <= Verbosity.DISABLE:
            return
        line = data or {}
        line["date"] = self.date
        line["time"] = self.time
        line["status"] = status_level_to_name.get(status_level, "RUNNING")
        line["verbosity"] = log_level_to_name.get(verbosity_level, "INFO")
        extras = {
            "message": message,
            "categorical": self.categorical,
            "graphical": self.graphical,
            "kpi": self.kpi,
        }
        line.update({key: value for key, value in extras.items() if value})
        text = self.format_data(line)
        _tell_service(text)
        self.log(verbosity_level, text)
        self.flush()


class StatusLogger(BaseLogger):
    """Writes lines to a file."""

    def __init__(self, filename=None, verbosity=Verbosity.INFO, append=True):
        """Open the file on the first process.

        Args:
            filename (str): Path of status.json, in a directory that exists.
            verbosity (int): The least important lines to write.
            append (bool): Whether to keep what the file holds.
        """
        super().__init__(verbosity=verbosity)
        self.log_path = os.path.realpath(filename)
        self._open("a" if append else "w")

    @rank_zero_only
    def _open(self, mode):
        self.l_file = open(self.log_path, mode, encoding="utf-8")  # until exit
        atexit.register(self.l_file.close)

    @rank_zero_only
    def log(self, level, string):
        """Write a line if it is important enough."""
        if level >= self.verbosity:
            self.l_file.write(string + "\n")

    @rank_zero_only
    def flush(self):
        """Make sure that lines have been written."""
        self.l_file.flush()

    @staticmethod
    def format_data(data):
        """Return `data` as one line of JSON.

        Raises:
            TypeError: When it is no dictionary.
        """
        if not isinstance(data, dict):
            raise TypeError(f"Data must be a dictionary and not type {type(data)}.")
        return json.dumps(data, default=_plain)


def _tell_service(text):
    """Pass a line on to TAO's job service if it started this job; importing that takes seconds otherwise."""
    if os.getenv("CLOUD_BASED") == "True" or os.getenv("EARLY_STOP_EPOCH"):
        from nvidia_tao_core.microservices.handlers.cloud_handlers.utils import (
            status_callback,
        )

        status_callback(text)


_STATUS_LOGGER = BaseLogger()


def set_status_logger(status_logger):
    """Make `status_logger` the one that :func:`get_status_logger` returns, and send log records there too."""
    global _STATUS_LOGGER  # noqa: PLW0603  one per process, as in TAO
    _STATUS_LOGGER = status_logger

    from nvidia_tao_pytorch.core.tlt_logging import enable_dual_logging  # cycle

    enable_dual_logging()


def get_status_logger():
    """Return the process's status logger."""
    return _STATUS_LOGGER
