"""What Copier runs in the working directory after an update: ``python post_update.py TEMPLATE_FOLDER MODEL``."""

import sys
from pathlib import Path

from tao_hf.lifecycle.copy import update

sys.exit(update(Path(sys.argv[1]), Path.cwd(), sys.argv[2]))
