"""Make what a demo starts from: a small Hugging Face model on disk, and a dataset of handwritten digits for it.

Runs inside the runtime: ``python make_inputs.py DEMO MODEL_FOLDER DATASET_FOLDER``; DEMO is the ``demo.py`` of a task.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("task_demo", sys.argv[1])
    task = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(task)
    task.save_model(Path(sys.argv[2]))
    task.save_dataset(Path(sys.argv[3]))
