"""A network whose wallets have all paid and been paid."""

import pytest

from tests.simulator.wallet_network import WALLETS, WalletNetwork
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import COIN


@pytest.fixture(scope="module")
def network() -> WalletNetwork:
    made = WalletNetwork(contracts=["registry"])
    for name in WALLETS:
        made.world.pay(name, COIN)
        made.world.pay(name, 1_000_000, USDT)
    made.run(10)
    return made
