"""What Copier runs in the working directory after rendering: ``python post_copy.py TEMPLATE_FOLDER MODEL``."""

import sys
from pathlib import Path

from tao_hf.lifecycle.copy import main

sys.exit(main(Path(sys.argv[1]), Path.cwd(), sys.argv[2]))
