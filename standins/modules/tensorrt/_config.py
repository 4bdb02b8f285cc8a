# SPDX-License-Identifier: Apache-2.0

"""What to build: flags, memory limits, optimization profiles and the timing cache."""

from tensorrt._enums import ProfilingVerbosity
from tensorrt._memory import IHostMemory
from tensorrt._version import MAJOR


class IOptimizationProfile:
    """The smallest, usual and largest shape of each input."""

    def __init__(self):
        """Begin with no input."""
        self._shapes = {}
        self.extra_memory_target = 1.0

    def set_shape(self, input, min, opt, max):
        """Set the three shapes of one input.

        Args:
            input (str): The input's name.
            min (tuple): The smallest shape.
            opt (tuple): The usual shape, of equal length, nowhere smaller.
            max (tuple): The largest shape, of equal length, nowhere smaller.

        Raises:
            ValueError: When they are not.
        """
        low, usual, high = (tuple(int(extent) for extent in shape) for shape in (min, opt, max))
        fits = len(low) == len(usual) == len(high) and all(
            0 < a <= b <= c for a, b, c in zip(low, usual, high, strict=True)
        )
        if not fits:
            raise ValueError(f"Profile of '{input}' needs 0 < min <= opt <= max, got {low}, {usual}, {high}.")
        self._shapes[input] = (low, usual, high)

    def get_shape(self, input):
        """Return [min, opt, max] of one input; an empty list when none was set."""
        return list(self._shapes.get(input, ()))

    set_shape_input = set_shape
    get_shape_input = get_shape


class ITimingCache:
    """A timing cache without timings: ONNX Runtime chooses its kernels itself."""

    def __init__(self, serialized=b""):
        """Keep what was read."""
        self._bytes = bytes(serialized)

    def serialize(self):
        """Return the cache as bytes."""
        return IHostMemory(self._bytes)

    def combine(self, input_cache, ignore_mismatch):
        """Take over another cache and return True."""
        self._bytes = self._bytes or bytes(input_cache.serialize())
        return True

    def reset(self):
        """Empty the cache and return True."""
        self._bytes = b""
        return True


class _TypedConfig:
    """Settings of one build whose precisions stand in the network."""

    def __init__(self):
        """Begin with TensorRT's defaults: no flag, no profile."""
        self.flags = 0
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.builder_optimization_level = 3
        self._pools = {}
        self._profiles = []
        self._timing_cache = None
        self._previews = {}

    def set_flag(self, flag):
        """Set a :class:`BuilderFlag`."""
        self.flags |= 1 << int(flag)

    def clear_flag(self, flag):
        """Clear a :class:`BuilderFlag`."""
        self.flags &= ~(1 << int(flag))

    def get_flag(self, flag):
        """Return whether a :class:`BuilderFlag` is set."""
        return bool(self.flags >> int(flag) & 1)

    def set_memory_pool_limit(self, pool, pool_size):
        """Remember a limit in bytes (ONNX Runtime manages memory itself)."""
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool):
        """Return a pool's limit in bytes, 0 when none was set."""
        return self._pools.get(pool, 0)

    def add_optimization_profile(self, profile):
        """Add a profile and return its index."""
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self):
        """How many profiles were added."""
        return len(self._profiles)

    def create_timing_cache(self, serialized_timing_cache):
        """Return an :class:`ITimingCache` from bytes."""
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        """Use a timing cache and return True."""
        self._timing_cache = cache
        return True

    def get_timing_cache(self):
        """Return the timing cache in use, or None."""
        return self._timing_cache

    def set_preview_feature(self, feature, enable):
        """Remember a :class:`PreviewFeature`."""
        self._previews[feature] = bool(enable)

    def get_preview_feature(self, feature):
        """Return whether a :class:`PreviewFeature` is on."""
        return self._previews.get(feature, False)

    def set_tactic_sources(self, tactic_sources):
        """Ignore the choice of kernel libraries and return True."""
        return True

    def get_tactic_sources(self):
        """Return 0: no kernel library of CUDA's."""
        return 0


class _CalibratedConfig(_TypedConfig):
    """Settings of one build whose precisions are asked for by flags and calibrators."""

    def __init__(self):
        """Begin with TensorRT's defaults: no calibrator."""
        super().__init__()
        self.quantization_flags = 0
        self.int8_calibrator = None
        self._calibration_profile = None

    def set_quantization_flag(self, flag):
        """Set a :class:`QuantizationFlag`."""
        self.quantization_flags |= 1 << int(flag)

    def clear_quantization_flag(self, flag):
        """Clear a :class:`QuantizationFlag`."""
        self.quantization_flags &= ~(1 << int(flag))

    def get_quantization_flag(self, flag):
        """Return whether a :class:`QuantizationFlag` is set."""
        return bool(self.quantization_flags >> int(flag) & 1)

    def set_calibration_profile(self, profile):
        """Set the profile to calibrate in and return True."""
        self._calibration_profile = profile
        return True

    def get_calibration_profile(self):
        """Return the profile to calibrate in, or None."""
        return self._calibration_profile


IBuilderConfig = _CalibratedConfig if MAJOR < 11 else _TypedConfig
