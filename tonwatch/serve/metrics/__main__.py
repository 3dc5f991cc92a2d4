"""Writes docs/metrics.md to stdout."""

import sys

from tonwatch.serve.metrics.docs import documentation

sys.stdout.write(documentation())
