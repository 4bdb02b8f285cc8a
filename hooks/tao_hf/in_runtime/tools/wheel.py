"""Build the wheel of a clone into its dist folder. Runs inside the runtime.

    python -m tao_hf.in_runtime.tools.wheel CLONE --json OUT

Everything else that setuptools writes goes to a temporary folder: a `build` folder in the clone is neither made nor
read (files that were deleted since would come back from it). OUT gets {"wheel": file name, "reason": ""}. A setup.py
that compiles CUDA code needs nvcc; where there is none, no wheel is built, "wheel" is null, and "reason" says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NO_COMPILER = "its setup.py compiles CUDA code, and there is no nvcc here"


def has_compiler() -> bool:
    """Tell whether torch's build extension would find nvcc."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    return bool(shutil.which("nvcc")) or (Path(home) / "bin" / "nvcc").is_file()


def build(clone: Path, scratch: Path) -> tuple[int, list[Path]]:
    """Run the clone's setup.py; return its exit status and the wheels it made in `scratch`."""
    options = ["egg_info", "--egg-base", str(scratch), "build", "--build-base", str(scratch / "build")]
    options += ["bdist_wheel", "--dist-dir", str(scratch / "dist")]
    status = subprocess.run([sys.executable, "setup.py", *options], cwd=clone, check=False).returncode
    return status, sorted((scratch / "dist").glob("*.whl"))


def main() -> int:
    """Build the wheel of the clone named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    wheel, reason = None, ""
    if "cpp_extension" in (args.clone / "setup.py").read_text(encoding="utf-8") and not has_compiler():
        reason = NO_COMPILER
        print(f"no wheel of {args.clone.name}: {reason}")
    else:
        with tempfile.TemporaryDirectory(prefix="tao-hf-wheel-") as scratch:
            status, made = build(args.clone, Path(scratch))
            if status or not made:
                return status or 1
            (args.clone / "dist").mkdir(exist_ok=True)
            wheel = made[0].name
            shutil.copy2(made[0], args.clone / "dist" / wheel)
    args.json.write_text(json.dumps({"wheel": wheel, "reason": reason}) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
