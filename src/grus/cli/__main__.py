"""``python -m grus.cli``: the same as ``grus``."""

import sys

from grus.cli import main

sys.exit(main())
