"""What Copier runs before an update to a version that calls an answer otherwise: ``migrate_answer.py ANSWERS OLD NEW``.

The old name stays in the file, because Copier renders the old version once more when the update has to be run again.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tao_hf.answers import rename

sys.exit(rename(Path.cwd(), *sys.argv[1:]))
