"""Reads the same account at the same block from every source, and compares.

Answers without a proof name the block that they were read at; then a proof is requested for that
block. The proven state decides.
"""

import asyncio
from collections.abc import Callable, Sequence

from tonwatch.config.amounts import NATIVE_DECIMALS, written
from tonwatch.probes.source import Source
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import Account, AccountAt
from tonwatch.ton.errors import Reason, TonError


async def compare(
    account: Address,
    sources: Sequence[Source],
    seqno: int,
    *,
    whose: str,
    coin: str,
    wall: Callable[[], float],
) -> list[Sample]:
    """A sample for each source: ``disproved`` where it contradicts a proven answer.

    A source without proofs gets none where it answers and no proof is available: an unchecked
    answer must not clear an earlier contradiction.

    Args:
        account: to be read.
        sources: those to compare.
        seqno: of a masterchain block that all of them have.
        whose: the account as people call it, such as ``wallet payouts``.
        coin: the native coin's configured name.
        wall: local clock, Unix seconds.
    """
    proving = [source for source in sources if source.proves]
    unproven = [source for source in sources if not source.proves]
    proofs: dict[int, AccountAt] = {}
    unchecked: set[str] = set()

    async def proof_at(block: int) -> AccountAt | None:
        """The account as proven by any source."""
        for source in proving:
            if block not in proofs:
                try:
                    proofs[block] = await (await source.reader(block)).account(account)
                except TonError:
                    continue  # its own sample has the error
        return proofs.get(block)

    async def prove(source: Source) -> Sample:
        with Recording(source.name, Probe.COMPARE, wall) as probe:
            at = await (await source.reader(seqno)).account(account)
            proofs.setdefault(seqno, at)
        return probe.sample

    async def check(source: Source) -> Sample:
        with Recording(source.name, Probe.COMPARE, wall) as probe:
            claimed = await (await source.reader(seqno)).account(account)
            if claimed.seqno is None:
                raise TonError(Reason.UNSUPPORTED, "does not say at which block it reads")
            proven = await proof_at(claimed.seqno)
            if proven is None:
                unchecked.add(source.name)
            else:
                _check(claimed, proven, whose, coin)
        return probe.sample

    samples = await asyncio.gather(*(prove(source) for source in proving))
    samples += await asyncio.gather(*(check(source) for source in unproven))
    return [sample for sample in samples if sample.target not in unchecked]


def _check(claimed: AccountAt, proven: AccountAt, whose: str, coin: str) -> None:
    """Raise `TonError` where a claim contradicts the proven account at the same block."""
    if _compared(claimed.account) != _compared(proven.account):
        raise TonError(
            Reason.DISPROVED,
            f"of {whose} at block {proven.seqno} it claims {_described(claimed.account, coin)};"
            f" proven is {_described(proven.account, coin)}",
        )


def _compared(account: Account) -> tuple[int, int | None]:
    # Not the status: servers differ in how they report missing and deleted accounts.
    return account.balance, account.last.lt if account.last else None


def _described(account: Account, coin: str) -> str:
    last = f"after transaction {account.last.lt}" if account.last else "without a transaction"
    return f"{written(account.balance, NATIVE_DECIMALS)} {coin} {last}"
