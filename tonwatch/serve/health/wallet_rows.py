"""The page's tables of wallets and contracts: which rows there are, and what each shows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tonwatch.config.amounts import NATIVE_DECIMALS, written
from tonwatch.samples.account import Reading
from tonwatch.samples.payouts import RECENT, PayoutProgress, TroubleKind
from tonwatch.serve.health.wallet_status import age, friendly
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.planner import NOT_COUNTED, UNCLAIMED, UNKNOWN_CODE
from tonwatch.watch.view import View
from tonwatch.watch.wallet_verdicts import ContractVerdict, Holding, WalletVerdict

WELL_SHOWN: Final = 50
"""Wallets without a problem on the page; the JSON has all."""

TROUBLED_SHOWN: Final = 200
"""Wallets with a problem on the page: without any source that is every wallet."""

_LABELS: Final = {
    Cause.WALLET_FROZEN: ("bad", "frozen"),
    Cause.WALLET_LOW: ("bad", "low"),
    Cause.PAYOUTS_FAILING: ("bad", "payouts failing"),
    Cause.PAYOUTS_BOUNCING: ("warn", "payouts bouncing"),
    Cause.WALLET_READ_FAILING: ("warn", "read failing"),
    Cause.PAYOUTS_GAP: ("warn", "payouts not all counted"),
    Cause.PAYOUTS_BACKLOG: ("warn", "payouts backlog"),
}
"""Severity of each finding about a wallet, and its name in a row; the worst first."""

_LEVELS: Final = ("bad", "warn", "unknown", "ok")


@dataclass(frozen=True, slots=True)
class Shortened:
    """An address or a hash, and its first and last four characters."""

    whole: str

    @property
    def short(self) -> str:
        return f"{self.whole[:4]}…{self.whole[-4:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRow:
    """One asset of a wallet.

    Attributes:
        name: of the asset.
        balance: exact, with its unit; empty where not known.
        minimum: likewise; empty where there is none.
        low: the balance is below it.
        proof: ``proven`` or ``not proven``; empty where not known.
        source: name of the target that it was read from.
        age: of the block that it was read at, seconds; None where not known.
        state: of the account, where it is not active.
        sent: payouts counted, and `amount` their sum; None where they are not counted.
        bounced: payouts that bounced within the window; likewise.
        failed: payouts that failed within the window; likewise.
        backlog: transactions not counted yet; likewise.
    """

    name: str
    balance: str
    minimum: str
    low: bool
    proof: str
    source: str
    age: float | None
    state: str
    sent: int | None = None
    amount: str = ""
    bounced: str = ""
    failed: str = ""
    backlog: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    """One wallet.

    Attributes:
        level: severity: ok, warn, bad or unknown.
        label: its state.
        kind: of wallet, and what it stores; empty where it is not deployed.
        counted: its payouts are counted, or will be.
        note: findings that are not above the tables.
    """

    name: str
    address: Shortened
    level: str
    label: str
    kind: str
    counted: bool
    assets: tuple[AssetRow, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRow:
    """One contract; `code` is the hash of what it has, None where that is not known."""

    name: str
    address: Shortened
    level: str
    label: str
    state: str
    code: Shortened | None
    expected: Shortened
    source: str
    proof: str
    age: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRows:
    """Both tables.

    Attributes:
        counted: payouts of some wallet are counted.
        left_well: wallets without a problem that have no row.
        left_troubled: wallets with a problem that have no row.
    """

    wallets: tuple[WalletRow, ...]
    contracts: tuple[ContractRow, ...]
    counted: bool
    left_well: int
    left_troubled: int


def account_rows(view: View, omitted: Iterable[Finding]) -> AccountRows:
    """Make the tables.

    Args:
        view: what is described.
        omitted: findings that the page does not have above the tables.
    """
    findings = _by_account((view.diagnosis.finding, *view.diagnosis.also))
    notes = _by_account(omitted)
    wallet_status = view.judgement.wallet_status
    levels = {
        wallet.name: _level(wallet, findings.get(wallet.name, []))
        for wallet in wallet_status.wallets.values()
    }
    counted = {wallet.name for wallet in view.config.wallets if wallet.payouts}
    order = sorted(wallet_status.wallets, key=lambda name: _LEVELS.index(levels[name][0]))
    troubled = [name for name in order if levels[name][0] != "ok"]
    well = order[len(troubled) :]
    shown = [*troubled[:TROUBLED_SHOWN], *well[:WELL_SHOWN]]
    return AccountRows(
        wallets=tuple(
            _wallet_row(
                wallet_status.wallets[name], view, levels[name], counted, notes.get(name, [])
            )
            for name in shown
        ),
        contracts=tuple(
            _contract_row(contract, view, notes.get(contract.name, []))
            for contract in wallet_status.contracts.values()
        ),
        counted=bool(counted),
        left_well=len(well[WELL_SHOWN:]),
        left_troubled=len(troubled[TROUBLED_SHOWN:]),
    )


def _by_account(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        for account in (finding.account, *finding.others) if finding.account else finding.others:
            found.setdefault(account, []).append(finding)
    return found


def _level(wallet: WalletVerdict, findings: Sequence[Finding]) -> tuple[str, str]:
    causes = {finding.cause for finding in findings}
    labels = [label for cause, label in _LABELS.items() if cause in causes]
    if labels:
        return labels[0]
    if any(holding.reading is None for holding in wallet.holdings.values()):
        return "unknown", "not known"
    return "ok", "ok"


def _wallet_row(
    wallet: WalletVerdict,
    view: View,
    level: tuple[str, str],
    counted: Collection[str],
    omitted: Sequence[Finding],
) -> WalletRow:
    reading = wallet.reading
    since = view.snapshot.wall - view.config.thresholds.payout_window
    mine = [finding for finding in omitted if finding.account == wallet.name]
    notes = [finding.sentence for finding in mine if finding.cause in _LABELS]
    return WalletRow(
        name=wallet.name,
        address=Shortened(friendly(wallet.account, view.config)),
        level=level[0],
        label=level[1],
        kind=_kind(reading, view.config.coin) if reading is not None else "",
        counted=wallet.name in counted,
        assets=tuple(_asset_row(holding, view, since) for holding in wallet.holdings.values()),
        note=" ".join(notes),
    )


def _kind(reading: Reading, coin: str) -> str:
    if reading.kind is None:
        return ""
    if reading.kind is WalletKind.UNKNOWN:
        return UNKNOWN_CODE
    parts: list[str] = [reading.kind]
    if reading.seqno is not None:
        parts.append(f"seqno {reading.seqno}")
    if reading.signers is not None:
        parts.append(f"{reading.threshold} of {reading.signers} signers")
    if reading.locked:
        parts.append(f"{written(reading.locked, NATIVE_DECIMALS)} {coin} locked")
    return ", ".join(parts)


def _asset_row(holding: Holding, view: View, since: float) -> AssetRow:
    reading, amount = holding.reading, holding.amount
    row = AssetRow(
        name=holding.asset,
        balance="" if amount is None else holding.written(amount),
        minimum="" if holding.minimum is None else holding.written(holding.minimum),
        low=holding.low,
        proof=_proof(proven=reading.proven) if reading else "",
        source=reading.source if reading else "",
        age=age(view, reading),
        state=_asset_state(holding),
    )
    return row if holding.progress is None else _with_payouts(row, holding, holding.progress, since)


def _contract_row(contract: ContractVerdict, view: View, omitted: Sequence[Finding]) -> ContractRow:
    reading = contract.reading
    read_failing = bool(contract.trouble)
    level, label = {
        True: ("ok", "as expected"),
        False: ("bad", "changed"),
        None: ("warn", "read failing") if read_failing else ("unknown", "not known"),
    }[contract.matches]
    sentences = [each.sentence for each in omitted if each.cause is Cause.CONTRACT_CHANGED]
    return ContractRow(
        name=contract.name,
        address=Shortened(friendly(contract.account, view.config)),
        level=level,
        label=label,
        state=(reading.status or "") if reading else "",
        code=Shortened(reading.code_hash.hex()) if reading and reading.code_hash else None,
        expected=Shortened(contract.expected.hex()),
        source=reading.source if reading else "",
        proof=_proof(proven=reading.proven) if reading else "",
        age=age(view, reading),
        note=" ".join(sentences) or (contract.trouble if reading is None else ""),
    )


def _with_payouts(
    row: AssetRow, holding: Holding, progress: PayoutProgress, since: float
) -> AssetRow:
    recent = [each for each in progress.totals.recent if each.time >= since]
    bounced = sum(each.kind is TroubleKind.BOUNCED for each in recent)
    failed = len(recent) - bounced
    # No more than RECENT are kept one by one.
    more = "+" if len(recent) == RECENT else ""
    return replace(
        row,
        sent=progress.totals.sent_messages,
        amount=holding.written(progress.totals.sent_amount),
        bounced=f"{bounced}{more if bounced else ''}",
        failed=f"{failed}{more if failed else ''}",
        backlog=holding.backlog,
    )


def _proof(*, proven: bool) -> str:
    return "proven" if proven else "not proven"


def _asset_state(holding: Holding) -> str:
    reading = holding.reading
    if state := _state(reading.status) if reading else "":
        return state
    if holding.currency is not None:
        return NOT_COUNTED.format(holding.currency)
    return UNCLAIMED if reading is not None and reading.claimed is False else ""


def _state(status: AccountStatus | None) -> str:
    """The status where it is not active; otherwise empty."""
    return "" if status in {None, AccountStatus.ACTIVE} else str(status)
