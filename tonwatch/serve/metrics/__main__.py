"""Writes docs/metrics.md to stdout."""

import sys

from tonwatch.serve.metrics.docs import documentation
from tonwatch.targets.registry import KINDS

sys.stdout.write(documentation(KINDS))
