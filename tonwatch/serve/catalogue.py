"""Every metric that is exposed: name, type, meaning, labels, and where its values are read off.

The Collector and docs/metrics.md are both made from this, so neither can say
what the other does not. Readers yield nothing for what is not known: a value
past its time to live leaves the exposition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Literal, TypeVar

from tonwatch.serve.reasons import REASONS
from tonwatch.serve.scene import Scene, Seen
from tonwatch.watch.board import Histogram
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.judge import State
from tonwatch.watch.readiness import Phase

Point = tuple[tuple[str, ...], float | Histogram]
"""Label values and a value."""

Of = TypeVar("Of", Scene, Seen)


@dataclass(frozen=True, slots=True)
class Metric(Generic[Of]):
    """One family.

    Attributes:
        name: as exposed, with `_total` and `_info`.
        type: what Prometheus calls it.
        help: what it says and in which unit.
        labels: after `target`, which comes first on every metric of a target.
        read: yields label values and value.
        lasting: stays true when the watcher no longer beats, as counters and histograms do;
            all else is then left out.
    """

    name: str
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    read: Callable[[Of], Iterable[Point]]
    labels: tuple[str, ...] = ()
    lasting: bool = False

    @property
    def unit(self) -> str:
        """The base unit that ends the name; empty where it has none."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "blocks") if stem.endswith(f"_{unit}")), "")


def _known(value: float | None) -> Iterable[Point]:
    if value is not None:
        yield (), value


def _one_of(members: type[StrEnum], current: StrEnum) -> Iterable[Point]:
    for member in members:
        yield (member.value,), float(member is current)


def _state_known(seen: Seen, value: bool) -> Iterable[Point]:
    if seen.verdict.state is not State.UNKNOWN:
        yield (), float(value)


def _version(seen: Seen) -> Iterable[Point]:
    version = seen.verdict.head.version if seen.verdict.head else None
    if version is not None:
        yield (f"{version >> 8}.{version & 255}",), 1


def _results(seen: Seen) -> Iterable[Point]:
    results = seen.record.results
    for probe in seen.record.target.probes:
        reasons = dict.fromkeys(REASONS.get(seen.record.target.kind, ()))
        reasons.update(dict.fromkeys(reason for asked, reason in results if asked is probe))
        for reason in reasons:
            yield (probe.value, reason.value), results.get((probe, reason), 0)


def _phases(seen: Seen) -> Iterable[Point]:
    for probe, sample in seen.record.latest.items():
        if seen.scene.fresh(sample):
            for phase, seconds in sample.phases.items():
                yield (probe.value, phase), seconds


def _thresholds(scene: Scene, kind: type[float] | type[int]) -> Iterable[Point]:
    for name, value in scene.config.thresholds:
        if isinstance(value, kind):
            yield (name,), value


CHAIN: Final[tuple[Metric[Scene], ...]] = (
    Metric(
        "tonwatch_head_seqno",
        "gauge",
        "Seqno of the highest masterchain block that two targets support, or the only one"
        " that answers.",
        lambda s: _known(s.view.judgement.head.seqno if s.view.judgement.head else None),
    ),
    Metric(
        "tonwatch_head_timestamp_seconds",
        "gauge",
        "When that block was made (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: _known(s.view.judgement.head.gen_utime if s.view.judgement.head else None),
    ),
    Metric(
        "tonwatch_chain_stalled",
        "gauge",
        "1 while at least two targets answer and none has had a new block for the threshold"
        " `stalled`. Absent while none answers.",
        lambda s: _known(
            None if s.view.judgement.idle is None else float(s.view.judgement.stalled)
        ),
    ),
    Metric(
        "tonwatch_clock_offset_seconds",
        "gauge",
        "Seconds that all servers' clocks are ahead of ours. Only present while they agree with"
        " each other on at least the threshold `clock_warn`: then it is our clock that is off.",
        lambda s: _known(s.view.judgement.clock_offset),
    ),
)

VERDICT: Final[tuple[Metric[Scene], ...]] = (
    Metric(
        "tonwatch_diagnosis",
        "gauge",
        "1 for the cause that is named for all that is wrong, 0 for every other.",
        lambda s: _one_of(Cause, s.view.diagnosis.cause),
        labels=("cause",),
    ),
    Metric(
        "tonwatch_diagnosis_since_timestamp_seconds",
        "gauge",
        "When that cause was first named, Unix time in seconds.",
        lambda s: _known(s.view.diagnosis.since),
    ),
    Metric(
        "tonwatch_ready",
        "gauge",
        "1 while /ready answers 200, else 0.",
        lambda s: _known(float(s.view.readiness.ready)),
    ),
    Metric(
        "tonwatch_readiness",
        "gauge",
        "1 for the phase that /ready tells, 0 for every other.",
        lambda s: _one_of(Phase, s.view.readiness.phase),
        labels=("phase",),
    ),
)

TARGET: Final[tuple[Metric[Seen], ...]] = (
    Metric(
        "tonwatch_target_info",
        "info",
        "Always 1: what a target is and what for.",
        lambda s: [((s.record.target.kind, s.record.target.role), 1)],
        labels=("kind", "role"),
        lasting=True,
    ),
    Metric(
        "tonwatch_target_up",
        "gauge",
        "1 while it answers our questions, else 0.",
        lambda s: _state_known(s, s.verdict.up),
    ),
    Metric(
        "tonwatch_target_state",
        "gauge",
        "1 for the state it is in, 0 for every other.",
        lambda s: _one_of(State, s.verdict.state),
        labels=("state",),
    ),
    Metric(
        "tonwatch_target_usable",
        "gauge",
        "1 while it is in sync within the limits of readiness, else 0; before hysteresis.",
        lambda s: _state_known(s, s.verdict.usable),
    ),
    Metric(
        "tonwatch_target_seqno",
        "gauge",
        "Seqno of its last masterchain block.",
        lambda s: _known(s.verdict.head.seqno if s.verdict.head else None),
    ),
    Metric(
        "tonwatch_target_block_timestamp_seconds",
        "gauge",
        "When that block was made (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: _known(s.verdict.head.gen_utime if s.verdict.head else None),
    ),
    Metric(
        "tonwatch_target_shard_client_seqno",
        "gauge",
        "Masterchain seqno up to which it has applied shards: what accounts are read at.",
        lambda s: _known(s.verdict.head.shard_client_seqno if s.verdict.head else None),
    ),
    Metric(
        "tonwatch_target_shard_gap_blocks",
        "gauge",
        "Blocks that its shard client is behind its own masterchain.",
        lambda s: _known(s.verdict.shard_gap),
    ),
    Metric(
        "tonwatch_target_behind_seconds",
        "gauge",
        "Seconds that its last block is older than the head of the chain.",
        lambda s: _known(s.verdict.behind_seconds),
    ),
    Metric(
        "tonwatch_target_behind_blocks",
        "gauge",
        "Blocks that it misses to the head of the chain.",
        lambda s: _known(s.verdict.behind_blocks),
    ),
    Metric(
        "tonwatch_target_clock_offset_seconds",
        "gauge",
        "Seconds that its clock is ahead of ours; exact to half a second.",
        lambda s: _known(s.verdict.head.clock_offset if s.verdict.head else None),
    ),
    Metric(
        "tonwatch_target_latency_seconds",
        "gauge",
        "Median seconds of its last answers, connecting not counted.",
        lambda s: _known(s.verdict.latency),
    ),
    Metric(
        "tonwatch_target_protocol_version_info",
        "info",
        "Always 1: the version of the liteserver protocol that it speaks.",
        _version,
        labels=("version",),
    ),
    Metric(
        "tonwatch_target_last_answer_timestamp_seconds",
        "gauge",
        "When it was last asked something that it answered well, Unix time in seconds.",
        lambda s: _known(s.record.answered),
        lasting=True,
    ),
    Metric(
        "tonwatch_target_steps_back_total",
        "counter",
        "How often its seqno went back; load balancers do that.",
        lambda s: _known(s.record.steps_back),
    ),
    Metric(
        "tonwatch_target_dropped_answers_total",
        "counter",
        "Answers that came too late or that nobody asked for.",
        lambda s: _known(s.record.dropped_answers),
    ),
)

PROBE: Final[tuple[Metric[Seen], ...]] = (
    Metric(
        "tonwatch_probe_results_total",
        "counter",
        "Probes that ended, by how.",
        _results,
        labels=("probe", "reason"),
    ),
    Metric(
        "tonwatch_probe_duration_seconds",
        "histogram",
        "Seconds from the start of a probe to its end, good or bad; waiting for our own"
        " rate limit not counted.",
        lambda s: (
            ((probe.value,), s.record.durations.get(probe, Histogram()))
            for probe in s.record.target.probes
        ),
        labels=("probe",),
    ),
    Metric(
        "tonwatch_probe_phase_seconds",
        "gauge",
        "Seconds that each step of the newest probe took, as far as it came.",
        _phases,
        labels=("probe", "phase"),
    ),
    Metric(
        "tonwatch_probe_overruns_total",
        "counter",
        "Beats skipped because the probe before was still running.",
        lambda s: (
            ((probe.value,), s.record.overruns.get(probe, 0)) for probe in s.record.target.probes
        ),
        labels=("probe",),
    ),
)

ITSELF: Final[tuple[Metric[Scene], ...]] = (
    Metric(
        "tonwatch_build_info",
        "info",
        "Always 1: the version of tonwatch.",
        lambda s: [((s.version,), 1)],
        labels=("version",),
        lasting=True,
    ),
    Metric(
        "tonwatch_start_timestamp_seconds",
        "gauge",
        "When tonwatch started, Unix time in seconds.",
        lambda s: _known(s.view.started),
        lasting=True,
    ),
    Metric(
        "tonwatch_view_timestamp_seconds",
        "gauge",
        "When the targets were last judged together, which all other values belong to; Unix time"
        " in seconds. Where it stays behind, tonwatch itself hangs.",
        lambda s: _known(s.view.snapshot.wall),
        lasting=True,
    ),
    Metric(
        "tonwatch_threshold_seconds",
        "gauge",
        "Configured thresholds of time, in seconds.",
        lambda s: _thresholds(s, float),
        labels=("threshold",),
        lasting=True,
    ),
    Metric(
        "tonwatch_threshold_blocks",
        "gauge",
        "Configured thresholds of distance, in blocks.",
        lambda s: _thresholds(s, int),
        labels=("threshold",),
        lasting=True,
    ),
)
