"""A town where everybody has paid and been paid."""

import pytest

from tests.simulator.town import WALLETS, Town
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import COIN


@pytest.fixture(scope="module")
def town() -> Town:
    made = Town(contracts=["registry"])
    for name in WALLETS:
        made.world.pay(name, COIN)
        made.world.pay(name, 1_000_000, USDT)
    made.run(10)
    return made
