"""Write a tiny dataset that a model can learn, of a task's kind. Runs inside the runtime.

    python -m tao_hf.in_runtime.tools.dataset TASK FOLDER --classes 4 --height 48 --width 48 --channels 3

The task's module ``synthetic`` writes the dataset: ``write_dataset(folder, classes, height, width, channels)`` returns
the class names, none when `classes` is 0 for a task without them. FOLDER gets classes.txt (line order is class index)
where there are classes, and pictures in train/, val/ and test/, the same on every run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tao_hf.in_runtime import task_code


def main() -> None:
    """Write the dataset named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    args = parser.parse_args()
    synthetic = task_code.load(args.task, "synthetic")
    names = synthetic.write_dataset(args.folder, args.classes, args.height, args.width, args.channels)
    print(f"wrote pictures{f' of {len(names)} classes' if names else ''} to {args.folder}")


if __name__ == "__main__":
    main()
