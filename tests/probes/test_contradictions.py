"""The compare probe finds false balances; the write probe finds targets that lose messages."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.probes.wallet_network import WALLETS, WalletNetwork, wallet_network
from tonwatch.probes.compare import compare
from tonwatch.probes.write_path import write_path
from tonwatch.samples.sample import Probe, Sample
from tonwatch.simulator.contracts.wallets.kinds import KINDS
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.errors import Reason


@pytest.fixture
async def network() -> AsyncIterator[WalletNetwork]:
    async with wallet_network() as made:
        yield made


async def compared(network: WalletNetwork, sources: list[Any]) -> dict[str, Sample]:
    seqno = network.simulator.chain.head.seqno - 3
    samples = await compare(
        network.owner(), sources, seqno, whose="wallet payouts", coin="TON", wall=time.time
    )
    assert {sample.probe for sample in samples} <= {Probe.COMPARE}
    return {sample.target: sample for sample in samples}


async def test_all_agree(network: WalletNetwork) -> None:
    samples = await compared(network, network.sources)
    assert {name: sample.reason for name, sample in samples.items()} == dict.fromkeys(
        ("node-1", "node-2", "provider-1"), Reason.OK
    )


async def test_a_provider_is_contradicted_by_a_proof(network: WalletNetwork) -> None:
    await network.simulator.set_fault("provider-1", Fault.FALSE_BALANCE)
    samples = await compared(network, network.sources)
    assert samples["provider-1"].reason is Reason.DISPROVED
    assert "of wallet payouts at block" in samples["provider-1"].detail
    assert "it claims 1,007 TON" in samples["provider-1"].detail
    assert "proven is 1,000 TON" in samples["provider-1"].detail
    assert samples["node-1"].ok


async def test_a_node_with_a_false_balance_contradicts_its_own_proof(
    network: WalletNetwork,
) -> None:
    await network.simulator.set_fault("node-1", Fault.FALSE_BALANCE)
    samples = await compared(network, network.sources)
    assert samples["node-1"].reason is Reason.PROOF_INVALID
    assert samples["node-2"].ok
    assert samples["provider-1"].ok


async def test_without_a_proof_no_target_is_compared(network: WalletNetwork) -> None:
    await network.simulator.set_fault("provider-1", Fault.FALSE_BALANCE)
    assert await compared(network, [network.provider]) == {}
    await network.simulator.set_fault("node-1", Fault.REFUSE)
    samples = await compared(network, [network.node, network.provider])
    assert [(name, sample.reason) for name, sample in samples.items()] == [
        ("node-1", Reason.CONNECT_REFUSED)
    ]


async def test_a_balance_that_changes_meanwhile_is_no_contradiction(network: WalletNetwork) -> None:
    """All are asked at the same block."""
    network.simulator.world.pay("wallet-1", 12345)
    network.simulator.chain.advance(4)
    samples = await compared(network, network.sources)
    assert all(sample.ok for sample in samples.values())


@pytest.mark.parametrize("number", range(WALLETS), ids=[str(kind) for kind in KINDS])
@pytest.mark.parametrize("through", ["node-1", "provider-1"])
async def test_the_wallets_own_refusal_proves_the_path(
    network: WalletNetwork, number: int, through: str
) -> None:
    source = next(each for each in network.sources if each.name == through)
    before = network.simulator.world.wallets[number].seqno
    sample = await write_path(source, network.owner(number), KINDS[number], wall=time.time)
    assert sample is not None
    assert (sample.probe, sample.reason, sample.detail) == (Probe.WRITE, Reason.OK, "")
    network.simulator.chain.advance(3)
    assert network.simulator.world.wallets[number].seqno == before


@pytest.mark.parametrize("through", ["node-1", "provider-1"])
async def test_a_refusal_before_the_wallet_proves_nothing(
    network: WalletNetwork, through: str
) -> None:
    await network.simulator.set_fault(through, Fault.REJECT_EXTERNALS)
    source = next(each for each in network.sources if each.name == through)
    sample = await write_path(source, network.owner(), KINDS[0], wall=time.time)
    assert sample is not None
    assert sample.reason is Reason.MESSAGE_REJECTED
    assert "configuration parameter 43 is invalid" in sample.detail


async def test_the_check_of_another_kind_of_wallet_proves_nothing(network: WalletNetwork) -> None:
    """The message for one kind, refused by another with an unexpected exit code."""
    sample = await write_path(network.node, network.owner(1), KINDS[0], wall=time.time)
    assert sample is not None
    assert sample.reason is Reason.MESSAGE_REJECTED


class AcceptsEverything:
    """A source that accepts every message."""

    name = "accepts everything"
    proves = False

    async def send_message(self, _: bytes) -> None:
        pass


async def test_accepting_everything_proves_nothing(network: WalletNetwork) -> None:
    sample = await write_path(AcceptsEverything(), network.owner(), KINDS[0], wall=time.time)  # type: ignore[arg-type]
    assert sample is not None
    assert sample.reason is Reason.BAD_ANSWER
    assert "accepted a message that no wallet accepts" in sample.detail
