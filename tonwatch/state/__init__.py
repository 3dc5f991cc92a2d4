"""State that outlives restarts: checkpoints, key blocks and incidents, in one database."""
