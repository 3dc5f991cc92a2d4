"""The faults of simulated wallets and contracts, and their expected totals under them."""

import aiohttp
import pytest

from tests.simulator.wallet_network import (
    WALLETS,
    WalletNetwork,
    count_jettons,
    count_native,
    expected_balances,
)
from tonwatch.simulator.contracts.expected_totals import NATIVE
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.upgradable import UpgradableContract
from tonwatch.simulator.contracts.wallets.wallet import (
    COIN,
    INITIAL_BALANCE,
    INITIAL_JETTONS,
    Wallet,
)
from tonwatch.simulator.control import Control
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator, UnknownTarget
from tonwatch.simulator.scenarios.scenario import Network, Scenario
from tonwatch.ton.address import parse
from tonwatch.ton.contracts.accounts import AccountStatus

FAULTS = [Fault.DRAIN, Fault.BOUNCE_PAYOUTS, Fault.FAILING_PAYOUTS, Fault.FROZEN]


def is_accounted_for(network: WalletNetwork, wallet: Wallet) -> None:
    """Expected totals, transactions and balances agree to the unit."""
    expected_totals = network.world.expected_totals[wallet.name]
    native, jettons = network.history(wallet.address), network.history(wallet.jettons.address)
    assert count_native(native, wallet.jettons.address) == expected_totals[NATIVE]
    assert count_jettons(jettons) == expected_totals[USDT]
    balances = network.balance(wallet), network.jettons(wallet)
    assert balances == expected_balances(network, wallet.name)


@pytest.mark.parametrize("fault", FAULTS)
def test_expected_totals_are_right_under_every_fault(fault: Fault) -> None:
    network = WalletNetwork(WALLETS[2:4], payouts_per_minute=20)
    for broken in (None, fault, None):
        for wallet in network.world.wallets:
            network.set_fault(wallet, broken)
        network.run(90)
    for wallet in network.world.wallets:
        is_accounted_for(network, wallet)


def test_expected_totals_are_right_under_all_faults_in_turn() -> None:
    network = WalletNetwork(WALLETS[:4], payouts_per_minute=30)
    for turn in range(30):
        for number, wallet in enumerate(network.world.wallets):
            wallet.change_faults()
            choice = (turn * 7 + number * 3) % (len(FAULTS) + 1)
            if choice < len(FAULTS):
                network.set_fault(wallet, FAULTS[choice])
        # Some last for one block only, some end before the next block.
        network.run((0.4, 30, 10)[turn % 3])
    for wallet in network.world.wallets:
        is_accounted_for(network, wallet)


@pytest.mark.parametrize("name", WALLETS)
def test_a_drained_wallet_loses_nearly_all_in_one_transaction(name: str) -> None:
    network = WalletNetwork([name], payouts_per_minute=20)
    wallet = network.wallet(name)
    network.run(10)
    network.set_fault(wallet, Fault.DRAIN)
    network.run(120)
    assert network.balance(wallet) < COIN
    largest = max(
        sent.value for each in network.history(wallet.address) for sent in each.messages_out
    )
    assert largest > INITIAL_BALANCE * 9 // 10
    assert not network.world.expected_totals[name][NATIVE].failed_transactions
    network.set_fault(wallet, None)
    network.run(5)
    assert network.balance(wallet) > INITIAL_BALANCE * 9 // 10


def test_a_native_payout_bounces_a_block_later_less_fees() -> None:
    network = WalletNetwork()
    network.set_fault(network.wallet(), Fault.BOUNCE_PAYOUTS)
    network.world.pay("payroll", 5 * COIN)
    network.chain.advance(2)
    paid, back = network.history(network.wallet().address)
    assert back.message_in is not None
    assert back.message_in.bounced
    assert back.message_in.source == paid.messages_out[0].destination
    assert 5 * COIN > back.message_in.value > 5 * COIN - COIN // 100
    assert network.world.expected_totals["payroll"][NATIVE].bounced_messages == 1


def test_an_amount_below_the_fees_does_not_bounce() -> None:
    network = WalletNetwork()
    network.set_fault(network.wallet(), Fault.BOUNCE_PAYOUTS)
    network.world.pay("payroll", 1)
    network.run(5)
    assert network.world.expected_totals["payroll"][NATIVE].bounced_messages == 0


def test_a_jetton_payout_bounces_to_the_jetton_wallet() -> None:
    network = WalletNetwork()
    network.set_fault(network.wallet(), Fault.BOUNCE_PAYOUTS)
    network.world.pay("payroll", 9_999_999, USDT)
    network.chain.advance(2)
    assert network.jettons(network.wallet()) == INITIAL_JETTONS - 9_999_999
    network.chain.advance()
    assert network.jettons(network.wallet()) == INITIAL_JETTONS
    totals = network.world.expected_totals["payroll"][USDT]
    assert (totals.sent_amount, totals.bounced_amount, totals.bounced_messages) == (
        9_999_999,
        9_999_999,
        1,
    )


@pytest.mark.parametrize("asset", [NATIVE, USDT])
@pytest.mark.parametrize("name", WALLETS)
def test_a_failing_payout_costs_fees_and_sends_nothing(name: str, asset: str) -> None:
    network = WalletNetwork()
    wallet = network.wallet(name)
    network.set_fault(wallet, Fault.FAILING_PAYOUTS)
    before = network.accounts.get(wallet.address)
    network.world.pay(name, COIN, asset)
    network.run(5)
    (only,) = network.history(wallet.address)
    assert only.compute_ok
    assert (only.action_ok, only.action_code, only.aborted) == (False, 37, True)
    assert only.messages_out == ()
    assert only.fees > 0
    after = network.accounts.get(wallet.address)
    assert before is not None
    assert after is not None
    # A failed action phase undoes all but the fees, the seqno too.
    assert after.data is before.data
    network.set_fault(wallet, None)
    network.world.pay(name, COIN, asset)
    network.run(5)
    assert network.world.expected_totals[name][asset].sent_messages == 1
    assert network.world.expected_totals[name][NATIVE].failed_transactions == {("action", 37): 1}


def test_a_frozen_wallet_pays_nothing_until_it_is_unfrozen() -> None:
    network = WalletNetwork(["payroll"], payouts_per_minute=30)
    wallet = network.wallet()
    network.run(30)
    before = network.accounts.get(wallet.address)
    assert before is not None
    network.set_fault(wallet, Fault.FROZEN)
    network.chain.advance()
    network.world.pay("payroll", COIN)
    sent = network.world.expected_totals["payroll"][NATIVE].sent_messages
    network.run(60)
    frozen = network.accounts.get(wallet.address)
    assert frozen is not None
    assert (frozen.status, frozen.code, frozen.data) == (AccountStatus.FROZEN, None, None)
    assert network.world.expected_totals["payroll"][NATIVE].sent_messages == sent
    assert network.world.expected_totals["payroll"][NATIVE].compute_skipped["no_state"]
    network.set_fault(wallet, None)
    network.chain.advance()
    after = network.accounts.get(wallet.address)
    assert after is not None
    assert after.status is AccountStatus.ACTIVE
    assert after.code is before.code
    network.run(60)
    assert network.world.expected_totals["payroll"][NATIVE].sent_messages > sent


def test_a_fault_that_ends_before_the_next_block_changes_nothing() -> None:
    network = WalletNetwork()
    for fault in (Fault.FROZEN, Fault.DRAIN):
        network.set_fault(network.wallet(), fault)
        network.set_fault(network.wallet(), None)
        network.chain.advance(5)
    assert network.history(network.wallet().address) == []


def test_a_contract_changes_its_code_and_changes_it_back() -> None:
    network = WalletNetwork(contracts=["registry"])
    (contract,) = network.world.contracts

    def code_hash() -> bytes:
        account = network.accounts.get(contract.address)
        assert account is not None
        assert account.code is not None
        return account.code.hash

    assert code_hash() == contract.code_hash
    network.set_fault(contract, Fault.CHANGED_CODE)
    network.chain.advance(3)
    assert code_hash() != contract.code_hash
    network.set_fault(contract, None)
    network.chain.advance(3)
    assert code_hash() == contract.code_hash
    assert [each.compute_ok for each in network.history(contract.address)] == [True, True]


# Targets of a network.


async def test_wallets_and_contracts_are_targets_by_name() -> None:
    async with Simulator(wallets=2, contracts=["registry"], automatic=False) as simulator:
        await simulator.set_fault("wallet-2", Fault.DRAIN)
        await simulator.set_fault("registry", Fault.CHANGED_CODE)
        simulator.chain.advance(3)
        wallet = simulator.world.wallets[1]
        account = simulator.world.accounts.get(wallet.address)
        assert account is not None
        assert account.balance < COIN
        assert simulator.target("wallet-2").faults
        await simulator.clear()
        assert not any(each.faults for each in simulator.breakable)


@pytest.mark.parametrize(
    ("target", "fault", "error"),
    [
        ("wallet-1", Fault.LAG, "it supports: drain, bounce_payouts, failing_payouts, frozen"),
        ("contract-1", Fault.DRAIN, "it supports: changed_code"),
        ("wallet-2", Fault.DRAIN, "targets are: chain, node-1, provider-1, wallet-1, contract-1"),
        ("node-1", Fault.DRAIN, "node-1 .liteserver. cannot drain"),
    ],
)
def test_unsupported_faults(target: str, fault: Fault, error: str) -> None:
    simulator = Simulator(liteservers=1, wallets=1, contracts=1)
    with pytest.raises(ValueError, match=error):
        simulator.check(target, fault)


def test_names_are_unique() -> None:
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
        reported = {each["name"]: each for each in (await answer.json())["targets"]}
    assert reported["wallet-1"]["kind"] == "wallet"
    assert list(reported["wallet-1"]["supported"]) == FAULTS
    assert reported["contract-1"]["kind"] == "contract"
    assert list(reported["contract-1"]["supported"]) == [Fault.CHANGED_CODE]


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
    assert [each.name for each in simulator.world.breakable] == ["payroll", "contract-1"]
    assert isinstance(simulator.target("contract-1"), UpgradableContract)
