"""Reads accounts, many at a time, from the first source that answers.

A bad account never stops the others, and what one source fails to tell the next is asked.
"""

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tonwatch.probes.source import Reader, Source
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.contracts import jettons, wallets
from tonwatch.ton.contracts.accounts import Account, AccountAt, AccountStatus
from tonwatch.ton.errors import BadAnswer, Reason, TonError

_OF_THE_ACCOUNT: Final = frozenset(
    {
        Reason.METHOD_FAILED,
        Reason.BAD_ANSWER,
        Reason.PROOF_INVALID,
        Reason.PROBE_FAILED,
        # Behind one address there may be several servers, of which some have no such block yet.
        Reason.NOT_FOUND,
    }
)
"""Failures after which a source may still tell of other accounts."""

_NOT_OF_THE_SOURCE: Final = frozenset({Reason.METHOD_FAILED, Reason.PROBE_FAILED})
"""Failures that no other source would have spared us."""


class JettonWallets:
    """Addresses of jetton wallets, which never change: each is asked of its master once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Address, Address], Address] = {}

    def known(self, owner: Address, master: Address) -> Address | None:
        """The address, where it has been asked before."""
        return self._found.get((owner, master))

    async def find(self, reader: Reader, owner: Address, master: Address) -> Address:
        """The address of the wallet in which `owner` holds the jetton of `master`.

        Raises:
            TonError: ``method_failed`` where `master` is no jetton's master.
        """
        known = self._found.get((owner, master))
        if known is not None:
            return known
        result = await reader.run_method(
            master, "get_wallet_address", [jettons.owner_argument(owner)]
        )
        told = result.stack[0] if result.stack else None
        if result.exit_code or not isinstance(told, Cell):
            raise TonError(
                Reason.METHOD_FAILED,
                f"{master.friendly()} is no jetton's master: get_wallet_address ends with exit"
                f" code {result.exit_code}; check `master`",
            )
        address = Slice(told).address()
        if address is None:
            raise BadAnswer("get_wallet_address returned no address")
        self._found[owner, master] = address
        return address

    def clear(self) -> None:
        """Forget all: they are of another network."""
        self._found.clear()

    def forget(self, owner: Address, master: Address) -> None:
        """Ask again next time."""
        self._found.pop((owner, master), None)


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts that were read together, and how each source that was asked did."""

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]


async def read(
    batch: Sequence[Watched],
    sources: Sequence[Source],
    found: JettonWallets,
    *,
    wall: Callable[[], float],
) -> Batch:
    """Read every account of `batch`.

    Args:
        batch: what to read.
        sources: whom to ask, the best first.
        found: addresses of jetton wallets, completed on the way.
        wall: our clock, Unix seconds.
    """
    told: dict[AccountKey, Reading] = {}
    samples = []
    left = list(batch)
    for source in sources:
        if not left:
            break
        readings, sample = await _ask(source, left, found, wall)
        told.update(readings)
        samples.append(sample)
        left = [watched for watched in left if not told[watched.key].ok]
    return Batch(tuple(told.values()), tuple(samples))


async def _ask(
    source: Source, batch: Sequence[Watched], found: JettonWallets, wall: Callable[[], float]
) -> tuple[Mapping[AccountKey, Reading], Sample]:
    """What one source says of each account, and how it did."""
    loop = asyncio.get_running_loop()
    told: dict[AccountKey, Reading] = {}
    failures: list[tuple[Watched, TonError]] = []
    gone: TonError | None = None

    def failed(watched: Watched, error: TonError, started: float, bug: str = "") -> None:
        failures.append((watched, error))
        told[watched.key] = Reading(
            key=watched.key,
            source=source.name,
            started=started,
            finished=loop.time(),
            reason=error.reason,
            detail=error.detail,
            bug=bug,
        )

    async def one(reader: Reader, places: asyncio.Semaphore, watched: Watched) -> None:
        nonlocal gone
        async with places:
            started = wall()
            try:
                if gone is not None:
                    raise gone
                told[watched.key] = await _read(reader, source, watched, found, started)
            except TonError as error:
                if error.reason not in _OF_THE_ACCOUNT:
                    gone = error
                failed(watched, error, started)
            except Exception as error:  # noqa: BLE001 - whatever it is
                # A bug of ours must cost this account alone; its text could quote anything.
                bug = traceback.format_exc()
                words = f"bug in tonwatch: {type(error).__name__}"
                failed(watched, TonError(Reason.PROBE_FAILED, words), started, bug)

    with Recording(source.name, Probe.BALANCE, wall) as probe:
        try:
            reader = await source.reader()
        except TonError as error:
            for watched in batch:
                failed(watched, error, wall())
            raise
        places = asyncio.Semaphore(reader.at_once)
        await asyncio.gather(*(one(reader, places, watched) for watched in batch))
        _raise_worst(failures)
    sample = probe.sample
    return told, sample


def _raise_worst(failures: Sequence[tuple[Watched, TonError]]) -> None:
    """Say what is wrong with the source, a lie first; nothing where only accounts are at fault."""
    blamed = [each for each in failures if each[1].reason not in _NOT_OF_THE_SOURCE]
    lies = [each for each in blamed if each[1].reason is Reason.PROOF_INVALID]
    for watched, error in (lies or blamed)[:1]:
        name = " ".join(part for part in watched.key if part)
        raise TonError(error.reason, f"{name}: {error.detail}") from error


async def _read(
    reader: Reader, source: Source, watched: Watched, found: JettonWallets, started: float
) -> Reading:
    """Read one account.

    Raises:
        TonError: it was not told, or makes no sense.
    """
    owner, master = watched.account, watched.master
    address = owner if master is None else await found.find(reader, owner, master)
    at = await reader.account(address)
    amount, proven = at.account.balance, at.proven
    if master is not None:
        try:
            amount, proven = await _jettons(reader, at, owner, master)
        except BadAnswer:
            found.forget(owner, master)
            raise
    kind = wallets.kind_of(at.account.code_hash) if master is None else None
    state = _wallet_data(kind, at.account)
    return Reading(
        key=watched.key,
        source=source.name,
        started=started,
        finished=asyncio.get_running_loop().time(),
        account=address,
        status=at.account.status,
        amount=amount,
        proven=proven,
        block=at.seqno,
        time=at.time,
        last=at.account.last,
        code_hash=at.account.code_hash,
        kind=kind,
        seqno=state.seqno if state else None,
        last_clean=state.last_clean if state else None,
    )


async def _jettons(
    reader: Reader, at: AccountAt, owner: Address, master: Address
) -> tuple[int, bool]:
    """What a jetton wallet holds, and whether that is proven.

    The amount is read out of the account's own data where its layout is known: what a
    get-method returns is only somebody's word.
    """
    account = at.account
    if account.status is not AccountStatus.ACTIVE or account.data is None:
        return 0, at.proven
    amount = jettons.balance_in(account.data, owner, master)
    if amount is not None:
        return amount, at.proven
    result = await reader.run_method(account.address, "get_wallet_data", [])
    if result.exit_code or len(result.stack) < 3:
        raise TonError(
            Reason.METHOD_FAILED,
            f"{account.address.friendly()} is no jetton wallet: get_wallet_data ends with exit"
            f" code {result.exit_code}",
        )
    balance, *parties = result.stack[:3]
    told = [Slice(party).address() if isinstance(party, Cell) else None for party in parties]
    if not isinstance(balance, int) or balance < 0 or told != [owner, master]:
        raise BadAnswer("get_wallet_data tells of another owner or another jetton")
    return balance, False


def _wallet_data(kind: wallets.WalletKind | None, account: Account) -> wallets.WalletData | None:
    if kind is None or account.data is None:
        return None
    with suppress(BadAnswer):
        return wallets.read_data(kind, account.data)
    return None
