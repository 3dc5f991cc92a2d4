"""Reads accounts, many at a time, from the first source that answers.

A failing account does not stop the others, and is read from the next source.
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
from tonwatch.ton.contracts.jettons import JettonData
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
"""Failures of one account, after which the same source is used for others."""

_NOT_OF_THE_SOURCE: Final = frozenset({Reason.METHOD_FAILED, Reason.PROBE_FAILED})
"""Failures that do not depend on the source."""


class JettonWallets:
    """Cached addresses of jetton wallets, which never change."""

    def __init__(self) -> None:
        self._found: dict[tuple[Address, Address], Address] = {}

    def known(self, owner: Address, master: Address) -> Address | None:
        """The address; None where it is not cached."""
        return self._found.get((owner, master))

    async def find(self, reader: Reader, owner: Address, master: Address) -> Address:
        """The address of the wallet in which `owner` holds the jetton of `master`.

        Raises:
            TonError: ``method_failed`` where `master` is not a jetton master.
        """
        known = self._found.get((owner, master))
        if known is not None:
            return known
        result = await reader.run_method(
            master, "get_wallet_address", [jettons.owner_argument(owner)]
        )
        value = result.stack[0] if result.stack else None
        if result.exit_code or not isinstance(value, Cell):
            raise TonError(
                Reason.METHOD_FAILED,
                f"{master.friendly()} is not a jetton master: get_wallet_address ends with exit"
                f" code {result.exit_code}; check `master`",
            )
        address = Slice(value).address()
        if address is None:
            raise BadAnswer("get_wallet_address returned no address")
        self._found[owner, master] = address
        return address

    def clear(self) -> None:
        """Drop all, where they are of another network."""
        self._found.clear()

    def forget(self, owner: Address, master: Address) -> None:
        """Drop an address, to query it again."""
        self._found.pop((owner, master), None)


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts that were read together, and a sample for each source in use."""

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]


async def read(
    batch: Sequence[Watched],
    sources: Sequence[Source],
    jetton_wallets: JettonWallets,
    *,
    wall: Callable[[], float],
) -> Batch:
    """Read every account of `batch`.

    Args:
        batch: what to read.
        sources: the best first.
        jetton_wallets: cached addresses; new ones are added.
        wall: local clock, Unix seconds.
    """
    latest: dict[AccountKey, Reading] = {}
    samples = []
    left = list(batch)
    for source in sources:
        if not left:
            break
        readings, sample = await _read_all(source, left, jetton_wallets, wall)
        latest.update(readings)
        samples.append(sample)
        left = [watched for watched in left if not latest[watched.key].ok]
    return Batch(tuple(latest.values()), tuple(samples))


async def _read_all(
    source: Source,
    batch: Sequence[Watched],
    jetton_wallets: JettonWallets,
    wall: Callable[[], float],
) -> tuple[Mapping[AccountKey, Reading], Sample]:
    """A reading of each account from one source, and the source's sample."""
    loop = asyncio.get_running_loop()
    readings: dict[AccountKey, Reading] = {}
    failures: list[tuple[Watched, TonError]] = []
    source_failure: TonError | None = None

    def failed(watched: Watched, error: TonError, started: float, bug: str = "") -> None:
        failures.append((watched, error))
        readings[watched.key] = Reading(
            key=watched.key,
            source=source.name,
            started=started,
            finished=loop.time(),
            reason=error.reason,
            detail=error.detail,
            bug=bug,
        )

    async def read_one(reader: Reader, slots: asyncio.Semaphore, watched: Watched) -> None:
        nonlocal source_failure
        async with slots:
            started = wall()
            try:
                if source_failure is not None:
                    raise source_failure
                readings[watched.key] = await _read(
                    reader, source, watched, jetton_wallets, started
                )
            except TonError as error:
                if error.reason not in _OF_THE_ACCOUNT:
                    source_failure = error
                failed(watched, error, started)
            except Exception as error:  # noqa: BLE001 - whatever it is
                # A bug must cost this account alone; the exception's text may have secrets.
                bug = traceback.format_exc()
                detail = f"bug in tonwatch: {type(error).__name__}"
                failed(watched, TonError(Reason.PROBE_FAILED, detail), started, bug)

    with Recording(source.name, Probe.BALANCE, wall) as probe:
        try:
            reader = await source.reader()
        except TonError as error:
            for watched in batch:
                failed(watched, error, wall())
            raise
        slots = asyncio.Semaphore(reader.at_once)
        await asyncio.gather(*(read_one(reader, slots, watched) for watched in batch))
        _raise_worst(failures)
    sample = probe.sample
    return readings, sample


def _raise_worst(failures: Sequence[tuple[Watched, TonError]]) -> None:
    """Raise a failure of the source, an invalid proof first; none where only accounts fail."""
    of_source = [each for each in failures if each[1].reason not in _NOT_OF_THE_SOURCE]
    invalid = [each for each in of_source if each[1].reason is Reason.PROOF_INVALID]
    for watched, error in (invalid or of_source)[:1]:
        name = " ".join(part for part in watched.key if part)
        raise TonError(error.reason, f"{name}: {error.detail}") from error


async def _read(
    reader: Reader,
    source: Source,
    watched: Watched,
    jetton_wallets: JettonWallets,
    started: float,
) -> Reading:
    """Read one account.

    Raises:
        TonError: the query failed, or the answer is invalid.
    """
    owner, master = watched.account, watched.master
    address = owner if master is None else await jetton_wallets.find(reader, owner, master)
    at = await reader.account(address)
    amount, claimed, proven = at.account.balance, None, at.proven
    if watched.currency is not None:
        amount = _currency(at.account, watched.currency, source.name)
    if master is not None:
        try:
            (amount, claimed), proven = await _jettons(reader, at, owner, master)
        except BadAnswer:
            jetton_wallets.forget(owner, master)
            raise
    is_own = master is None and watched.currency is None
    kind = wallets.kind_of(at.account.code_hash) if is_own else None
    state = _wallet_data(kind, at.account, at.time if at.time is not None else int(started))
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
        seqno=state.seqno,
        last_clean=state.last_clean,
        subwallet=state.subwallet,
        signers=state.signers,
        threshold=state.threshold,
        locked=state.locked,
        jetton=jettons.kind_of(at.account.code_hash) if master is not None else None,
        claimed=claimed,
    )


async def _jettons(
    reader: Reader, at: AccountAt, owner: Address, master: Address
) -> tuple[JettonData, bool]:
    """What a jetton wallet stores, and whether it is proven.

    It is read from the account's data where the layout is known: the result of a get method is
    unproven.
    """
    account = at.account
    if account.status is not AccountStatus.ACTIVE or account.data is None:
        return JettonData(0), at.proven
    stored = jettons.read_data(account.data, owner, master)
    if stored is not None:
        return stored, at.proven
    result = await reader.run_method(account.address, "get_wallet_data", [])
    if result.exit_code or len(result.stack) < 3:
        raise TonError(
            Reason.METHOD_FAILED,
            f"{account.address.friendly()} is not a jetton wallet: get_wallet_data ends with exit"
            f" code {result.exit_code}",
        )
    balance, *parties = result.stack[:3]
    named = [Slice(party).address() if isinstance(party, Cell) else None for party in parties]
    if not isinstance(balance, int) or balance < 0 or named != [owner, master]:
        raise BadAnswer("get_wallet_data returned another owner or another jetton")
    return JettonData(balance), False


def _currency(account: Account, currency: int, source: str) -> int:
    """How much of an extra currency an account holds."""
    if account.currencies is None:
        raise TonError(Reason.METHOD_FAILED, f"{source} does not report extra currencies")
    return account.currencies.get(currency, 0)


def _wallet_data(
    kind: wallets.WalletKind | None, account: Account, time: int
) -> wallets.WalletData:
    """What a wallet stores; nothing of another contract, or where its layout is another."""
    if kind is None or account.data is None:
        return wallets.WalletData()
    with suppress(BadAnswer):
        return wallets.read_data(kind, account.data, time)
    return wallets.WalletData()
