"""Compare the native and the deployed predictions of a model. Runs inside the runtime.

    python -m tao_hf.in_runtime.check.crosscheck TASK NATIVE DEPLOYED --precision FP32 --json OUT

NATIVE and DEPLOYED are the folders that the two inferences wrote. What agrees, and how well it must, is the task's to
say: its module ``comparison``, whose ``compare(native, deployed, precision)`` returns ``images``,
``agreement`` (0..1), ``max_abs_diff``, ``precision``, ``words`` (what the two figures are) and ``problems``, and
raises ValueError when the folders cannot be compared. Ends with 0 when there is no problem, else with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tao_hf.in_runtime import task_code

PRECISIONS = ("FP16", "FP32")


def main() -> int:
    """Compare two folders, write the JSON, print one sentence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("native", type=Path)
    parser.add_argument("deployed", type=Path)
    parser.add_argument("--precision", choices=PRECISIONS, default="FP32")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    try:
        result = task_code.load(args.task, "comparison").compare(args.native, args.deployed, args.precision)
    except ValueError as error:
        nothing = dict.fromkeys(("images", "agreement", "max_abs_diff", "words"))
        result = {**nothing, "precision": args.precision, "problems": [str(error)]}
    args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for problem in result["problems"]:
        print(f"native and deployed differ: {problem}")
    if not result["problems"]:
        agreement, difference = result["words"]
        print(f"{result['images']} images: {result['agreement']:.2%} {agreement}, "
              f"{difference} {result['max_abs_diff']:.3g}")
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
