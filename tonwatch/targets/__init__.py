"""The kinds of targets, a module or a folder each, and their registry."""
