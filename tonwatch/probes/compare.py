"""Asks every source for the same account at the same block, and compares.

Providers are asked first and say at which block they read; then a proof is
asked for at that very block. What is proven decides who is right.
"""

import asyncio
from collections.abc import Callable, Sequence

from tonwatch.probes.source import Source
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import Account, AccountAt
from tonwatch.ton.errors import Reason, TonError


async def compare(
    account: Address, sources: Sequence[Source], seqno: int, *, wall: Callable[[], float]
) -> list[Sample]:
    """A sample for each source: ``disproved`` where it contradicts a proven answer.

    A source without proofs gets none where it answers and nobody proves anything: that it was
    not contradicted must not clear it of what it told before.

    Args:
        account: to be read.
        sources: all that are to be asked.
        seqno: of a masterchain block that all of them have.
        wall: our clock, Unix seconds.
    """
    proving = [source for source in sources if source.proves]
    telling = [source for source in sources if not source.proves]
    proofs: dict[int, AccountAt] = {}
    unchecked: set[str] = set()

    async def proof_at(block: int) -> AccountAt | None:
        """The account as some liteserver proves it."""
        for source in proving:
            if block not in proofs:
                try:
                    proofs[block] = await (await source.reader(block)).account(account)
                except TonError:
                    continue  # it has its own sample, which says so
        return proofs.get(block)

    async def prove(source: Source) -> Sample:
        with Recording(source.name, Probe.COMPARE, wall) as probe:
            at = await (await source.reader(seqno)).account(account)
            proofs.setdefault(seqno, at)
        return probe.sample

    async def check(source: Source) -> Sample:
        with Recording(source.name, Probe.COMPARE, wall) as probe:
            told = await (await source.reader(seqno)).account(account)
            if told.seqno is None:
                raise TonError(Reason.UNSUPPORTED, "does not say at which block it reads")
            proven = await proof_at(told.seqno)
            if proven is None:
                unchecked.add(source.name)
            else:
                _contradiction(told, proven)
        return probe.sample

    samples = await asyncio.gather(*(prove(source) for source in proving))
    samples += await asyncio.gather(*(check(source) for source in telling))
    return [sample for sample in samples if sample.target not in unchecked]


def _contradiction(told: AccountAt, proven: AccountAt) -> None:
    """Raise where both cannot be true of the same account at the same block."""
    said, fact = told.account, proven.account
    if _gist(said) != _gist(fact):
        raise TonError(
            Reason.DISPROVED,
            f"at block {proven.seqno} it says {_words(said)}; proven is {_words(fact)}",
        )


def _gist(account: Account) -> tuple[int, int | None]:
    # An account that never was and one that has gone differ in words only.
    return account.balance, account.last.lt if account.last else None


def _words(account: Account) -> str:
    last = f"after transaction {account.last.lt}" if account.last else "without a transaction"
    return f"{account.balance} nano {last}"
