# SPDX-License-Identifier: Apache-2.0

"""TensorRT's INT8 calibrators: base classes whose methods the user overrides."""

from tensorrt._enums import CalibrationAlgoType


class IInt8Calibrator:
    """Supplies batches for calibration and keeps its result in a cache."""

    algorithm = CalibrationAlgoType.ENTROPY_CALIBRATION_2

    def __init__(self):
        """Nothing to set up."""

    def get_batch_size(self):
        """Return the number of images per batch.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError("A calibrator must implement get_batch_size().")

    def get_batch(self, names):
        """Return one device address per input of `names`, or None after the last batch.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError("A calibrator must implement get_batch(names).")

    def read_calibration_cache(self):
        """Return the bytes of an earlier calibration, or None."""
        return None

    def write_calibration_cache(self, cache):
        """Take the bytes of this calibration."""

    def get_algorithm(self):
        """Return the :class:`CalibrationAlgoType`."""
        return self.algorithm


class IInt8EntropyCalibrator2(IInt8Calibrator):
    """Calibrates by entropy; what TAO uses."""


class IInt8EntropyCalibrator(IInt8Calibrator):
    """Calibrates by entropy, older variant."""

    algorithm = CalibrationAlgoType.ENTROPY_CALIBRATION


class IInt8MinMaxCalibrator(IInt8Calibrator):
    """Calibrates by the largest magnitude seen."""

    algorithm = CalibrationAlgoType.MINMAX_CALIBRATION


class IInt8LegacyCalibrator(IInt8Calibrator):
    """Calibrates by a percentile."""

    algorithm = CalibrationAlgoType.LEGACY_CALIBRATION
