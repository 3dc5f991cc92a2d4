"""Liteservers: TON's own protocol, over ADNL."""
