"""Providers with toncenter's API v2."""
