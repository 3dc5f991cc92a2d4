"""Threads, files, descriptors, and containment of internal errors."""
