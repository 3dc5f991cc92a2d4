"""From samples to verdicts: scheduler, board, judge, readiness, diagnosis."""
