"""What can be wrong with simulated wallets and contracts, and that the books stay true."""

import aiohttp
import pytest

from tests.simulator.town import WALLETS, Town, balance_of_books, count_jettons, count_native
from tonwatch.simulator.contracts.expected_totals import NATIVE
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.upgradable import Contract
from tonwatch.simulator.contracts.wallets.wallet import COIN, JETTONS_AT_START, START, Wallet
from tonwatch.simulator.control import Control
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator, UnknownTarget
from tonwatch.simulator.scenarios.scenario import Network, Scenario
from tonwatch.ton.accounts import AccountStatus
from tonwatch.ton.address import parse

FAULTS = [Fault.DRAIN, Fault.BOUNCE_PAYOUTS, Fault.FAILING_PAYOUTS, Fault.FROZEN]


def is_accounted_for(town: Town, wallet: Wallet) -> None:
    """Books, transactions and balances say the same, to the unit."""
    books = town.world.books[wallet.name]
    native, jettons = town.history(wallet.address), town.history(wallet.jettons.address)
    assert count_native(native, wallet.jettons.address) == books[NATIVE]
    assert count_jettons(jettons) == books[USDT]
    balances = town.balance(wallet), town.jettons(wallet)
    assert balances == balance_of_books(town, wallet.name)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_leaves_the_books_true(fault: Fault) -> None:
    town = Town(WALLETS[2:4], payouts_per_minute=20)
    for broken in (None, fault, None):
        for wallet in town.world.wallets:
            town.suffer(wallet, broken)
        town.run(90)
    for wallet in town.world.wallets:
        is_accounted_for(town, wallet)


def test_all_faults_one_after_the_other_leave_the_books_true() -> None:
    town = Town(WALLETS[:4], payouts_per_minute=30)
    for turn in range(30):
        for number, wallet in enumerate(town.world.wallets):
            wallet.change(None)
            choice = (turn * 7 + number * 3) % (len(FAULTS) + 1)
            if choice < len(FAULTS):
                town.suffer(wallet, FAULTS[choice])
        # Some last for one block only, some end before a block has seen them.
        town.run((0.4, 30, 10)[turn % 3])
    for wallet in town.world.wallets:
        is_accounted_for(town, wallet)


@pytest.mark.parametrize("name", WALLETS)
def test_a_drained_wallet_loses_nearly_all_in_one_transaction(name: str) -> None:
    town = Town([name], payouts_per_minute=20)
    wallet = town.wallet(name)
    town.run(10)
    town.suffer(wallet, Fault.DRAIN)
    town.run(120)
    assert town.balance(wallet) < COIN
    largest = max(sent.value for each in town.history(wallet.address) for sent in each.messages_out)
    assert largest > START * 9 // 10
    assert not town.world.books[name][NATIVE].failures
    town.suffer(wallet, None)
    town.run(5)
    assert town.balance(wallet) > START * 9 // 10


def test_a_native_payout_that_bounces_comes_back_a_block_later_less_fees() -> None:
    town = Town()
    town.suffer(town.wallet(), Fault.BOUNCE_PAYOUTS)
    town.world.pay("payroll", 5 * COIN)
    town.chain.advance(2)
    paid, back = town.history(town.wallet().address)
    assert back.message_in is not None
    assert back.message_in.bounced
    assert back.message_in.source == paid.messages_out[0].destination
    assert 5 * COIN > back.message_in.value > 5 * COIN - COIN // 100
    assert town.world.books["payroll"][NATIVE].bounced == 1


def test_too_little_to_pay_for_its_way_does_not_come_back() -> None:
    town = Town()
    town.suffer(town.wallet(), Fault.BOUNCE_PAYOUTS)
    town.world.pay("payroll", 1)
    town.run(5)
    assert town.world.books["payroll"][NATIVE].bounced == 0


def test_a_jetton_payout_that_bounces_comes_back_to_the_jetton_wallet() -> None:
    town = Town()
    town.suffer(town.wallet(), Fault.BOUNCE_PAYOUTS)
    town.world.pay("payroll", 9_999_999, USDT)
    town.chain.advance(2)
    assert town.jettons(town.wallet()) == JETTONS_AT_START - 9_999_999
    town.chain.advance()
    assert town.jettons(town.wallet()) == JETTONS_AT_START
    book = town.world.books["payroll"][USDT]
    assert (book.sent, book.returned, book.bounced) == (9_999_999, 9_999_999, 1)


@pytest.mark.parametrize("asset", [NATIVE, USDT])
@pytest.mark.parametrize("name", WALLETS)
def test_a_failing_payout_costs_fees_and_sends_nothing(name: str, asset: str) -> None:
    town = Town()
    wallet = town.wallet(name)
    town.suffer(wallet, Fault.FAILING_PAYOUTS)
    before = town.accounts.get(wallet.address)
    town.world.pay(name, COIN, asset)
    town.run(5)
    (only,) = town.history(wallet.address)
    assert only.compute_ok
    assert (only.action_ok, only.action_code, only.aborted) == (False, 37, True)
    assert only.messages_out == ()
    assert only.fees > 0
    after = town.accounts.get(wallet.address)
    assert before is not None
    assert after is not None
    # The chain takes everything back but the fees, the wallet's seqno too.
    assert after.data is before.data
    town.suffer(wallet, None)
    town.world.pay(name, COIN, asset)
    town.run(5)
    assert town.world.books[name][asset].messages_sent == 1
    assert town.world.books[name][NATIVE].failures == {("action", 37): 1}


def test_a_frozen_wallet_pays_nothing_until_it_is_itself_again() -> None:
    town = Town(["payroll"], payouts_per_minute=30)
    wallet = town.wallet()
    town.run(30)
    before = town.accounts.get(wallet.address)
    assert before is not None
    town.suffer(wallet, Fault.FROZEN)
    town.chain.advance()
    town.world.pay("payroll", COIN)
    sent = town.world.books["payroll"][NATIVE].messages_sent
    town.run(60)
    frozen = town.accounts.get(wallet.address)
    assert frozen is not None
    assert (frozen.status, frozen.code, frozen.data) == (AccountStatus.FROZEN, None, None)
    assert town.world.books["payroll"][NATIVE].messages_sent == sent
    assert town.world.books["payroll"][NATIVE].skipped["no_state"]
    town.suffer(wallet, None)
    town.chain.advance()
    after = town.accounts.get(wallet.address)
    assert after is not None
    assert after.status is AccountStatus.ACTIVE
    assert after.code is before.code
    town.run(60)
    assert town.world.books["payroll"][NATIVE].messages_sent > sent


def test_a_fault_that_ends_before_the_next_block_has_never_been() -> None:
    town = Town()
    for fault in (Fault.FROZEN, Fault.DRAIN):
        town.suffer(town.wallet(), fault)
        town.suffer(town.wallet(), None)
        town.chain.advance(5)
    assert town.history(town.wallet().address) == []


def test_a_contract_changes_its_code_and_changes_it_back() -> None:
    town = Town(contracts=["registry"])
    (contract,) = town.world.contracts

    def code_hash() -> bytes:
        account = town.accounts.get(contract.address)
        assert account is not None
        assert account.code is not None
        return account.code.hash

    assert code_hash() == contract.code_hash
    town.suffer(contract, Fault.CHANGED_CODE)
    town.chain.advance(3)
    assert code_hash() != contract.code_hash
    town.suffer(contract, None)
    town.chain.advance(3)
    assert code_hash() == contract.code_hash
    assert [each.compute_ok for each in town.history(contract.address)] == [True, True]


# The network around them.


async def test_wallets_and_contracts_are_targets_by_name() -> None:
    async with Simulator(wallets=2, contracts=["registry"], automatic=False) as simulator:
        await simulator.set_fault("wallet-2", Fault.DRAIN)
        await simulator.set_fault("registry", Fault.CHANGED_CODE)
        simulator.chain.advance(3)
        wallet = simulator.world.wallets[1]
        account = simulator.world.accounts.get(wallet.address)
        assert account is not None
        assert account.balance < COIN
        assert simulator.target("wallet-2").fault is not None
        await simulator.clear()
        assert all(each.fault is None for each in simulator.breakable)


@pytest.mark.parametrize(
    ("target", "fault", "error"),
    [
        ("wallet-1", Fault.LAG, "it supports: drain, bounce_payouts, failing_payouts, frozen"),
        ("contract-1", Fault.DRAIN, "it supports: changed_code"),
        ("wallet-2", Fault.DRAIN, "targets are: node-1, provider-1, wallet-1, contract-1, chain"),
        ("node-1", Fault.DRAIN, "node-1 .liteserver. cannot drain"),
    ],
)
def test_what_cannot_break_so(target: str, fault: Fault, error: str) -> None:
    simulator = Simulator(liteservers=1, wallets=1, contracts=1)
    with pytest.raises(ValueError, match=error):
        simulator.check(target, fault)


def test_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="'node-1' is taken"):
        Simulator(wallets=["node-1"])
    with pytest.raises(UnknownTarget, match="servers are: node-1, node-2, provider-1"):
        Simulator(wallets=1, external=["wallet-1"])


async def test_the_control_port_lists_them() -> None:
    async with (
        Simulator(wallets=1, contracts=1, automatic=False) as simulator,
        Control(simulator) as control,
        aiohttp.ClientSession() as session,
        session.get(f"{control.url}/targets") as answer,
    ):
        told = {each["name"]: each for each in (await answer.json())["targets"]}
    assert told["wallet-1"]["kind"] == "wallet"
    assert list(told["wallet-1"]["supported"]) == FAULTS
    assert told["contract-1"]["kind"] == "contract"
    assert list(told["contract-1"]["supported"]) == [Fault.CHANGED_CODE]


def test_the_configuration_names_them() -> None:
    simulator = Simulator(wallets=2, contracts=1)
    config = simulator.config()
    first, second = config["wallets"]
    assert first["name"] == "wallet-1"
    assert parse(first["address"]).address == simulator.world.wallets[0].address
    assert first["jettons"][0]["name"] == USDT
    assert first.get("write_probe")
    assert "write_probe" not in second
    assert config["contracts"][0]["code_hash"] == simulator.world.contracts[0].code_hash.hex()
    assert "wallets" not in Simulator().config()


def test_a_scenario_has_wallets() -> None:
    network = Network(wallets=("payroll",), contracts=1, payouts_per_minute=6)
    step = {"set": {"payroll": "drain", "contract-1": "changed_code"}}
    scenario = Scenario.model_validate({"network": network, "steps": [step]})
    simulator = scenario.simulator()
    assert [each.name for each in simulator.world.actors] == ["payroll", "contract-1"]
    assert isinstance(simulator.target("contract-1"), Contract)
