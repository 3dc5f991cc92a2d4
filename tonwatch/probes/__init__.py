"""Probes of any kind of target, over the `Source` protocol."""
