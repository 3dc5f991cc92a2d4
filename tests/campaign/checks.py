"""Holds what tonwatch says against the oracle: the invariants of a campaign."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.campaign.oracle import (
    HYSTERESIS,
    INTERVAL,
    NOTICED,
    RECOVERY,
    STALE_AFTER,
    STARTED,
    STEP,
    TIMED_OUT,
    Harm,
    Spell,
    spells,
)
from tests.campaign.served import served
from tests.campaign.situation import Situation
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State
from tonwatch.watch.view import View

_FLAPPING_WINDOW: Final = 180.0

_READ_WITHIN: Final = STALE_AFTER + 15.0
"""Seconds for which a balance is shown: `stale_after` and the interval of readings."""

_COMES_AND_GOES: Final = frozenset({"flapping", "lossy", "nearly silent", "egress lossy"})
"""Kinds of harm that are counted over a window, and named as long as they lie in that."""

_INTERRUPTS: Final = _COMES_AND_GOES | {
    "down",
    "not synced",
    "unauthorized",
    "very slow",
    "new connections",
    "slow connections",
    "egress broken",
}
"""Kinds of harm that are interruptions: two of them, confirmed, are flapping."""

_OF_THE_CHAIN: Final = frozenset(
    {Cause.CHAIN_STALLED, Cause.CHAIN_ROLLED_BACK, Cause.ALL_LAGGING, Cause.SOURCES_DISAGREE}
)
"""What concerns all targets, whoever shows it."""

_OF_A_WINDOW: Final = frozenset({Cause.NODE_FLAPPING, Cause.PROVIDER_FLAPPING, Cause.EGRESS_LOSSY})
"""What is counted over a window, and may be named as long as it lies in that."""

_AGAIN: Final = 2
"""Times that something may be said for a moment."""


class Invariant(StrEnum):
    """What must hold."""

    NOTICED = "a primary whose users are hurt is not ok"
    NOT_HEALTHY = "the diagnosis is not healthy while users of a primary are hurt"
    UNREADY = "a primary whose users are hurt is not counted ready"
    READY = "a primary whose users are served is counted ready"
    NOT_BLAMED = "a target whose users are served is not blamed"
    RECOVERED = "nothing is named three intervals after its end"
    CAUSE = "the cause is one of those that explain it"
    BALANCE = "a balance shown is true, absent or labelled"


@dataclass(frozen=True)
class Wrong:
    """A wrong judgement, `at` seconds from the start."""

    invariant: Invariant
    at: float
    what: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.at:6.1f} s: {self.invariant}: {self.what}"


class Checks:
    """The invariants, for the views of one situation, in order.

    Args:
        situation: what happens.
        balances: the true ones of every wallet, by asset, smallest units.

    Attributes:
        wrong: the first violation of each invariant.
        hurts: whether users of a primary are hurt at some time, so that it must be named.
    """

    def __init__(self, situation: Situation, balances: Mapping[str, int]) -> None:
        self._situation = situation
        self._balances = balances
        self._spells = spells(situation)
        self._primaries = [server.name for server in situation.servers if server.primary]
        self._since: dict[tuple[str, ...], float] = {}
        self._times: Counter[tuple[str, ...]] = Counter()
        self._seen: set[tuple[str, ...]] = set()
        self.wrong: dict[Invariant, Wrong] = {}
        self.hurts = any(
            spell.target in self._primaries and spell.harm.within is not None
            for spell in self._spells
        )

    @property
    def bounds(self) -> list[float]:
        """The times at which something must have been named or ended."""
        times = {time for spell in self._spells for time in self._bounds_of(spell)}
        return sorted(time for time in times if time < self._situation.lasts)

    @staticmethod
    def _bounds_of(spell: Spell) -> Iterator[float]:
        yield spell.must_be_named_from + 0.01
        yield spell.ends + RECOVERY + INTERVAL + NOTICED

    def look(self, time: float, view: View) -> None:
        """Check one view."""
        self._seen = set()
        now = [spell for spell in self._spells if spell.begins <= time < spell.ends]
        recent = [
            spell for spell in self._spells if spell.ends <= time < spell.ends + RECOVERY + NOTICED
        ]
        verdicts = view.judgement.verdicts
        hurt = False
        for server in self._situation.servers:
            name = server.name
            must = [
                spell for spell in now if spell.target == name and self._must_be_named(spell, time)
            ]
            state = verdicts[name].state
            if state is State.OK and not self._too_long(time, "ok", name, longest=TIMED_OUT):
                # Now and then an answer comes.
                must = [spell for spell in must if spell.harm.kind != "nearly silent"]
            if must and server.primary:
                hurt = True
                if state is State.OK:
                    self._note(Invariant.NOTICED, time, f"{name} is ok: {_kinds(must)}")
            if state is not State.OK:
                self._blame(time, name, state, now, recent)
        hurt = hurt or any(not spell.target and self._must_be_named(spell, time) for spell in now)
        self._diagnosis(time, view, now, recent, hurt)
        self._readiness(time, view, now)
        self._holdings(time, view)
        for key in [key for key in self._since if key not in self._seen]:
            del self._since[key]

    def _must_be_named(self, spell: Spell, time: float) -> bool:
        """Whether it is too late not to name it."""
        since = max(spell.must_be_named_from, STARTED + INTERVAL)
        if any(
            other.harm.kind == "no descriptors"
            and other.begins <= time
            and other.ends > spell.since
            for other in self._spells
        ):
            # Without descriptors nothing is learnt: what was known before counts for its time.
            since += STALE_AFTER
        if not since <= time < spell.ends - STEP:
            return False
        return not spell.harm.slow or not self._masked(spell, time)

    def _masked(self, spell: Spell, time: float) -> bool:
        """Whether another trouble was in the way of the probe that finds it."""
        since = max(spell.since, time - (spell.harm.within or 0.0) - NOTICED)
        return any(
            (not spell.target or other.target in {spell.target, ""})
            and other.harm.kind not in {spell.harm.kind, "disagreement"}
            and other.harm.states
            and other.ends + RECOVERY > since
            and other.begins <= time
            for other in self._spells
        )

    def _blame(
        self, time: float, name: str, state: State, now: list[Spell], recent: list[Spell]
    ) -> None:
        if state is State.UNKNOWN and time < STARTED:
            return
        for spell in now:
            if spell.target in {name, ""}:
                harm = spell.harm
                if state in harm.state_after(time - spell.since - NOTICED):
                    return
        for spell in recent:
            if spell.target in {name, ""}:
                harm = spell.harm
                if state in harm.states or state in harm.states_then:
                    return
        if state is State.FLAPPING and self._was_flapping(name, time):
            return
        if self._too_long(time, "state", name, state):
            mine = [spell for spell in now if spell.target in {name, ""} and spell.harm.states]
            before = [
                spell
                for spell in self._spells
                if spell.target in {name, ""} and spell.ends <= time and spell.harm.states
            ]
            if mine:
                kinds = f"{name} is {state}, and users see: {_kinds(mine)}"
                self._note(Invariant.CAUSE, time, kinds)
            elif before:
                last = max(before, key=lambda spell: spell.ends)
                what = f"{name} is {state} {time - last.ends:.0f} s after: {last.harm.kind}"
                self._note(Invariant.RECOVERED, time, what)
            else:
                self._note(Invariant.NOT_BLAMED, time, f"{name} is {state}")

    def _were_not_compared(self, time: float) -> bool:
        """Whether fewer than two targets have answered for long enough to be compared again."""
        since = time - RECOVERY - NOTICED
        answering = [
            each for each in self._situation.servers if served(self._situation, each, since).answers
        ]
        return len(answering) < 2

    def _was_flapping(self, name: str, time: float) -> bool:
        """Whether enough interruptions lie in the window; of any target where `name` is empty."""
        before = [
            spell
            for spell in self._spells
            if name in {spell.target, ""}
            and spell.harm.kind in _INTERRUPTS
            and spell.begins <= time < spell.ends + _FLAPPING_WINDOW + RECOVERY
        ]
        if any(spell.harm.kind in _COMES_AND_GOES for spell in before):
            return True
        return bool(name) and len({spell.since for spell in before}) > 1

    def _diagnosis(
        self, time: float, view: View, now: list[Spell], recent: list[Spell], hurt: bool
    ) -> None:
        named = view.diagnosis
        findings = (named.finding, *named.also)
        if hurt and named.cause in {Cause.HEALTHY, Cause.STARTING}:
            self._note(Invariant.NOT_HEALTHY, time, f"the diagnosis is {named.cause}")
        for finding in findings:
            cause = finding.cause
            if cause is Cause.HEALTHY or (cause is Cause.STARTING and time < STARTED):
                continue
            of = {finding.target, ""} if finding.target else None
            if any(
                cause in spell.harm.named_after(time - spell.since - NOTICED)
                for spell in now
                if of is None or spell.target in of
            ):
                continue
            if any(
                cause in spell.harm.causes_after
                for spell in recent
                if of is None or spell.target in of
            ):
                continue
            if cause in _OF_A_WINDOW and self._was_flapping(finding.target, time):
                continue
            if cause is Cause.SOURCES_DISAGREE and self._were_not_compared(time):
                continue
            if self._too_long(time, "cause", cause, finding.target):
                what = f"{cause} is named: {finding.sentence}"
                invariant = Invariant.CAUSE if now else Invariant.RECOVERED
                if not now and not any(spell.ends <= time for spell in self._spells):
                    invariant = Invariant.NOT_BLAMED
                self._note(invariant, time, what)
        if hurt and named.cause not in {Cause.HEALTHY, Cause.STARTING}:
            # What hurts users of a primary is named first.
            about = [spell for spell in now if spell.target in {*self._primaries, ""}]
            accepted = {cause for spell in about for cause in _any_cause(spell.harm)}
            soon = [spell for spell in recent if spell.target in {*self._primaries, ""}]
            accepted |= {cause for spell in soon for cause in _any_cause(spell.harm)}
            # What is wrong with the chain explains more than what is wrong with a primary.
            accepted |= {c for spell in now for c in _any_cause(spell.harm)} & _OF_THE_CHAIN
            other = named.cause not in accepted | _OF_A_WINDOW
            if other and self._too_long(time, "first", named.cause):
                self._note(Invariant.CAUSE, time, f"{named.cause} is named first")

    def _readiness(self, time: float, view: View, now: list[Spell]) -> None:
        standings = view.readiness.standings
        no, yes = 0, 0
        for name in self._primaries:
            own = [spell for spell in now if spell.target in {name, ""}]
            unready = [
                spell
                for spell in own
                if spell.harm.unready_within is not None
                and time
                >= max(spell.since, STARTED) + spell.harm.unready_within + NOTICED + INTERVAL
                and time < spell.ends - STEP
                and not (spell.harm.slow and self._masked(spell, time))
            ]
            counted = standings[name].ready
            if unready:
                no += 1
                if counted:
                    self._note(Invariant.UNREADY, time, f"{name} counts: {_kinds(unready)}")
            elif self._must_count(name, time, own):
                yes += 1
                if not counted:
                    well = _kinds(own) or "nothing is wrong"
                    self._note(Invariant.READY, time, f"{name} does not count: {well}")
        needed = view.readiness.needed
        if no > len(self._primaries) - needed and view.readiness.ready:
            self._note(Invariant.UNREADY, time, "/ready answers yes")
        if yes >= needed and not view.readiness.ready:
            self._note(Invariant.READY, time, f"/ready answers {view.readiness.phase}")

    def _must_count(self, name: str, time: float, own: list[Spell]) -> bool:
        if time < STARTED + HYSTERESIS:
            return False
        for spell in own:
            if time - spell.since >= spell.harm.ready_until - NOTICED:
                return False
        return not any(
            spell.target in {name, ""}
            and spell.ends <= time < spell.ends + RECOVERY + HYSTERESIS + NOTICED
            and spell.harm.ready_until < spell.ends - spell.since + NOTICED
            for spell in self._spells
        )

    def _holdings(self, time: float, view: View) -> None:
        for wallet in view.judgement.wallet_status.wallets.values():
            for holding in wallet.holdings.values():
                reading = holding.reading
                if reading is None:
                    continue
                age = view.snapshot.monotonic - reading.finished
                if age > _READ_WITHIN + NOTICED:
                    self._note(Invariant.BALANCE, time, f"{holding.asset} is {age:.0f} s old")
                if not reading.proven:
                    continue
                true = self._balances[holding.asset]
                if reading.amount != true:
                    what = f"{holding.asset} is {reading.amount}, proven; true is {true}"
                    self._note(Invariant.BALANCE, time, what)

    def _too_long(self, time: float, *key: str, longest: float = INTERVAL) -> bool:
        """Whether the same has been said for longer than `longest`, or again and again."""
        self._seen.add(key)
        if key not in self._since:
            self._since[key] = time
            self._times[key] += 1
        return time - self._since[key] > longest or self._times[key] > _AGAIN

    def _note(self, invariant: Invariant, time: float, what: str) -> None:
        if invariant not in self.wrong:
            faults = tuple(sorted({episode.fault for episode in self._situation.episodes}))
            self.wrong[invariant] = Wrong(invariant, round(time, 1), what, faults)


def _any_cause(harm: Harm) -> frozenset[Cause]:
    return harm.causes | harm.causes_then


def _kinds(found: Iterable[Spell]) -> str:
    return ", ".join(sorted({spell.harm.kind for spell in found}))
