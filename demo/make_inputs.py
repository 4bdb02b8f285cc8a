"""Make what a demo starts from: a small Hugging Face model on disk, and a dataset of handwritten digits for it.

    python -m demo.make_inputs TASK MODEL_FOLDER DATASET_FOLDER

Runs inside the runtime.
"""

import sys
from pathlib import Path

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime import task_code
from tao_hf.rendering import tasks

if __name__ == "__main__":
    task = task_code.load_file(tasks.demo(TEMPLATE, sys.argv[1]))
    task.save_model(Path(sys.argv[2]))
    task.save_dataset(Path(sys.argv[3]))
