"""Threads, files, descriptors, and how bugs of ours are contained."""
