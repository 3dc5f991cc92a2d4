"""Faults of the whole chain: it goes on slowly, or goes back."""

import asyncio

import pytest

from tests import virtual_time
from tests.simulator.small_network import connect, info, small_network
from tests.simulator.wallet_network import WALLETS, WalletNetwork
from tests.virtual_time import VirtualLoop
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import COIN, INITIAL_JETTONS
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.simulator.network import CHAIN, Simulator
from tonwatch.ton.contracts.accounts import AccountStatus

# Slow blocks.


def test_blocks_are_as_far_apart_as_the_fault_says_from_now_on() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        async with Simulator(liteservers=1, providers=0, backfill=4, clock=loop.wall) as simulator:
            chain = simulator.chain
            seen: list[float] = []
            chain.subscribe(lambda: seen.append(round(loop.time(), 2)))
            await asyncio.sleep(1.0)
            await simulator.set_fault(CHAIN, Fault.SLOW_BLOCKS, 12)
            await asyncio.sleep(30.0)
            await simulator.clear(CHAIN)
            await asyncio.sleep(1.0)
            return seen

    assert virtual_time.run(main) == [0.4, 0.8, 13.0, 25.0, 31.4, 31.8]


def test_slow_and_stalled_chains_are_continued() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        async with Simulator(liteservers=1, providers=0, backfill=4, clock=loop.wall) as simulator:
            heads = []
            for faults in ([Fault.SLOW_BLOCKS, Fault.STALL], [Fault.SLOW_BLOCKS], []):
                checked = [simulator.check(CHAIN, fault) for fault in faults]
                await simulator.set_faults(CHAIN, *checked)
                await asyncio.sleep(25.0)
                heads.append(simulator.chain.head.seqno)
            return heads

    assert virtual_time.run(main) == [10, 12, 74]


# Going back.


async def test_the_chain_goes_on_with_other_blocks_and_fresh_times() -> None:
    async with small_network() as it:
        chain, clock = it.chain, it.clock
        connection = await connect(it.node)
        before = {block.seqno: block.id for block in chain._blocks}
        zerostate = chain.zerostate
        clock.now += 1
        chain.rewind(50)
        assert chain.zerostate == zerostate
        seen = await info(connection)
        assert (seen["last"]["seqno"], seen["last_utime"]) == (31, int(clock.now))
        for seqno in range(25, 31):
            kept = chain.block(seqno)
            assert kept is not None
            assert kept.id == before[seqno]
        assert chain.head.prev.id == before[30]
        chain.advance(60)
        for block in chain._blocks:
            if block.seqno > 30:
                assert block.id != before.get(block.seqno)
                assert block.shard is not None
                assert block.shard.id.seqno == block.seqno
        chain.rewind(500)
        assert chain.head.seqno == 2, "to the oldest block at most"
        await connection.close()


async def test_a_fork_starts_anew_where_the_chain_goes_back() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.FORK)
        it.chain.advance(3)
        it.chain.rewind(10)
        it.chain.advance(2)
        fork = it.node.chain
        assert fork.head.seqno == it.chain.head.seqno == 76
        assert fork.head.id != it.chain.head.id
        assert fork.block(73) is it.chain.block(73), "until there they are one"


async def test_a_rewind_happens_once() -> None:
    async with Simulator(liteservers=1, providers=0, backfill=40, automatic=False) as simulator:
        rewind = ActiveFault(Fault.REWIND, 50.0)
        for faults, seqno in (
            ([rewind], 51),
            ([rewind, ActiveFault(Fault.STALL, 0.0)], 51),
            ([], 51),
            ([rewind], 2),
        ):
            await simulator.set_faults(CHAIN, *faults)
            assert simulator.chain.head.seqno == seqno
        assert simulator.target(CHAIN).faults == (rewind,)


@pytest.mark.parametrize("name", WALLETS)
def test_what_wallets_did_after_that_block_is_undone_and_they_go_on(name: str) -> None:
    network = WalletNetwork()
    wallet = network.wallet(name)
    network.world.pay(name, COIN)
    network.run(2)
    kept = [each.id for each in network.history(wallet.address)]
    balance, seqno = network.balance(wallet), wallet.seqno
    back_to = network.chain.head.seqno
    for _ in range(3):
        network.world.pay(name, COIN)
        network.run(2)
    assert len(network.history(wallet.address)) > len(kept)
    network.chain.rewind(network.chain.head.seqno - back_to)
    assert [each.id for each in network.history(wallet.address)] == kept
    assert network.balance(wallet) == balance
    network.world.pay(name, 2 * COIN)
    network.run(2)
    paid = network.history(wallet.address)
    assert len(paid) == len(kept) + 1
    assert [message.value for message in paid[-1].messages_out] == [2 * COIN]
    assert (paid[-1].compute_ok, paid[-1].action_ok) == (True, True)
    assert wallet.wallet_kind.startswith("highload") or wallet.seqno == seqno + 1


def test_messages_that_were_on_their_way_arrive_again() -> None:
    network = WalletNetwork(["payroll"])
    wallet = network.wallet()
    network.world.pay(wallet.name, 1_000_000, USDT)
    network.run(0.4)
    back_to = network.chain.head.seqno
    sums = []
    for _ in range(2):
        network.run(4)
        sums.append((network.balance(wallet), network.jettons(wallet)))
        network.chain.rewind(network.chain.head.seqno - back_to)
    assert sums[0][1] == INITIAL_JETTONS - 1_000_000
    assert sums[0] == sums[1]


def test_faults_of_wallets_are_applied_again() -> None:
    network = WalletNetwork(["payroll"], ["registry"])
    wallet, (registry,) = network.wallet(), network.world.contracts
    network.run(2)
    back_to = network.chain.head.seqno
    network.set_fault(wallet, Fault.FROZEN)
    network.set_fault(registry, Fault.CHANGED_CODE)
    network.run(2)
    network.chain.rewind(network.chain.head.seqno - back_to)
    network.run(2)
    account, contract = (network.accounts.get(each.address) for each in (wallet, registry))
    assert account is not None
    assert contract is not None
    assert contract.code is not None
    assert account.status is AccountStatus.FROZEN
    assert contract.code.hash != registry.code_hash
    # And the other way round: a fault that has ended since.
    frozen_at = network.chain.head.seqno
    network.set_fault(wallet, None)
    network.set_fault(registry, None)
    network.run(2)
    network.chain.rewind(network.chain.head.seqno - frozen_at)
    network.run(2)
    account, contract = (network.accounts.get(each.address) for each in (wallet, registry))
    assert account is not None
    assert contract is not None
    assert contract.code is not None
    assert account.status is AccountStatus.ACTIVE
    assert contract.code.hash == registry.code_hash
