"""/health: the JSON document and the page."""
