"""One question each: a client in, a Sample out, no state."""
