"""Owns what lives: targets, jobs, the store, threads and the state directory."""
