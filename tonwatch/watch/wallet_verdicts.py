"""Judges wallets and contracts: balances, minimums, payouts and code.

Pure: the same snapshot gives the same verdicts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from tonwatch.config.amounts import written
from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE, Contract, Wallet
from tonwatch.samples.account import AccountKey, Reading
from tonwatch.samples.payouts import PayoutProgress, Trouble, TroubleKind
from tonwatch.samples.sample import Probe
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.store import AccountRecord, Snapshot

GAP_IS_NEWS: Final = 24 * 3600.0
"""Seconds for which a gap in the payouts is a finding; totals never include it."""

_NOTHING: Final = AccountRecord()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One asset of a wallet.

    Attributes:
        asset: ``native``, or the configured name of a jetton or an extra currency.
        unit: the coin's configured name, or as `asset`, for amounts that people read.
        decimals: of the asset: one unit is 10 to the power of that smallest units.
        minimum: smallest units below which it is low; None where there is none.
        reading: the balance, where known and recent enough; None otherwise.
        trouble: why it cannot be read, in one line; empty where no reading failed.
        failure: the reason of that; None likewise.
        progress: of its payouts; None where they are not counted, or not yet.
        gap: lately some of them could not be counted, since no source had them any more.
        currency: id of an extra currency, whose payouts are not counted; None of others.
    """

    asset: str
    unit: str
    decimals: int
    minimum: int | None
    reading: Reading | None
    trouble: str
    failure: Reason | None
    progress: PayoutProgress | None
    gap: bool = False
    currency: int | None = None

    @property
    def is_jetton(self) -> bool:
        """Whether it is held in an account of its own."""
        return self.asset != NATIVE and self.currency is None

    @property
    def amount(self) -> int | None:
        """Smallest units held; None where not known."""
        return self.reading.amount if self.reading is not None else None

    @property
    def low(self) -> bool:
        """Known to be below the minimum. What is not known is not low."""
        amount = self.amount
        return amount is not None and self.minimum is not None and amount < self.minimum

    def written(self, units: int) -> str:
        """Smallest units as people read them, exactly: 1,234.5 TON."""
        return f"{written(units, self.decimals)} {self.unit}"

    @property
    def backlog(self) -> int | None:
        """Transactions known to be not counted yet; None where payouts are not counted.

        A reading since the last count may show a newer transaction.
        """
        if self.progress is None:
            return None
        newest = self.reading.last if self.reading is not None else None
        is_newer = newest is not None and newest.lt > self.progress.cursor.lt
        return max(self.progress.backlog, int(is_newer))

    @property
    def read_failing(self) -> bool:
        """It cannot be read although a source was queried."""
        return self.reading is None and bool(self.trouble)


# No slots: derived values are computed once, and a verdict lasts for many evaluations.
@dataclass(frozen=True, kw_only=True)
class WalletVerdict:
    """The state of one wallet.

    Attributes:
        name: configured name.
        account: its address.
        holdings: by asset; the native coin first.
        failed: payouts that failed within the window, newest last.
        bounced: payouts that bounced within the window, newest last.
        write_probe: it is sent messages that it must refuse.
    """

    name: str
    account: Address
    holdings: Mapping[str, Holding]
    failed: tuple[Trouble, ...] = ()
    bounced: tuple[Trouble, ...] = ()
    write_probe: bool = False

    @property
    def reading(self) -> Reading | None:
        """Of the wallet's own account; None where not known."""
        return self.holdings[NATIVE].reading

    @property
    def coin(self) -> str:
        """The native coin's configured name."""
        return self.holdings[NATIVE].unit

    @property
    def frozen(self) -> bool:
        return self.reading is not None and self.reading.status is AccountStatus.FROZEN

    @property
    def counted(self) -> bool:
        """Whether its payouts are counted, of any asset."""
        return any(holding.progress is not None for holding in self.holdings.values())

    @cached_property
    def low(self) -> tuple[Holding, ...]:
        """What is below its minimum."""
        return tuple(holding for holding in self.holdings.values() if holding.low)

    @cached_property
    def read_failing(self) -> tuple[Holding, ...]:
        """What cannot be read although a source was queried."""
        return tuple(holding for holding in self.holdings.values() if holding.read_failing)

    @cached_property
    def backlog(self) -> int:
        """Transactions known to be not counted yet."""
        return sum(holding.backlog or 0 for holding in self.holdings.values())

    @property
    def gaps(self) -> tuple[str, ...]:
        """The assets of which history was lately pruned before it was counted."""
        return tuple(asset for asset, holding in self.holdings.items() if holding.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractVerdict:
    """The state of one contract.

    Attributes:
        name: configured name.
        account: its address.
        expected: configured hash of its code.
        reading: where known and recent enough; None otherwise.
        trouble: why it cannot be read; empty where no reading failed.
    """

    name: str
    account: Address
    expected: bytes
    reading: Reading | None
    trouble: str

    @property
    def matches(self) -> bool | None:
        """Whether it has the configured code; None where not known."""
        return None if self.reading is None else self.reading.code_hash == self.expected


@dataclass(frozen=True, slots=True)
class WalletStatus:
    """All wallets and contracts at one moment, by name in the order of the configuration.

    `accounts` is what they were judged from.
    """

    wallets: Mapping[str, WalletVerdict] = field(default_factory=dict)
    contracts: Mapping[str, ContractVerdict] = field(default_factory=dict)
    accounts: Mapping[AccountKey, AccountRecord] = field(default_factory=dict)


def judge_wallets(
    snapshot: Snapshot, config: Config, before: WalletStatus | None = None
) -> WalletStatus:
    """Judge every wallet and contract of a snapshot.

    Args:
        snapshot: what is known.
        config: wallets, contracts and thresholds.
        before: the result for an earlier snapshot. It only saves time: a wallet without news is not
            judged anew.
    """
    probe = config.probe
    oldest = snapshot.monotonic - lifetime(Probe.BALANCE, probe)
    since = snapshot.wall - config.thresholds.payout_window
    old = _unchanged(snapshot, before) if before is not None else {}
    wallets = {}
    for wallet in config.wallets:
        was = old.get(wallet.name)
        if was is None or not _is_valid(was, oldest, since):
            now = _wallet(wallet, config.coin, snapshot, oldest, since)
            # The same object where it is equal: its derived values are kept.
            was = was if was == now else now
        wallets[wallet.name] = was
    contracts = {c.name: _contract(c, snapshot, oldest) for c in config.contracts}
    return WalletStatus(wallets, contracts, snapshot.accounts)


def _unchanged(snapshot: Snapshot, before: WalletStatus) -> Mapping[str, WalletVerdict]:
    """Verdicts on wallets whose accounts did not change in the store."""
    known, old = before.accounts, dict(before.wallets)
    for key, record in snapshot.accounts.items():
        if known.get(key) is not record:
            old.pop(key.name, None)
    return old


def _is_valid(verdict: WalletVerdict, oldest: float, since: float) -> bool:
    """Whether a verdict on the same records is still true: nothing in it became too old."""
    if verdict.failed or verdict.bounced:
        return False
    for holding in verdict.holdings.values():
        if holding.gap:
            return False
        reading, progress = holding.reading, holding.progress
        if reading is not None and reading.finished < oldest:
            return False
        if progress is not None and any(each.time >= since for each in progress.totals.recent):
            return False
    return True


def _wallet(
    wallet: Wallet, coin: str, snapshot: Snapshot, oldest: float, since: float
) -> WalletVerdict:
    holdings = {}
    troubles: list[Trouble] = []
    for asset in wallet.assets:
        record = snapshot.accounts.get(AccountKey(wallet.name, asset.name), _NOTHING)
        holdings[asset.name] = Holding(
            asset=asset.name,
            unit=coin if asset.name == NATIVE else asset.name,
            decimals=asset.decimals,
            minimum=asset.minimum,
            reading=_recent(record, oldest),
            trouble=_trouble(record),
            failure=record.failed.reason if record.failed is not None else None,
            progress=record.progress,
            gap=record.progress is not None and _gap_is_new(record.progress, snapshot.wall),
            currency=asset.currency,
        )
        if record.progress is not None:
            troubles += record.progress.totals.recent
    recent = [each for each in troubles if each.time >= since]
    recent.sort(key=lambda each: each.lt)
    return WalletVerdict(
        name=wallet.name,
        account=wallet.account,
        holdings=holdings,
        failed=tuple(each for each in recent if each.kind is not TroubleKind.BOUNCED),
        bounced=tuple(each for each in recent if each.kind is TroubleKind.BOUNCED),
        write_probe=wallet.write_probe,
    )


def _contract(contract: Contract, snapshot: Snapshot, oldest: float) -> ContractVerdict:
    record = snapshot.accounts.get(AccountKey(contract.name, ""), _NOTHING)
    return ContractVerdict(
        name=contract.name,
        account=contract.account,
        expected=bytes.fromhex(contract.code_hash),
        reading=_recent(record, oldest),
        trouble=_trouble(record),
    )


def _gap_is_new(progress: PayoutProgress, wall: float) -> bool:
    found = progress.totals.last_gap
    return found is not None and found >= wall - GAP_IS_NEWS


def _recent(record: AccountRecord, oldest: float) -> Reading | None:
    reading = record.reading
    return reading if reading is not None and reading.finished >= oldest else None


def _trouble(record: AccountRecord) -> str:
    failed = record.failed
    return f"{failed.source}: {failed.reason}: {failed.detail}" if failed is not None else ""
