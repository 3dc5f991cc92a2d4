"""Queries to a node of a `WalletNetwork`, and pytoniq's check of the proofs in its answers."""

from pytoniq_core.boc.address import Address as TlbAddress
from pytoniq_core.boc.cell import Cell as TlbCell
from pytoniq_core.proof.check_proof import check_account_proof, check_shard_proof
from pytoniq_core.tl.block import BlockIdExt
from pytoniq_core.tlb.account import Account as TlbAccount

from tests.simulator.wallet_network import WalletNetwork
from tonwatch.simulator.chain import accounts as trees
from tonwatch.simulator.chain.block_layout import BlockId
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import NodeState
from tonwatch.simulator.servers.liteserver.queries import Call
from tonwatch.simulator.servers.view import View
from tonwatch.ton.address import Address
from tonwatch.ton.liteserver.tl import Fields, lite_api

UNUSED_ADDRESS = Address(0, bytes.fromhex("77" * 32))


def node(network: WalletNetwork, **wrong: object) -> NodeState:
    head = network.chain.head
    return NodeState(View(network.chain, head, head), network.clock.now, **wrong)  # type: ignore[arg-type]


def ask(asked: NodeState, function: str, **arguments: object) -> Fields:
    data, _ = lite_api().deserialize(queries.answer(asked, Call(function, arguments)))
    assert isinstance(data, dict)
    return data


def at(block: Block, address: Address) -> dict[str, object]:
    account = {"workchain": address.workchain, "id": address.hash.hex()}
    return {"id": block.id.tl(), "account": account}


def state(asked: NodeState, address: Address) -> Fields:
    return ask(asked, "getAccountState", **at(asked.view.head, address))


def ext(block: BlockId | Fields) -> BlockIdExt:
    fields = block.tl() if isinstance(block, BlockId) else block
    names = ("workchain", "shard", "seqno", "root_hash", "file_hash")
    found: BlockIdExt = BlockIdExt.from_dict({name: fields[name] for name in names})
    return found


def verify(answer: Fields, address: Address) -> TlbAccount:
    """pytoniq's own check of an answer of getAccountState."""
    shard = ext(answer["shardblk"])
    check_shard_proof(answer["shard_proof"], ext(answer["id"]), shard)
    root = TlbCell.one_from_boc(answer["state"])
    check_account_proof(answer["proof"], shard, TlbAddress((address.workchain, address.hash)), root)
    account: TlbAccount = TlbAccount.deserialize(root.begin_parse())
    return account


def all_addresses(network: WalletNetwork) -> dict[str, Address]:
    world = network.world
    assert world.master is not None
    return {
        **{wallet.name: wallet.address for wallet in world.wallets},
        **{f"{wallet.name}'s usdt": wallet.jettons.address for wallet in world.wallets},
        "registry": world.contracts[0].address,
        "master": world.master.address,
        "filler account": trees._filler_account(17).address,
    }
