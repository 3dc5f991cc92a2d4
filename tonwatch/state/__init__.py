"""State that outlives restarts: checkpoints and key blocks, in one database."""
