"""/metrics: the catalogue of metrics, and the exposition."""
