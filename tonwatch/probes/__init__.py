"""Questions that any kind of target can be asked."""
