"""Models of the configuration, and its loader. Independent of the kinds of targets."""
