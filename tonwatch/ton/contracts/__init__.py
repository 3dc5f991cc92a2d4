"""Accounts, transactions, wallets and jettons, as they are on the chain."""
