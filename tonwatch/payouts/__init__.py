"""Counts the transactions of wallets, each exactly once, across restarts."""
