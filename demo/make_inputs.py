"""Make what a demo starts from: a small Hugging Face model on disk, and a dataset of handwritten digits for it.

Runs inside the runtime: ``python make_inputs.py TASK MODEL_FOLDER DATASET_FOLDER``; TASK is a module beside this one.
"""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    task = importlib.import_module(sys.argv[1])
    task.save_model(Path(sys.argv[2]))
    task.save_dataset(Path(sys.argv[3]))
