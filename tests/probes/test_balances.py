"""Reading accounts: from which source, proven or not, and failures that cost one account only."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.probes.wallet_network import WALLETS, WalletNetwork, wallet_network
from tonwatch.probes.balances import Batch, JettonWallets, read
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Probe
from tonwatch.simulator.contracts.wallets.kinds import KINDS
from tonwatch.simulator.contracts.wallets.wallet import INITIAL_BALANCE, INITIAL_JETTONS
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.accounts import Account, AccountAt, AccountStatus, MethodResult
from tonwatch.ton.contracts.jettons import owner_argument
from tonwatch.ton.errors import Reason, TonError

UNUSED = Address(0, b"\x77" * 32)


@pytest.fixture
async def network() -> AsyncIterator[WalletNetwork]:
    async with wallet_network() as made:
        yield made


async def batch(*accounts: Watched, of: list[Any]) -> Batch:
    return await read(accounts, of, JettonWallets(), wall=time.time)


async def only(account: Watched, *sources: Any) -> Reading:
    (reading,) = (await batch(account, of=list(sources))).readings
    return reading


@pytest.mark.parametrize("number", range(WALLETS), ids=[str(kind) for kind in KINDS])
async def test_every_kind_of_wallet(network: WalletNetwork, number: int) -> None:
    reading = await only(network.coins(number), network.node)
    assert reading.ok, reading
    assert reading.kind is KINDS[number]
    assert (reading.amount, reading.proven, reading.status) == (
        INITIAL_BALANCE,
        True,
        AccountStatus.ACTIVE,
    )
    assert reading.block == network.simulator.chain.head.seqno
    assert reading.time == network.simulator.chain.head.gen_utime
    has_seqno = not KINDS[number].startswith("highload")
    assert (reading.seqno is not None) is has_seqno
    assert (reading.last_clean is not None) is not has_seqno


async def test_jettons_are_proven_by_a_liteserver_and_unproven_from_a_provider(
    network: WalletNetwork,
) -> None:
    proven, unproven = (
        await only(network.jettons(), network.node),
        await only(network.jettons(), network.provider),
    )
    assert (proven.amount, proven.proven) == (INITIAL_JETTONS, True)
    assert (unproven.amount, unproven.proven) == (INITIAL_JETTONS, False)
    assert proven.account == unproven.account == network.simulator.world.wallets[0].jettons.address
    assert proven.block == unproven.block


async def test_a_missing_account_holds_nothing(network: WalletNetwork) -> None:
    coins = Watched(AccountKey("unused", "native"), UNUSED)
    jettons = Watched(AccountKey("unused", "usdt"), UNUSED, network.master)
    for source in (network.node, network.provider):
        readings = (await batch(coins, jettons, of=[source])).readings
        assert [(each.amount, each.status) for each in readings] == [(0, "missing")] * 2


async def test_a_wrong_jetton_master_costs_its_asset_only(network: WalletNetwork) -> None:
    wrong = Watched(AccountKey("wallet-1", "wrong"), network.owner(), network.owner(1))
    missing = Watched(AccountKey("wallet-1", "missing"), network.owner(), UNUSED)
    for source in (network.node, network.provider):
        result = await batch(wrong, network.coins(), missing, network.jettons(), of=[source])
        readings = {reading.key.asset: reading for reading in result.readings}
        assert readings["native"].ok
        assert readings["usdt"].ok
        for asset, master in (("wrong", network.owner(1)), ("missing", UNUSED)):
            assert readings[asset].reason is Reason.METHOD_FAILED
            assert f"{master.friendly()} is not a jetton master" in readings[asset].detail
        assert [sample.reason for sample in result.samples] == [Reason.OK]


async def test_the_first_source_that_answers_is_used(network: WalletNetwork) -> None:
    await network.simulator.set_fault("node-1", Fault.REFUSE)
    result = await batch(network.coins(), network.jettons(), of=network.sources)
    assert {reading.source for reading in result.readings} == {"node-2"}
    assert [(sample.target, sample.reason) for sample in result.samples] == [
        ("node-1", Reason.CONNECT_REFUSED),
        ("node-2", Reason.OK),
    ]
    assert {sample.probe for sample in result.samples} == {Probe.BALANCE}
    await network.simulator.clear()
    assert (await only(network.coins(), *network.sources)).source == "node-1"


async def test_after_a_false_balance_the_next_source_is_asked(network: WalletNetwork) -> None:
    await network.simulator.set_fault("node-1", Fault.FALSE_BALANCE)
    result = await batch(network.coins(), of=network.sources)
    assert [(each.source, each.amount) for each in result.readings] == [("node-2", INITIAL_BALANCE)]
    assert result.samples[0].reason is Reason.PROOF_INVALID
    assert "wallet-1 native" in result.samples[0].detail


async def test_without_an_answer_the_last_failure_is_reported(network: WalletNetwork) -> None:
    for name in ("node-1", "node-2", "provider-1"):
        await network.simulator.set_fault(name, Fault.REFUSE)
    reading = await only(network.coins(), *network.sources)
    assert (reading.reason, reading.source, reading.amount) == (
        Reason.CONNECT_REFUSED,
        "provider-1",
        None,
    )


async def test_a_silent_source_is_skipped(network: WalletNetwork) -> None:
    await network.simulator.set_fault("node-1", Fault.NOT_SYNCED)
    result = await batch(*map(network.coins, range(WALLETS)), of=[network.node, network.other])
    assert {(reading.ok, reading.source) for reading in result.readings} == {(True, "node-2")}
    assert len(result.readings) == WALLETS
    assert result.samples[0].reason is Reason.QUERY_TIMEOUT


async def test_a_frozen_wallet_is_a_state(network: WalletNetwork) -> None:
    await network.simulator.set_fault("wallet-1", Fault.FROZEN)
    network.simulator.chain.advance(2)
    for source in (network.node, network.provider):
        reading = await only(network.coins(), source)
        assert (reading.ok, reading.status, reading.kind) == (True, AccountStatus.FROZEN, None)


async def test_a_bug_costs_one_account(
    network: WalletNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonwatch.probes import balances

    whole = balances._read

    async def broken(reader: Any, source: Any, watched: Watched, *rest: Any) -> Reading:
        if watched.key.asset == "usdt":
            raise ZeroDivisionError("with a secret")
        return await whole(reader, source, watched, *rest)

    monkeypatch.setattr(balances, "_read", broken)
    coins, jettons = (await batch(network.coins(), network.jettons(), of=[network.node])).readings
    if coins.key.asset != "native":
        coins, jettons = jettons, coins
    assert coins.ok
    assert jettons.reason is Reason.PROBE_FAILED
    assert jettons.detail == "bug in tonwatch: ZeroDivisionError"


class UnknownLayout:
    """A source with one jetton wallet, whose data has an unknown layout."""

    name = "odd"
    proves = True
    at_once = 1

    def __init__(self, *stack: int | Cell) -> None:
        self.stack = stack

    async def reader(self) -> "UnknownLayout":
        return self

    async def account(self, address: Address) -> AccountAt:
        account = Account(
            address=address,
            status=AccountStatus.ACTIVE,
            balance=0,
            currencies={},
            last=None,
            code_hash=bytes(32),
            data=cell(b"whatever"),
        )
        return AccountAt(account=account, seqno=1, time=1, proven=True)

    async def run_method(self, _: Address, method: str, __: Any) -> MethodResult:
        if method == "get_wallet_address":
            return MethodResult(0, (owner_argument(UNUSED),))
        return MethodResult(0, self.stack) if self.stack else MethodResult(11, ())


class Silent(UnknownLayout):
    """A source that answers only its head, and counts questions."""

    at_once = 2
    asked = 0

    async def account(self, _: Address) -> AccountAt:
        self.asked += 1
        await asyncio.sleep(0)
        raise TonError(Reason.QUERY_TIMEOUT, "no answer within 2 s")


class NoCurrencies(UnknownLayout):
    """A source that does not report extra currencies, as older toncenter servers do not."""

    async def account(self, address: Address) -> AccountAt:
        at = await super().account(address)
        return replace(at, account=replace(at.account, currencies=None))


class Holder(UnknownLayout):
    """A source of an account with an extra currency."""

    async def account(self, address: Address) -> AccountAt:
        at = await super().account(address)
        return replace(at, account=replace(at.account, balance=7, currencies={100: 5}))


OWNER, MASTER = Address(0, b"o" * 32), Address(0, b"m" * 32)
UNKNOWN_LAYOUT = Watched(AccountKey("odd", "usdt"), OWNER, MASTER)


async def test_a_source_that_stops_answering_is_not_asked_for_all() -> None:
    """Each question would wait for its timeout."""
    accounts = [Watched(AccountKey(f"wallet-{n}", "native"), OWNER) for n in range(50)]
    silent = Silent()
    result = await batch(*accounts, of=[silent])
    assert silent.asked == Silent.at_once
    assert {reading.reason for reading in result.readings} == {Reason.QUERY_TIMEOUT}
    assert len(result.readings) == len(accounts)


@pytest.mark.parametrize(("currency", "amount"), [(100, 5), (101, 0)])
async def test_an_extra_currency_is_in_the_account_itself(currency: int, amount: int) -> None:
    watched = Watched(AccountKey("odd", "echidna"), OWNER, currency=currency)
    reading = await only(watched, Holder())
    assert (reading.ok, reading.amount, reading.account) == (True, amount, OWNER)
    assert (reading.proven, reading.kind, reading.jetton) == (True, None, None)


async def test_a_source_that_does_not_report_extra_currencies_says_nothing_of_them() -> None:
    watched = Watched(AccountKey("odd", "echidna"), OWNER, currency=100)
    result = await batch(watched, of=[NoCurrencies()])
    assert [each.reason for each in result.readings] == [Reason.METHOD_FAILED]
    assert [each.ok for each in result.samples] == [True]
    result = await batch(watched, of=[NoCurrencies(), Holder()])
    assert [each.amount for each in result.readings] == [5]


async def test_an_unknown_layout_is_read_by_a_get_method_and_unproven() -> None:
    reading = await only(
        UNKNOWN_LAYOUT, UnknownLayout(77, owner_argument(OWNER), owner_argument(MASTER))
    )
    assert (reading.ok, reading.amount, reading.proven) == (True, 77, False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((), Reason.METHOD_FAILED),
        ((77, owner_argument(UNUSED), owner_argument(MASTER)), Reason.BAD_ANSWER),
        ((77, owner_argument(OWNER), owner_argument(UNUSED)), Reason.BAD_ANSWER),
        ((-1, owner_argument(OWNER), owner_argument(MASTER)), Reason.BAD_ANSWER),
        ((77, 1, 2), Reason.BAD_ANSWER),
    ],
    ids=["no jetton wallet", "another owner", "another jetton", "negative", "no addresses"],
)
async def test_invalid_answers(answer: tuple[int | Cell, ...], reason: Reason) -> None:
    assert (await only(UNKNOWN_LAYOUT, UnknownLayout(*answer))).reason is reason


async def test_addresses_of_jetton_wallets_are_asked_once(network: WalletNetwork) -> None:
    found = JettonWallets()
    assert found.known(network.owner(), network.master) is None
    for source in (network.node, network.provider):
        await read([network.jettons()], [source], found, wall=time.time)
    assert (
        found.known(network.owner(), network.master)
        == network.simulator.world.wallets[0].jettons.address
    )
    found.forget(network.owner(), network.master)
    assert found.known(network.owner(), network.master) is None
