"""Speaks to TON; knows nothing of probes or metrics."""
