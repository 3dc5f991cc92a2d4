"""Jobs: what the scheduler runs repeatedly."""
