"""Watches TON liteservers and RPC providers, and says in one sentence what is wrong."""
