"""From samples to verdicts: store, judge, readiness, diagnosis, view."""
