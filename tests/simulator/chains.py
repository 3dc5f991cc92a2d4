"""Chains without wallets or contracts."""

from typing import Any

from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.world.world import World


def empty_chain(seed: str = "tonwatch", **more: Any) -> Chain:
    """A chain with blocks and no accounts; `more` are further arguments of `Chain`."""
    return Chain(seed, World(), **more)
