"""Payouts of the simulated wallets: real transactions, and totals that are right to the unit."""

import pytest
from pytoniq_core.boc.cell import Cell as TlbCell
from pytoniq_core.tlb.block import Block as TlbBlock
from pytoniq_core.tlb.block import ShardStateUnsplit
from pytoniq_core.tlb.transaction import Transaction as TlbTransaction

from tests.effort import effort
from tests.simulator.wallet_network import (
    WALLETS,
    WalletNetwork,
    count_jettons,
    count_native,
    expected_balances,
)
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.contracts.expected_totals import NATIVE
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.kinds import KINDS
from tonwatch.simulator.contracts.wallets.wallet import COIN, INITIAL_BALANCE, INITIAL_JETTONS
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.wallets import WalletKind, kind_of, read_data


def parse(root: Cell) -> TlbCell:
    return TlbCell.one_from_boc(cells.boc(root))


def test_nothing_happens_without_payouts() -> None:
    network = WalletNetwork()
    network.run(60)
    assert network.history(network.wallet().address) == []
    assert expected_balances(network, "payroll") == (INITIAL_BALANCE, INITIAL_JETTONS)
    assert network.balance(network.wallet()) == INITIAL_BALANCE


def test_there_is_a_wallet_of_each_kind_with_its_code() -> None:
    network = WalletNetwork()
    found = []
    for wallet in network.world.wallets:
        account = network.accounts.get(wallet.address)
        assert account is not None
        assert account.code is not None
        assert account.data is not None
        kind = kind_of(account.code.hash)
        assert kind is not None
        read_data(kind, account.data)
        found.append(kind)
    assert found == list(KINDS)


@pytest.mark.parametrize("name", WALLETS)
def test_a_native_payout_is_one_transaction(name: str) -> None:
    network = WalletNetwork()
    wallet = network.wallet(name)
    network.world.pay(name, 123_456_789)
    network.run(2)
    (only,) = network.history(wallet.address)
    (sent,) = only.messages_out
    assert sent.value == 123_456_789
    assert only.message_in is not None
    assert only.message_in.source is None
    assert (only.exit_code, only.action_code) == (0, 0)
    assert network.balance(wallet) == INITIAL_BALANCE - 123_456_789 - only.fees
    assert only.previous is None
    assert network.accounts.get(sent.destination) is None if sent.destination else False


def test_a_jetton_payout_takes_three_blocks() -> None:
    network = WalletNetwork()
    wallet = network.wallet()
    network.world.pay("payroll", 7_000_001, USDT)
    network.chain.advance()
    assert [len(network.history(at)) for at in (wallet.address, wallet.jettons.address)] == [1, 0]
    network.chain.advance()
    assert [len(network.history(at)) for at in (wallet.address, wallet.jettons.address)] == [1, 1]
    network.chain.advance()
    assert [len(network.history(at)) for at in (wallet.address, wallet.jettons.address)] == [2, 1]
    assert network.jettons(wallet) == INITIAL_JETTONS - 7_000_001
    paid, excesses = network.history(wallet.address)
    assert excesses.message_in is not None
    assert 0 < excesses.message_in.value < paid.messages_out[0].value


def test_a_wallet_makes_one_payout_a_block_in_order() -> None:
    network = WalletNetwork()
    for amount in (1, 2, 3):
        network.world.pay("payroll", amount * COIN)
    network.chain.advance()
    assert len(network.history(network.wallet().address)) == 1
    network.chain.advance(5)
    values = [each.messages_out[0].value for each in network.history(network.wallet().address)]
    assert values == [COIN, 2 * COIN, 3 * COIN]


@pytest.mark.parametrize(
    ("wallet", "amount", "asset"),
    [("unused", 1, NATIVE), ("payroll", 1, "gold"), ("payroll", -1, NATIVE)],
    ids=["wallet", "asset", "amount"],
)
def test_impossible_payouts(wallet: str, amount: int, asset: str) -> None:
    with pytest.raises(ValueError, match="cannot pay"):
        WalletNetwork().world.pay(wallet, amount, asset)


@pytest.mark.parametrize(
    ("asset", "amount", "failures"),
    [
        (NATIVE, INITIAL_BALANCE + 1, {NATIVE: {("action", 37): 1}, USDT: {}}),
        (USDT, INITIAL_JETTONS + 1, {NATIVE: {}, USDT: {("compute", 47): 1}}),
    ],
    ids=[NATIVE, USDT],
)
def test_what_a_wallet_does_not_have_it_fails_to_pay(
    asset: str, amount: int, failures: dict[str, dict[tuple[str, int], int]]
) -> None:
    network = WalletNetwork()
    network.world.pay("payroll", amount, asset)
    network.run(5)
    expected_totals = network.world.expected_totals["payroll"]
    assert {
        name: dict(totals.failed_transactions) for name, totals in expected_totals.items()
    } == failures
    assert network.jettons(network.wallet()) == INITIAL_JETTONS
    # The jetton wallet bounces the attached coins.
    assert expected_totals[NATIVE].bounced_messages == (asset == USDT)


@pytest.mark.parametrize(
    ("kind", "skipped_messages"),
    [(kind, kind not in {WalletKind.V3R1, WalletKind.V3R2, WalletKind.V4R2}) for kind in KINDS],
)
def test_newer_wallets_skip_what_they_cannot_pay(kind: WalletKind, skipped_messages: bool) -> None:
    names = [str(kind) for kind in KINDS]
    network = WalletNetwork(names)
    network.world.pay(kind, INITIAL_BALANCE + 1)
    network.world.pay(kind, COIN)
    network.run(5)
    totals = network.world.expected_totals[kind][NATIVE]
    assert (totals.skipped_messages, dict(totals.failed_transactions)) == (
        (1, {}) if skipped_messages else (0, {("action", 37): 1})
    )
    assert (totals.sent_messages, totals.sent_amount) == (1, COIN)


def test_a_wallet_is_refilled_before_it_is_empty() -> None:
    network = WalletNetwork(["payroll"])
    for _ in range(40):
        network.world.pay("payroll", 40 * COIN)
        network.world.pay("payroll", 150 * 10**6, USDT)
    network.run(60)
    assert network.balance(network.wallet()) > INITIAL_BALANCE // 3
    assert network.jettons(network.wallet()) > INITIAL_JETTONS // 3
    assert network.world.expected_totals["payroll"][USDT].received_amount > 0


def test_a_notification_with_one_nanocoin_skips_the_compute_phase() -> None:
    network = WalletNetwork(["payroll"])
    for _ in range(20):
        network.world.pay("payroll", 150 * 10**6, USDT)
    network.run(20)
    assert network.world.expected_totals["payroll"][NATIVE].compute_skipped == {"no_gas": 1}


of_half_an_hour = pytest.mark.xdist_group("half an hour of payouts")


@pytest.fixture(scope="module")
def busy() -> WalletNetwork:
    """Half an hour of payouts."""
    network = WalletNetwork(payouts_per_minute=10)
    network.run(1_800)
    return network


@pytest.mark.parametrize("name", WALLETS)
@of_half_an_hour
def test_expected_totals_are_those_of_the_transactions(busy: WalletNetwork, name: str) -> None:
    wallet = busy.wallet(name)
    native, jettons = busy.history(wallet.address), busy.history(wallet.jettons.address)
    assert count_native(native, wallet.jettons.address) == busy.world.expected_totals[name][NATIVE]
    assert count_jettons(jettons) == busy.world.expected_totals[name][USDT]
    assert busy.world.expected_totals[name][NATIVE].sent_messages > 100
    assert busy.world.expected_totals[name][USDT].sent_messages > 100


@pytest.mark.parametrize("name", WALLETS)
@of_half_an_hour
def test_balances_follow_from_expected_totals(busy: WalletNetwork, name: str) -> None:
    wallet = busy.wallet(name)
    assert (busy.balance(wallet), busy.jettons(wallet)) == expected_balances(busy, name)


@of_half_an_hour
def test_the_balance_of_a_jetton_wallet_follows_from_its_transactions(busy: WalletNetwork) -> None:
    wallet = busy.wallet()
    address = wallet.jettons.address
    account = busy.accounts.get(address)
    assert account is not None
    balance = wallet.jettons.initial.balance
    for each in busy.history(address):
        balance += each.message_in.value if each.message_in else 0
        balance -= sum(sent.value for sent in each.messages_out) + each.fees
    assert account.balance == balance


@of_half_an_hour
def test_transactions_are_linked_without_a_gap(busy: WalletNetwork) -> None:
    before = None
    for each in busy.history(busy.wallet().address):
        assert each.previous == before
        before = each.id
    account = busy.accounts.get(busy.wallet().address)
    assert account is not None
    assert account.last == before


@of_half_an_hour
def test_pytoniq_reads_every_transaction(busy: WalletNetwork) -> None:
    wallet = busy.wallet("batches")
    for address in (wallet.address, wallet.jettons.address):
        for each in busy.history(address):
            account = busy.accounts.get(address)
            assert account is not None
            (kept,) = busy.world.transactions(address, each.id, 1)
            read = TlbTransaction.deserialize(parse(kept.cell).begin_parse())
            assert (read.lt, read.account_addr, read.now) == (each.id.lt, address.hash, each.time)
            assert read.outmsg_cnt == len(read.out_msgs) == len(each.messages_out)
            assert [sent.info.value.grams for sent in read.out_msgs] == [
                sent.value for sent in each.messages_out
            ]
            assert read.description.aborted == each.aborted
            own = sum(sent.info.fwd_fee for sent in read.out_msgs)
            assert read.total_fees.grams + own == each.fees


@of_half_an_hour
def test_the_value_flow_of_every_block_is_right(busy: WalletNetwork) -> None:
    jetton_change = 0
    for seqno in range(busy.chain.head.seqno - 200, busy.chain.head.seqno + 1):
        master = busy.chain.block(seqno)
        assert master is not None
        assert master.shard is not None
        flow = TlbBlock.deserialize(parse(master.shard.root).begin_parse()).value_flow
        coming = flow.from_prev_blk.grams + flow.imported.grams
        going = flow.to_next_blk.grams + flow.exported.grams + flow.fees_collected.grams
        assert coming == going
        jetton_change += flow.exported.grams
    assert jetton_change


@of_half_an_hour
def test_pytoniq_reads_the_state_and_its_totals(busy: WalletNetwork) -> None:
    shard = busy.chain.head.shard
    assert shard is not None
    state = ShardStateUnsplit.deserialize(parse(shard.state).begin_parse())
    accounts, extras = state.accounts
    balance = sum(each.account.storage.balance.grams for each in accounts.values())
    assert state.total_balance.grams == balance == shard.accounts.total
    assert len(accounts) == 500 + 2 * len(WALLETS) + 1
    assert len(extras) == 2 * len(accounts) - 1  # leaves and forks


def test_the_same_seed_gives_the_same_payouts() -> None:
    one, two, other = (
        WalletNetwork(["payroll"], payouts_per_minute=20, seed=seed) for seed in ("a", "a", "b")
    )
    for network in (one, two, other):
        network.run(120)
    assert one.chain.head.id == two.chain.head.id
    assert one.world.expected_totals == two.world.expected_totals
    assert one.world.expected_totals != other.world.expected_totals


def test_a_fork_has_the_same_accounts_in_other_blocks() -> None:
    network = WalletNetwork(["payroll"], payouts_per_minute=60)
    fork = Fork(network.chain)
    ledger = fork.join()
    network.run(30)
    assert ledger.head.id != network.chain.head.id
    assert ledger.head.seqno == network.chain.head.seqno
    assert ledger.head.shard is not None
    assert ledger.head.shard.accounts is network.accounts
    assert ledger.world is network.world
    fork.leave()


def test_a_day_of_payouts_is_quick() -> None:
    network = WalletNetwork(["payroll", "refunds"], payouts_per_minute=2)
    with effort(200 * 1000):
        network.chain.advance(200)
