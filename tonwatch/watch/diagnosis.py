"""Names one cause for all that is wrong, in a sentence, most basic cause first.

Pure: a diagnosis depends on a judgement and the previous diagnosis alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from tonwatch.config.models import Thresholds
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import network_name
from tonwatch.watch.failures import failure
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.impact import impact
from tonwatch.watch.sentences import (
    blocks,
    duration,
    rfc3339,
    sentence,
    standing,
)
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.verdicts import Judgement, RolledBack, Verdict
from tonwatch.watch.wallet_findings import wallet_findings

WITNESSES: Final = 3
"""Targets in state ok that a finding about another target quotes as evidence."""

_ORDER: Final = {cause: rank for rank, cause in enumerate(Cause)}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The finding that explains the rest, and the rest in the order of blame.

    `since` is since when this cause is named without a break, for whichever target; Unix seconds.
    """

    finding: Finding
    since: float
    also: tuple[Finding, ...] = ()

    @property
    def cause(self) -> Cause:
        return self.finding.cause

    @property
    def sentence(self) -> str:
        return self.finding.sentence


def diagnose(judgement: Judgement, previous: Diagnosis | None, thresholds: Thresholds) -> Diagnosis:
    """Name the cause of what the judgement shows.

    Findings about primaries come before those about references; then the order of `Cause` decides.

    Args:
        judgement: what is known.
        previous: the diagnosis before, for the times since when its findings hold.
        thresholds: how many failed or bounced payouts make a finding.
    """
    known = {}
    if previous is not None:
        known = {f.key: f.since for f in (previous.finding, *previous.also)}
    findings = sorted(
        (
            replace(
                finding,
                since=known.get(finding.key, finding.since),
                impact=impact(finding, judgement),
            )
            for finding in _findings(judgement, thresholds)
        ),
        key=lambda finding: (not finding.primary, _ORDER[finding.cause], finding.since),
    )
    first = findings[0] if findings else _healthy(judgement)
    since = first.since
    if previous is not None:
        since = previous.since if previous.cause is first.cause else judgement.wall
    return Diagnosis(first, since, tuple(findings[1:]))


def _findings(judgement: Judgement, thresholds: Thresholds) -> list[Finding]:
    verdicts = list(judgement.verdicts.values())
    findings = []
    if judgement.no_resources:
        words = f"This machine has run out of something: {judgement.no_resources}."
        findings.append(Finding(Cause.LOCAL_RESOURCES, words, judgement.wall))
    if judgement.unreachable:
        findings.append(_egress(judgement))
    elif judgement.excused:
        findings.append(_egress_back(judgement))
    if judgement.lossy:
        findings.append(_egress_lossy(judgement))
    if judgement.clock_offset is not None:
        findings.append(_local_clock(judgement, judgement.clock_offset))
    if judgement.stalled and judgement.idle is not None:
        findings.append(_chain_stalled(judgement, judgement.idle))
    if judgement.forks.undecided:
        findings.append(_disagreement(judgement))
    if judgement.rolled_back is not None:
        findings.append(_rolled_back(judgement.rolled_back))
    if _all_lag(judgement):
        findings.append(_all_lagging(judgement))
    if judgement.pace.slow and not judgement.stalled:
        findings.append(_chain_slow(judgement))
    findings += _queued(judgement)
    if judgement.state_dir_error:
        findings.append(_state_dir(judgement))
    unexplained = (verdict for verdict in verdicts if not _explained(verdict, judgement))
    findings += (_of_target(verdict, judgement) for verdict in unexplained)
    findings += wallet_findings(judgement, thresholds)
    waiting = [verdict for verdict in verdicts if verdict.newest is None]
    if waiting and not findings:
        words = f"{len(waiting)} of {len(verdicts)} targets have not been probed yet."
        findings.append(Finding(Cause.STARTING, words, waiting[0].since))
    return findings


def _explained(verdict: Verdict, judgement: Judgement) -> bool:
    """Whether a target is ok, or a finding about all targets covers what is wrong with it."""
    return (
        verdict.state is State.OK
        or verdict.newest is None  # not probed yet
        or verdict.reason is Reason.LOCAL_RESOURCES
        or (judgement.stalled and verdict.state is State.STALLED)
        or (verdict.state is State.LAGGING and _all_lag(judgement))
        or (verdict.target.name in judgement.lossy and _is_lossy(verdict))
        or verdict.target.name in judgement.unreachable
        or verdict.target.name in judgement.excused
        # Flapping of the target itself is reported without waiting for egress to be ruled out.
        or (verdict.target.name in judgement.suspects and verdict.state is not State.FLAPPING)
    )


def _is_lossy(verdict: Verdict) -> bool:
    """Whether lost answers explain what is wrong with a target."""
    lost = failure(verdict.reason)
    return (
        verdict.state in (State.FLAPPING, State.SLOW)
        or lost.silent
        or verdict.reason in (Reason.QUERY_TIMEOUT, Reason.NOT_SYNCED)
    )


def _all_lag(judgement: Judgement) -> bool:
    """Whether all targets that answer lag, two sources at least: none shows which are to blame."""
    answering = [verdict for verdict in judgement.verdicts.values() if verdict.up]
    lag = [each for each in answering if each.state is State.LAGGING]
    return judgement.sources > 1 and len(lag) > 1 and len(lag) == len(answering)


def _of_target(verdict: Verdict, judgement: Judgement) -> Finding:
    target = verdict.target
    meaning = MEANINGS[verdict.state]
    if target.category == "node":
        cause = meaning.node or Cause.NODE_DOWN
        if verdict.state is State.LAGGING and verdict.in_sync_in is not None:
            cause = Cause.NODE_CATCHING_UP
    else:
        cause = meaning.provider or Cause.PROVIDER_DOWN
    ok = (other for other in judgement.verdicts.values() if other.state is State.OK)
    words = sentence(verdict)
    if verdict.state is State.STALLED and judgement.sources_at_head == 1:
        words = f"{words.removesuffix('.')}. Chain or {target.category}: one source cannot tell."
    if verdict.state is State.WRONG_NETWORK:
        words = f"{words.removesuffix('.')}; configured is {network_name(judgement.zerostate)}."
    return Finding(
        cause,
        words,
        verdict.since,
        target.name,
        primary=target.role == "primary",
        evidence=(standing(verdict, in_short=True), *_evidence(islice(ok, WITNESSES))),
    )


def _egress(judgement: Judgement) -> Finding:
    external = [judgement.verdicts[name] for name in judgement.unreachable]
    local = [v for v in judgement.verdicts.values() if v.target.name not in judgement.unreachable]
    words = f"Egress is broken: none of the {len(external)} external targets can be reached"
    if all(verdict.reason is Reason.RESOLVE_FAILED for verdict in external):
        words = f"Host names do not resolve here: not one of {len(external)} external targets"
    if any(verdict.up for verdict in local):
        words += ", while local ones answer"
    return Finding(
        Cause.EGRESS_BROKEN, f"{words}.", judgement.wall, evidence=_evidence([*external, *local])
    )


def _egress_back(judgement: Judgement) -> Finding:
    pending = [judgement.verdicts[name] for name in judgement.excused]
    names = ", ".join(verdict.target.name for verdict in pending)
    return Finding(
        Cause.EGRESS_BROKEN,
        f"Egress works again; not probed again yet: {names}.",
        judgement.wall,
        evidence=_evidence(judgement.verdicts.values()),
    )


def _local_clock(judgement: Judgement, offset: float) -> Finding:
    clocks = [
        (verdict.target.name, verdict.head.clock_offset)
        for verdict in judgement.verdicts.values()
        if verdict.head is not None and verdict.head.clock_offset is not None
    ]
    side = "behind" if offset > 0 else "ahead of"
    whose = {0: "the times in the blocks", 1: f"the clock of {clocks[0][0]}" if clocks else ""}
    against = whose.get(len(clocks), f"the clocks of the {len(clocks)} servers that report theirs")
    words = f"The clock of this machine is {abs(offset):.1f} s {side} {against}."
    evidence = tuple(
        f"{name}: its clock less the local clock is {skew:+.1f} s" for name, skew in clocks
    )
    return Finding(Cause.LOCAL_CLOCK_SKEWED, words, judgement.wall, evidence=evidence)


def _egress_lossy(judgement: Judgement) -> Finding:
    lossy = [judgement.verdicts[name] for name in judgement.lossy]
    words = (
        f"Egress is lossy: answers of all {len(lossy)} external targets are lost every now and"
        " then."
    )
    return Finding(Cause.EGRESS_LOSSY, words, judgement.wall, evidence=_evidence(lossy))


def _rolled_back(back: RolledBack) -> Finding:
    return Finding(
        Cause.CHAIN_ROLLED_BACK,
        f"The chain went back by {blocks(back.before - back.after)}, from block {back.before} to"
        f" {back.after}, at {rfc3339(back.since)}: what was in those blocks is undone or was"
        " never on the chain.",
        back.since,
    )


def _all_lagging(judgement: Judgement) -> Finding:
    answering = [verdict for verdict in judgement.verdicts.values() if verdict.up]
    lags = sorted(verdict.lag_seconds or 0.0 for verdict in answering)
    words = (
        f"All {len(answering)} targets that answer are late by the clock, by {duration(lags[0])}"
        f" to {duration(lags[-1])}, while new blocks come: they lag alike, or the local clock is"
        " ahead."
    )
    return Finding(Cause.ALL_LAGGING, words, judgement.wall, evidence=_evidence(answering))


def _chain_slow(judgement: Judgement) -> Finding:
    pace = judgement.pace
    words = (
        f"The chain is slow: a new block comes every {duration(pace.recent or 0.0)}; usual is"
        f" {duration(pace.usual or 0.0)}."
    )
    return Finding(
        Cause.CHAIN_SLOW,
        words,
        judgement.wall,
        primary=False,
        evidence=_evidence(judgement.verdicts.values()),
    )


def _queued(judgement: Judgement) -> Iterator[Finding]:
    if judgement.queue is None:
        return
    target, size, limit = judgement.queue
    yield Finding(
        Cause.MESSAGES_QUEUED,
        f"External messages are accepted and not executed: {size} messages wait in a shard's"
        f" outbound queue, and above {limit} no external message is included in blocks.",
        judgement.wall,
        evidence=(f"{target} reports the queue",),
    )


def _state_dir(judgement: Judgement) -> Finding:
    words = (
        f"State cannot be written: {judgement.state_dir_error}. Free or repair the state directory."
    )
    return Finding(Cause.STATE_DIR_FAILING, words, judgement.wall)


def _chain_stalled(judgement: Judgement, idle: float) -> Finding:
    answering = [verdict for verdict in judgement.verdicts.values() if verdict.up]
    block = f" after block {judgement.head.seqno}" if judgement.head else ""
    return Finding(
        Cause.CHAIN_STALLED,
        f"The chain is stalled: none of the {len(answering)} targets that answer has seen"
        f" a new masterchain block for {duration(idle)}{block}.",
        judgement.wall - idle,
        evidence=_evidence(judgement.verdicts.values()),
    )


def _disagreement(judgement: Judgement) -> Finding:
    undecided = judgement.forks.undecided
    names = list(undecided)
    seqno = max(undecided.values())
    evidence = tuple(
        f"{name}: block {undecided[name]} has root hash {judgement.forks.hashes[name].hex()}"
        for name in names
    )
    who = f"{', '.join(names[:-1])} and {names[-1]} have" if names[1:] else f"{names[0]} has"
    other = "different blocks" if names[1:] else "another block than a target that is gone"
    return Finding(
        Cause.SOURCES_DISAGREE,
        f"{who} {other} at seqno {seqno}, and no majority says which is right: one of them is on"
        " a fork.",
        judgement.wall,
        primary=any(judgement.verdicts[name].target.role == "primary" for name in names),
        evidence=evidence,
    )


def _healthy(judgement: Judgement) -> Finding:
    count = len(judgement.verdicts)
    head = f" at block {judgement.head.seqno}" if judgement.head else ""
    subject = "The only target is" if count == 1 else f"All {count} targets are"
    return Finding(Cause.HEALTHY, f"{subject} alive and in sync{head}.", judgement.wall)


def _evidence(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(standing(verdict) for verdict in verdicts)
