"""``python -m tonwatch``."""

import sys

from tonwatch.cli import main

sys.exit(main())
