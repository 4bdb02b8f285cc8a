# SPDX-License-Identifier: Apache-2.0

"""TensorRT's loggers, and the note that every user of this stand-in gets to see."""

import enum
import sys

_LETTERS = "FEWIV"


class ILogger:
    """Base class for loggers of one's own: override :meth:`log`."""

    class Severity(enum.IntEnum):
        """How grave a message is; smaller is graver."""

        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity, msg):
        """Take a message.

        Raises:
            NotImplementedError: Always, in the base class.
        """
        raise NotImplementedError("A logger must implement log(severity, msg).")


class Logger(ILogger):
    """Prints messages at least as grave as `min_severity` to standard error."""

    INTERNAL_ERROR = ILogger.Severity.INTERNAL_ERROR
    ERROR = ILogger.Severity.ERROR
    WARNING = ILogger.Severity.WARNING
    INFO = ILogger.Severity.INFO
    VERBOSE = ILogger.Severity.VERBOSE

    def __init__(self, min_severity=ILogger.Severity.WARNING):
        """Set what to print."""
        self.min_severity = min_severity

    def log(self, severity, msg):
        """Print `msg` if it is grave enough."""
        if severity <= self.min_severity:
            sys.stderr.write(f"[TensorRT stand-in] [{_LETTERS[severity]}] {msg}\n")
            sys.stderr.flush()


def init_libnvinfer_plugins(logger, namespace):
    """Return True: there are no plug-ins to load."""
    return True
