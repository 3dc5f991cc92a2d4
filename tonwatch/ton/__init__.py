"""TON protocols, cells and contracts; independent of probes and metrics."""
