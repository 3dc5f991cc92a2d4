"""What may be shown now of the last view, which is old where evaluation fails."""

from dataclasses import replace
from typing import Final, NamedTuple

from tonwatch.config.models import Config
from tonwatch.samples.account import Reading
from tonwatch.samples.sample import Probe
from tonwatch.watch.consensus import Forks
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.impact import impact
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.readiness import Phase, Standing
from tonwatch.watch.sentences import rfc3339
from tonwatch.watch.states import State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.verdicts import Judgement, Verdict
from tonwatch.watch.view import INTERVAL, LIVE_WITHIN, View
from tonwatch.watch.wallet_verdicts import WalletStatus

_USUAL: Final = 2 * INTERVAL
"""Age of the last view in normal operation, at most; seconds."""

_TOO_OLD: Final = "its last answer is too old"


class Shown(NamedTuple):
    """A view as of now.

    Attributes:
        alive: whether it was evaluated a short time ago. If not, it has only what stays true.
    """

    view: View
    alive: bool


def shown_for(config: Config) -> float:
    """Seconds for which a judgement is shown, and decides what /ready answers."""
    return min(LIVE_WITHIN, config.probe.stale_after)


def shown(view: View, age: float) -> Shown:
    """The view as it may be shown when it is `age` seconds old.

    Its snapshot then has the present times; `judgement.wall` is the time of the last judgement.
    """
    if age < _USUAL:
        return Shown(view, alive=True)
    wall, monotonic = view.snapshot.wall + age, view.snapshot.monotonic + age
    now = replace(view.snapshot, wall=wall, monotonic=monotonic)
    if age >= shown_for(view.config):
        return Shown(_not_evaluated(view, now), alive=False)
    return Shown(replace(view, snapshot=now, judgement=_aged(view, now)), alive=True)


def _not_evaluated(view: View, now: Snapshot) -> View:
    """The view with nothing known since the last judgement."""
    since, readiness = view.judgement.wall, view.readiness
    words = f"nothing has been evaluated since {rfc3339(since) or 'an unknown time'}"
    judgement = Judgement(
        wall=since,
        head=None,
        dated=None,
        stalled=False,
        idle=None,
        clock_offset=None,
        forks=Forks(),
        unreachable=(),
        excused={},
        suspects=(),
        verdicts={
            name: _unknown(verdict, since, words)
            for name, verdict in view.judgement.verdicts.items()
        },
        wallet_status=_read_failing(view.judgement.wallet_status),
    )
    phase = Phase.DRAINING if readiness.phase is Phase.DRAINING else Phase.UNREADY
    finding = Finding(Cause.NO_DATA, f"{words[0].upper()}{words[1:]}.", since)
    return replace(
        view,
        snapshot=now,
        judgement=judgement,
        readiness=replace(
            readiness,
            phase=phase,
            since=since,
            standings=dict.fromkeys(readiness.standings, Standing()),
            references=dict.fromkeys(readiness.references, Standing()),
        ),
        diagnosis=Diagnosis(replace(finding, impact=impact(finding, judgement)), since),
    )


def _aged(view: View, now: Snapshot) -> Judgement:
    """The judgement without what has become too old."""
    judgement, probe = view.judgement, view.config.probe
    oldest = now.monotonic - lifetime(Probe.HEAD, probe)
    verdicts = {
        name: _verdict(verdict, now.records[name], oldest, now.wall)
        for name, verdict in judgement.verdicts.items()
    }
    wallet_status = _read_since(
        judgement.wallet_status, now.monotonic - lifetime(Probe.BALANCE, probe)
    )
    judgement = replace(judgement, verdicts=verdicts, wallet_status=wallet_status)
    if judgement.head is not None and judgement.head.seen < oldest:
        return replace(judgement, head=None, idle=None, stalled=False)
    return judgement


def _verdict(verdict: Verdict, record: Record, oldest: float, wall: float) -> Verdict:
    if verdict.newest is not None and verdict.newest < oldest:
        return _unknown(verdict, wall, _TOO_OLD)
    answered = next((each.finished for each in reversed(record.heads) if each.ok), None)
    if answered is None or answered >= oldest:
        return verdict
    return replace(
        verdict,
        head=None,
        lag_seconds=None,
        lag_blocks=None,
        in_sync_in=None,
        shard_client_lag=None,
        shard_lag_seconds=None,
        latency=None,
        idle=None,
    )


def _unknown(verdict: Verdict, since: float, why: str) -> Verdict:
    return Verdict(
        target=verdict.target,
        state=State.UNKNOWN,
        since=since,
        barred=frozenset({State.UNKNOWN}),
        detail=why,
        newest=verdict.newest,
    )


def _read_since(wallet_status: WalletStatus, oldest: float) -> WalletStatus:
    """Wallets and contracts without readings before `oldest`, on the event loop's clock."""

    def old(reading: Reading | None) -> bool:
        return reading is not None and reading.finished < oldest

    wallets = {
        name: replace(
            wallet,
            holdings={
                asset: replace(holding, reading=None) if old(holding.reading) else holding
                for asset, holding in wallet.holdings.items()
            },
        )
        if any(old(holding.reading) for holding in wallet.holdings.values())
        else wallet
        for name, wallet in wallet_status.wallets.items()
    }
    contracts = {
        name: replace(contract, reading=None) if old(contract.reading) else contract
        for name, contract in wallet_status.contracts.items()
    }
    return replace(wallet_status, wallets=wallets, contracts=contracts)


def _read_failing(wallet_status: WalletStatus) -> WalletStatus:
    """Wallets and contracts without anything but what was counted."""
    wallets = {
        name: replace(
            wallet,
            failed=(),
            bounced=(),
            holdings={
                asset: replace(holding, reading=None, trouble="", failure=None, gap=False)
                for asset, holding in wallet.holdings.items()
            },
        )
        for name, wallet in wallet_status.wallets.items()
    }
    contracts = {
        name: replace(contract, reading=None, trouble="")
        for name, contract in wallet_status.contracts.items()
    }
    return replace(wallet_status, wallets=wallets, contracts=contracts)
