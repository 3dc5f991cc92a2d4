"""Counts the transactions of wallets, each exactly once and across restarts."""
