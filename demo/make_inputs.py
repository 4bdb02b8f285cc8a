"""Make what a demo starts from: a small Hugging Face model on disk, and a dataset of handwritten digits for it.

    python -m demo.make_inputs TASK MODEL_FOLDER DATASET_FOLDER

Runs inside the runtime; TASK is a module beside this one.
"""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    task = importlib.import_module(f"demo.{sys.argv[1]}")
    task.save_model(Path(sys.argv[2]))
    task.save_dataset(Path(sys.argv[3]))
