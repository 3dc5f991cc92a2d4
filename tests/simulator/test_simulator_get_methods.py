"""Results of get methods of simulated contracts."""

from collections.abc import Sequence

import pytest
from pytoniq_core.boc.address import Address as TlbAddress
from pytoniq_core.boc.cell import Cell as TlbCell
from pytoniq_core.proof.check_proof import check_account_proof, check_shard_proof

from tests.simulator.node_queries import UNUSED_ADDRESS, all_addresses, ask, at, ext, node
from tests.simulator.wallet_network import WalletNetwork
from tonwatch.simulator.chain.get_methods import method_id
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.cells.stack import read_stack, write_stack
from tonwatch.ton.contracts.jettons import owner_argument, read_data
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.liteserver.tl import Fields


def run(
    network: WalletNetwork,
    address: Address,
    method: str,
    arguments: Sequence[int | Cell] = (),
    mode: int = 4,
) -> Fields:
    return ask(
        node(network),
        "runSmcMethod",
        mode=mode,
        **at(network.chain.head, address),
        method_id=method_id(method),
        params=cells.boc(write_stack(arguments)),
    )


def results(answer: Fields) -> tuple[int | Cell | None, ...]:
    return read_stack(read_one(answer["result"]))


def test_seqno_is_that_of_the_next_message(network: WalletNetwork) -> None:
    found = {}
    for wallet in network.world.wallets:
        answer = run(network, wallet.address, "seqno")
        found[wallet.wallet_kind] = (answer["exit_code"], results(answer))
    without = {WalletKind.HIGHLOAD_V2, WalletKind.HIGHLOAD_V3}
    assert {kind for kind, answer in found.items() if answer == (11, ())} == without
    assert all(answer == (0, (2,)) for kind, answer in found.items() if kind not in without)


def test_the_master_returns_the_jetton_wallet_of_any_owner(network: WalletNetwork) -> None:
    master = all_addresses(network)["master"]
    for wallet in network.world.wallets:
        answer = run(network, master, "get_wallet_address", [owner_argument(wallet.address)])
        (found,) = results(answer)
        assert isinstance(found, Cell)
        assert Slice(found).address() == wallet.jettons.address
    (found,) = results(run(network, master, "get_wallet_address", [owner_argument(UNUSED_ADDRESS)]))
    assert isinstance(found, Cell)
    elsewhere = Slice(found).address()
    assert elsewhere is not None
    assert network.accounts.get(elsewhere) is None


def test_jetton_wallets_return_what_they_store(network: WalletNetwork) -> None:
    wallet = network.wallet()
    balance, owner, master, code = results(run(network, wallet.jettons.address, "get_wallet_data"))
    assert isinstance(owner, Cell)
    assert isinstance(master, Cell)
    assert isinstance(code, Cell)
    account = network.accounts.get(wallet.jettons.address)
    assert account is not None
    assert account.data is not None
    assert account.code is not None
    assert Slice(owner).address() == wallet.address
    of_jetton = all_addresses(network)["master"]
    assert Slice(master).address() == of_jetton
    stored = read_data(account.data, wallet.address, of_jetton)
    assert stored is not None
    assert stored.balance == balance
    assert code.hash == account.code.hash


def test_the_master_returns_the_jettons_data(network: WalletNetwork) -> None:
    supply, mintable, _, content, code = results(
        run(network, all_addresses(network)["master"], "get_jetton_data")
    )
    assert isinstance(supply, int)
    assert supply > 0
    assert mintable == -1
    assert isinstance(content, Cell)
    assert isinstance(code, Cell)


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [
        ("payroll", "get_wallet_data", 11),
        ("registry", "seqno", 11),
        ("master", "get_wallet_address", 9),
        ("filler account", "seqno", -256),
        ("unused", "seqno", -256),
    ],
)
def test_methods_that_cannot_be_run(
    network: WalletNetwork, name: str, method: str, code: int
) -> None:
    address = all_addresses(network).get(name, UNUSED_ADDRESS)
    answer = run(network, address, method)
    assert (answer["exit_code"], results(answer)) == (code, ())
    assert network.world.run_method(network.accounts, address, method, []) == (code, ())


def test_a_method_comes_with_the_proofs_that_are_asked_for(network: WalletNetwork) -> None:
    address = network.wallet().address
    plain, proven = (run(network, address, "seqno", mode=mode) for mode in (4, 7))
    assert "proof" not in plain
    assert plain["result"] == proven["result"]
    root = TlbCell.one_from_boc(proven["state_proof"])[0]
    shard = ext(proven["shardblk"])
    check_shard_proof(proven["shard_proof"], ext(proven["id"]), shard)
    check_account_proof(proven["proof"], shard, TlbAddress((0, address.hash)), root)
