"""Prepared answers of a liteserver of a large network about many wallets.

Accounts, blocks and proofs are the simulator's. Only the neighbours of the wallets are made here:
enough accounts to give each proof the depth that it has among millions.

``python -m benchmarks.network`` is a liteserver like `benchmarks.server`, and prints the wallets
with its ports.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.server import serve
from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.chain.dictionary import Edge
from tonwatch.simulator.chain.get_methods import method_id
from tonwatch.simulator.contracts.jetton import DECIMALS, USDT
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import NodeState
from tonwatch.simulator.servers.view import View
from tonwatch.simulator.world.world import World
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import boc
from tonwatch.ton.cells.stack import write_stack
from tonwatch.ton.contracts import jettons
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.liteserver import tl

WALLETS: Final = 1000
DEPTH: Final = 25
"""Forks on the path to an account, as in a shard with 30 million accounts."""

_KEY_BITS: Final = 256
_FULL: Final = 8
"""Forks on the path to every account with the wallets alone."""

_RESULT_ONLY: Final = 4
"""Mode of ``runSmcMethod``, as tonwatch sends it."""


def prepared() -> tuple[dict[bytes, bytes], list[dict[str, Any]]]:
    """Bodies of ADNL queries with the bodies of their answers, and the wallets to configure."""
    world = World("benchmark", wallets=[f"wallet-{number}" for number in range(WALLETS)])
    assert world.master is not None
    held = [each.initial for wallet in world.wallets for each in (wallet, wallet.jettons)]
    world.accounts = _among_many([*held, world.master.initial])
    chain = Chain("benchmark", world=world)
    node = NodeState(View(chain, chain.head, chain.head), time.time())
    at = {"id": chain.head.id.tl()}
    answers: dict[bytes, bytes] = {}

    def prepare(function: str, arguments: Mapping[str, Any]) -> None:
        query = tl.encode_query(function, dict(arguments))
        answers[query] = queries.answer(node, queries.parse(query))

    prepare("getMasterchainInfo", {})
    prepare("getAllShardsInfo", at)
    for account in held:
        prepare("getAccountState", at | _account(account.address))
    for wallet in world.wallets:
        arguments = {
            "mode": _RESULT_ONLY,
            **_account(world.master.address),
            "method_id": method_id("get_wallet_address"),
            "params": boc(write_stack([jettons.owner_argument(wallet.address)])),
        }
        prepare("runSmcMethod", at | arguments)
    master = world.master.address.friendly()
    jetton = {"name": USDT, "master": master, "decimals": DECIMALS, "minimum": "100"}
    return answers, [
        {
            "name": wallet.name,
            "address": wallet.address.friendly(),
            "minimum": "50",
            "jettons": [jetton],
        }
        for wallet in world.wallets
    ]


def _account(address: Address) -> dict[str, Any]:
    return {"account": {"workchain": address.workchain, "id": address.hash.hex()}}


def _among_many(watched: Sequence[SimAccount]) -> Accounts:
    """These accounts, each with a neighbour behind every fork on the path to it."""
    items = {int.from_bytes(account.address.hash, "big"): account for account in watched}
    for account in watched:
        items |= dict(_neighbours(account.address))
    return Accounts(_tree(sorted(items.items()), _KEY_BITS))


def _neighbours(address: Address) -> Iterator[tuple[int, SimAccount]]:
    """Accounts whose addresses diverge from this one at each fork."""
    own = int.from_bytes(address.hash, "big")
    for depth in range(_FULL, DEPTH):
        behind = _KEY_BITS - depth - 1
        seed = hashlib.sha256(address.hash + bytes((depth,))).digest()
        random = int.from_bytes(seed, "big") & (1 << behind) - 1
        key = (own >> behind ^ 1) << behind | random
        yield (
            key,
            SimAccount(
                address=Address(0, key.to_bytes(32, "big")),
                status=AccountStatus.UNINITIALIZED,
                balance=random >> behind - 40,
            ),
        )


def _tree(items: Sequence[tuple[int, SimAccount]], left: int) -> Edge[SimAccount]:
    """A dictionary of sorted keys, which differ in their last `left` bits."""
    first, last = items[0][0], items[-1][0]
    behind = (first ^ last).bit_length()
    bits = left - behind
    label = first >> behind & (1 << bits) - 1
    if not behind:
        return Edge(label, bits, left, items[0][1])
    turn = next(index for index, (key, _) in enumerate(items) if key >> behind - 1 & 1)
    return Edge(
        label,
        bits,
        left,
        (_tree(items[:turn], behind - 1), _tree(items[turn:], behind - 1)),
    )


if __name__ == "__main__":
    _answers, _wallets = prepared()
    asyncio.run(serve(_answers, wallets=_wallets))
