# SPDX-License-Identifier: Apache-2.0

"""The version that the stand-in is like: all numbers, because tao-deploy parses it as such."""

import os

MAJOR = int(os.environ.get("TAO_HF_TENSORRT", "10"))
if MAJOR not in (10, 11):
    raise ImportError(f"TAO_HF_TENSORRT is {MAJOR}: the TensorRT stand-in is like 10 or like 11.")
__version__ = f"{MAJOR}.0.0.0"
