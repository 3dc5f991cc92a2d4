"""ADNL over TCP: frames, handshake, connection."""
