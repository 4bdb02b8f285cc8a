"""What Copier runs once a model is rendered: ``python post_copy.py TEMPLATE_FOLDER MODEL``, in the working directory."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tao_hf.placing import main  # noqa: E402

sys.exit(main(Path(sys.argv[1]), Path.cwd(), sys.argv[2]))
