"""The liteserver protocol: TL, client, proofs, and what its errors mean."""
