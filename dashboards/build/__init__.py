"""The Grafana dashboards, built by code: `python -m dashboards.build` writes dashboards/*.json."""
