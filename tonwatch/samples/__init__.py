"""What was observed: data only."""
