"""The compare probe finds false balances; the write probe finds targets that lose messages."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.probes.wallet_lab import WALLETS, WalletLab, wallet_lab
from tonwatch.probes.compare import compare
from tonwatch.probes.write_path import write_path
from tonwatch.samples.sample import Probe, Sample
from tonwatch.simulator.contracts.wallets.kinds import KINDS
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.errors import Reason


@pytest.fixture
async def lab() -> AsyncIterator[WalletLab]:
    async with wallet_lab() as made:
        yield made


async def compared(lab: WalletLab, sources: list[Any]) -> dict[str, Sample]:
    seqno = lab.simulator.chain.head.seqno - 3
    samples = await compare(lab.owner(), sources, seqno, wall=time.time)
    assert {sample.probe for sample in samples} <= {Probe.COMPARE}
    return {sample.target: sample for sample in samples}


async def test_all_agree(lab: WalletLab) -> None:
    samples = await compared(lab, lab.sources)
    assert {name: sample.reason for name, sample in samples.items()} == dict.fromkeys(
        ("node-1", "node-2", "provider-1"), Reason.OK
    )


async def test_a_provider_is_contradicted_by_a_proof(lab: WalletLab) -> None:
    await lab.simulator.set_fault("provider-1", Fault.FALSE_BALANCE)
    samples = await compared(lab, lab.sources)
    assert samples["provider-1"].reason is Reason.DISPROVED
    assert "it says 1007000000000 nano" in samples["provider-1"].detail
    assert "proven is 1000000000000 nano" in samples["provider-1"].detail
    assert samples["node-1"].ok


async def test_a_node_with_a_false_balance_contradicts_its_own_proof(lab: WalletLab) -> None:
    await lab.simulator.set_fault("node-1", Fault.FALSE_BALANCE)
    samples = await compared(lab, lab.sources)
    assert samples["node-1"].reason is Reason.PROOF_INVALID
    assert samples["node-2"].ok
    assert samples["provider-1"].ok


async def test_without_a_proof_no_target_is_compared(lab: WalletLab) -> None:
    await lab.simulator.set_fault("provider-1", Fault.FALSE_BALANCE)
    assert await compared(lab, [lab.provider]) == {}
    await lab.simulator.set_fault("node-1", Fault.REFUSE)
    samples = await compared(lab, [lab.node, lab.provider])
    assert [(name, sample.reason) for name, sample in samples.items()] == [
        ("node-1", Reason.CONNECT_REFUSED)
    ]


async def test_a_balance_that_changes_meanwhile_is_no_contradiction(lab: WalletLab) -> None:
    """All are asked at the same block."""
    lab.simulator.world.pay("wallet-1", 12345)
    lab.simulator.chain.advance(4)
    samples = await compared(lab, lab.sources)
    assert all(sample.ok for sample in samples.values())


@pytest.mark.parametrize("number", range(WALLETS), ids=[str(kind) for kind in KINDS])
@pytest.mark.parametrize("through", ["node-1", "provider-1"])
async def test_the_wallets_own_refusal_proves_the_path(
    lab: WalletLab, number: int, through: str
) -> None:
    source = next(each for each in lab.sources if each.name == through)
    before = lab.simulator.world.wallets[number].seqno
    sample = await write_path(source, lab.owner(number), KINDS[number], wall=time.time)
    assert (sample.probe, sample.reason, sample.detail) == (Probe.WRITE, Reason.OK, "")
    lab.simulator.chain.advance(3)
    assert lab.simulator.world.wallets[number].seqno == before


@pytest.mark.parametrize("through", ["node-1", "provider-1"])
async def test_a_refusal_before_the_wallet_proves_nothing(lab: WalletLab, through: str) -> None:
    await lab.simulator.set_fault(through, Fault.REJECT_EXTERNALS)
    source = next(each for each in lab.sources if each.name == through)
    sample = await write_path(source, lab.owner(), KINDS[0], wall=time.time)
    assert sample.reason is Reason.MESSAGE_REJECTED
    assert "configuration parameter 43 is invalid" in sample.detail


async def test_the_check_of_another_kind_of_wallet_proves_nothing(lab: WalletLab) -> None:
    """The message for one kind, refused by another with an unexpected exit code."""
    sample = await write_path(lab.node, lab.owner(1), KINDS[0], wall=time.time)
    assert sample.reason is Reason.MESSAGE_REJECTED


class AcceptsEverything:
    """A source that accepts every message."""

    name = "accepts everything"
    proves = False

    async def send_message(self, _: bytes) -> None:
        pass


async def test_accepting_everything_proves_nothing(lab: WalletLab) -> None:
    sample = await write_path(AcceptsEverything(), lab.owner(), KINDS[0], wall=time.time)  # type: ignore[arg-type]
    assert sample.reason is Reason.BAD_ANSWER
    assert "took a message that no wallet accepts" in sample.detail
