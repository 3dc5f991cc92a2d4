"""A module or a folder for each kind of target, and their registry."""
