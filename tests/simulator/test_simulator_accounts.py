"""A simulated liteserver's answers about accounts; pytoniq checks the proofs."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytoniq_core.boc.cell import Cell as TlbCell
from pytoniq_core.proof.check_proof import ProofError, check_shard_proof
from pytoniq_core.tlb.account import Account as TlbAccount
from pytoniq_core.tlb.block import ShardStateUnsplit

from tests.simulator.node_queries import (
    UNUSED_ADDRESS,
    all_addresses,
    ask,
    at,
    ext,
    node,
    state,
    verify,
)
from tests.simulator.small_network import connect
from tests.simulator.wallet_network import WalletNetwork
from tonwatch.simulator.chain import accounts as trees
from tonwatch.simulator.chain.accounts import EMPTY, SimAccount, extra_currencies
from tonwatch.simulator.contracts.wallets.wallet import COIN, INITIAL_BALANCE
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.contracts.accounts import AccountStatus, parse_account
from tonwatch.ton.liteserver import tl

# States and proofs.


@pytest.mark.parametrize("name", all_addresses(WalletNetwork(contracts=["registry"])))
def test_pytoniq_accepts_the_proof_of_a_state(network: WalletNetwork, name: str) -> None:
    address = all_addresses(network)[name]
    read = verify(state(node(network), address), address)
    account = network.accounts.get(address)
    assert account is not None
    assert read.storage.balance.grams == account.balance
    assert read.storage_stat.used.cells == account.used.cells
    if account.status is AccountStatus.ACTIVE:
        assert account.code is not None
        assert account.data is not None
        init = read.storage.state.state_init
        assert init.code is not None
        assert init.data is not None
        assert (init.code.hash, init.data.hash) == (account.code.hash, account.data.hash)


def test_proofs_of_old_blocks_show_old_states(network: WalletNetwork) -> None:
    wallet = network.world.wallets[0]
    first = network.chain.block(1)
    assert first is not None
    answer = ask(node(network), "getAccountState", **at(first, wallet.address))
    assert verify(answer, wallet.address).storage.balance.grams == INITIAL_BALANCE


@pytest.mark.parametrize("workchain", [0, -1])
def test_a_missing_account_is_proven_to_be_missing(network: WalletNetwork, workchain: int) -> None:
    address = Address(workchain, UNUSED_ADDRESS.hash)
    answer = state(node(network), address)
    assert answer["state"] == b""
    shard = ext(answer["shardblk"])
    check_shard_proof(answer["shard_proof"], ext(answer["id"]), shard)
    block, state_root = TlbCell.from_boc(answer["proof"])
    assert block[0].get_hash(0) == shard.root_hash
    assert block[0][2][1].get_hash(0) == state_root[0].get_hash(0)
    accounts = ShardStateUnsplit.deserialize(state_root[0].begin_parse()).accounts[0]
    assert int.from_bytes(address.hash, "big") not in accounts


def test_a_frozen_account_is_proven_too() -> None:
    network = WalletNetwork(["payroll"])
    network.set_fault(network.wallet(), Fault.FROZEN)
    network.run(2)
    address = network.wallet().address
    assert verify(state(node(network), address), address).storage.state.type_ == "account_frozen"


def test_proofs_are_as_long_as_in_a_small_real_network(network: WalletNetwork) -> None:
    proof = state(node(network), network.wallet().address)["proof"]
    assert 1_000 < len(proof) < 2_000


@pytest.mark.parametrize("fault", ["false_balances", "bad_proofs"])
def test_a_false_balance_is_disproved(network: WalletNetwork, fault: str) -> None:
    address = network.wallet().address
    answer = state(node(network, **{fault: True}), address)
    with pytest.raises(ProofError):
        verify(answer, address)


# The dictionary.

Keys = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


def similar(seed: int) -> bytes:
    """Keys with long common prefixes."""
    random = Random(seed)
    bits = random.choice([0, 0, (1 << 256) - 1, 0b1010 << 200])
    for _ in range(random.randrange(4)):
        bits ^= 1 << random.randrange(256)
    return bits.to_bytes(32, "big")


@settings(max_examples=60)
@given(Keys | st.lists(st.integers(0, 10_000).map(similar), min_size=1, max_size=40, unique=True))
def test_the_dictionary_holds_what_was_put_into_it(keys: list[bytes]) -> None:
    accounts, before = EMPTY, []
    for number, key in enumerate(keys):
        before.append(accounts)
        accounts = accounts.put(holding(key, number * COIN))
    accounts = accounts.put(holding(keys[0], 5))
    known = {key: number * COIN for number, key in enumerate(keys)} | {keys[0]: 5}
    for key, balance in known.items():
        found = accounts.get(Address(0, key))
        assert found is not None
        assert found.balance == balance
    assert before[-1].get(Address(0, keys[-1])) is None
    assert accounts.total == sum(known.values())
    assert rebuilt(known).cell.hash == accounts.cell.hash
    source = TlbCell.one_from_boc(cells.boc(accounts.cell)).begin_parse()
    dictionary, _ = source.load_hashmap_aug_e(
        256,
        x_deserializer=lambda value: value.load_ref(),
        y_deserializer=lambda extra: (extra.load_uint(5), extra.load_coins(), extra.load_bit()),
    )
    assert set(dictionary) == {int.from_bytes(key, "big") for key in keys}


def holding(key: bytes, balance: int) -> SimAccount:
    status = AccountStatus.UNINITIALIZED
    return SimAccount(address=Address(0, key), status=status, balance=balance)


def rebuilt(known: dict[bytes, int]) -> trees.Accounts:
    return EMPTY.put(*(holding(key, balance) for key, balance in sorted(known.items())))


Amounts = st.dictionaries(st.integers(0, (1 << 32) - 1), st.integers(1, (1 << 248) - 1), max_size=9)


@settings(max_examples=30)
@given(Amounts)
def test_extra_currencies_are_read_by_pytoniq_and_by_us(amounts: dict[int, int]) -> None:
    held = replace(holding(bytes(32), 7), currencies=extra_currencies(amounts))
    theirs = TlbAccount.deserialize(TlbCell.one_from_boc(cells.boc(held.cell)).begin_parse())
    assert theirs.storage.balance.grams == 7
    assert (theirs.storage.balance.other.dict or {}) == amounts
    assert parse_account(held.cell, held.address, None).currencies == amounts


# Over the wire.


@pytest.mark.parametrize("fault", [None, Fault.FALSE_BALANCE, Fault.PRUNE_HISTORY])
async def test_a_liteserver_answers_about_accounts(fault: Fault | None) -> None:
    network = WalletNetwork(["payroll"])
    server = LiteServer("node", network.chain)
    await server.start()
    try:
        if fault is not None:
            await server.set_fault(fault)
        connection = await connect(server)
        address = network.wallet().address
        query = tl.encode_query("getAccountState", at(network.chain.head, address))
        reply = await connection.query(query, 5.0)
        answer = tl.decode(reply.body, "liteServer.accountState")
        await connection.close()
    finally:
        await server.close()
    if fault is Fault.FALSE_BALANCE:
        with pytest.raises(ProofError, match="account state proof invalid"):
            verify(answer, address)
    else:
        assert verify(answer, address).storage.balance.grams == INITIAL_BALANCE
