"""The liteserver protocol: TL, client, proofs, and its errors."""
