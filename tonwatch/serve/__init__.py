"""What SREs and Prometheus see: metrics, readiness, the health page."""
