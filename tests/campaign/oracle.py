"""What tonwatch may and must say of a situation: from what users get, and from nothing else.

The table of what holds, as code. Nothing here is read from the judge.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tests.campaign.served import SILENT, Served, chain_of, here, served
from tests.campaign.situation import CLOCK, EGRESS_BROKEN, EGRESS_LOSSY, LOCAL, Server, Situation
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import CHAIN
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State

# What holds by default, from the documentation; seconds unless said otherwise.
INTERVAL: Final = 5.0
_TIMEOUT: Final = 3.0
STALE_AFTER: Final = 20.0
_LAG_WARN: Final = 10.0
_LAG_UNREADY: Final = 20.0
_SHARD_BLOCKS_WARN: Final = 16
_SHARD_BLOCKS_UNREADY: Final = 40
_STALLED: Final = 15.0
_CLOCK_WARN: Final = 2.0
_SLOW: Final = 1.0
_FLAPPING_WINDOW: Final = 180.0
_QUEUE_LIMIT: Final = 8000
"""Messages in a shard's outbound queue above which external ones are not included any more."""

# Bounds by class of fault: seconds from its beginning until it is named.
HARD: Final = 10.0
TIMED_OUT: Final = 12.0
"""Two queries that wait in vain, one after the other: 5 + 3 + 3 s."""
SOFT: Final = 20.0
BY_ACCOUNT: Final = 15.0 + 10.0
BY_CONNECT: Final = 30.0 + 10.0
BY_ROUND: Final = 60.0 + 10.0
"""What the fork, compare and write probes find."""

NOTICED: Final = 1.0
"""Seconds for one evaluation, and for the steps in which the truth is looked at."""

HYSTERESIS: Final = 2 * INTERVAL
"""Further seconds until /ready answers no, or yes again."""

RECOVERY: Final = 3 * INTERVAL
"""Seconds from the end of a fault until nothing is named."""

STARTED: Final = 12.0
"""Seconds from the start until every target's head is known, or that it gives no answer."""

STEP: Final = 1.0
"""Seconds from look to look at the truth."""


_LATE: Final = frozenset({Cause.NODE_LAGGING, Cause.NODE_STALLED, Cause.ALL_LAGGING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What is wrong for a user of a target, or for all, and what tonwatch makes of it.

    Attributes:
        kind: two with the same are one that goes on.
        within: seconds until it must be named; None where it need not be.
        states: what the target may be called.
        causes: what may be named.
        settles: seconds from which on only `states_then` and `causes_then` are right.
        unready_within: seconds from which on /ready does not count the target; None for never.
        ready_until: seconds for which it must count it.
        slow: only a slow probe finds it: other troubles may be in the way.
    """

    kind: str
    within: float | None = None
    states: frozenset[State] = frozenset()
    causes: frozenset[Cause] = frozenset()
    settles: float = math.inf
    states_then: frozenset[State] = frozenset()
    causes_then: frozenset[Cause] = frozenset()
    unready_within: float | None = None
    ready_until: float = 0.0
    slow: bool = False

    def named_after(self, seconds: float) -> frozenset[Cause]:
        """What may be named `seconds` after it began."""
        return self.causes if seconds < self.settles else self.causes_then

    @property
    def causes_after(self) -> frozenset[Cause]:
        """What may be named soon after its end: who was late then catches up."""
        causes = self.causes | self.causes_then
        return causes | {Cause.NODE_CATCHING_UP} if causes & _LATE else causes

    def state_after(self, seconds: float) -> frozenset[State]:
        """What the target may be called then."""
        return self.states if seconds < self.settles else self.states_then


@dataclass(frozen=True, slots=True)
class Spell:
    """A harm from `begins` to `ends`; `target` is empty where it is about all.

    What is wrong may have begun before, at `since`, with other consequences.
    """

    target: str
    harm: Harm
    since: float
    begins: float
    ends: float

    @property
    def must_be_named_from(self) -> float:
        """When it is too late not to name it."""
        within = self.harm.within
        return math.inf if within is None else self.since + within + NOTICED


_CAUSES: Final = {
    "down": (Cause.NODE_DOWN, Cause.PROVIDER_DOWN),
    "unauthorized": (Cause.PROVIDER_UNAUTHORIZED, Cause.PROVIDER_UNAUTHORIZED),
    "throttled": (Cause.NODE_THROTTLED, Cause.PROVIDER_THROTTLED),
    "stalled": (Cause.NODE_STALLED, Cause.PROVIDER_STALLED),
    "lagging": (Cause.NODE_LAGGING, Cause.PROVIDER_LAGGING),
    "shard_lagging": (Cause.NODE_SHARD_LAGGING, Cause.PROVIDER_SHARD_LAGGING),
    "forked": (Cause.NODE_FORKED, Cause.PROVIDER_FORKED),
    "flapping": (Cause.NODE_FLAPPING, Cause.PROVIDER_FLAPPING),
    "disproved": (Cause.NODE_DISPROVED, Cause.PROVIDER_DISPROVED),
    "slow": (Cause.NODE_SLOW, Cause.PROVIDER_SLOW),
}


_NONE: Final = frozenset[Cause]()


def _cause(server: Server, *words: str) -> frozenset[Cause]:
    return frozenset(_CAUSES[word][0 if server.is_node else 1] for word in words)


def _states(*states: State) -> frozenset[State]:
    return frozenset(states)


def _hard(within: float) -> float:
    return within + HYSTERESIS


def harms(situation: Situation, server: Server, now: Served, time: float) -> Iterator[Harm]:
    """What follows for a target from what its users get."""
    if now.egress:
        yield from _egress(situation, server, now)
    if not now.answers and not now.cut:
        yield from _no_answers(situation, server, now, time)
    elif now.losses and not now.egress:
        yield _losses(server, now)
    if now.flapping:
        yield _turns(server)
    if now.kept is not Reason.OK:
        return
    if now.queue > _QUEUE_LIMIT:
        yield Harm(kind="queue", causes=frozenset({Cause.MESSAGES_QUEUED}), ready_until=math.inf)
    if not now.own_network:
        # A kept connection may go on with what it had: then a new one shows it.
        within = HARD if now.stale_since is None else BY_CONNECT + INTERVAL
        yield Harm(
            kind="wrong network",
            within=within,
            # An account may be read on the other network between two heads of this one.
            states=_states(State.WRONG_NETWORK, State.SHARD_LAGGING),
            causes=frozenset({Cause.WRONG_NETWORK}) | _cause(server, "shard_lagging"),
            unready_within=_hard(within),
        )
        if now.stale_since is None:
            return
    yield from _slow(server, now)
    yield from _late(situation, server, now, time)
    yield from _accounts(situation, server, now, time)
    yield from _untrue(situation, server, now, time)
    if now.messages is False:
        yield Harm(
            kind="messages",
            within=BY_ROUND if situation.wallets else None,
            states=_states(State.WRITE_BROKEN),
            causes=frozenset({Cause.WRITE_PATH_BROKEN}),
            ready_until=math.inf,
            slow=True,
        )
    elif now.messages is None:
        yield Harm(
            kind="messages undecided",
            states=_states(),
            causes=frozenset({Cause.WRITE_PROBE_IDLE}),
            ready_until=math.inf,
        )


def _egress(situation: Situation, server: Server, now: Served) -> Iterator[Harm]:
    """The way from here is broken, or loses packets: ours, where two targets show it."""
    causes = {Cause.EGRESS_BROKEN, Cause.EGRESS_LOSSY}
    states = {State.DOWN, State.UNKNOWN, State.NOT_SYNCED}
    if len(situation.external) < 2:
        causes |= _cause(server, "down", "flapping") | {Cause.NODE_NOT_SYNCED}
        states |= {State.FLAPPING}
    if now.cut:
        yield Harm(
            kind="egress broken",
            within=TIMED_OUT,
            states=frozenset(states),
            causes=frozenset(causes),
            unready_within=_hard(TIMED_OUT) + STALE_AFTER,
        )
    else:
        causes |= _cause(server, "down", "slow") | {Cause.NODE_NOT_SYNCED, Cause.NO_DATA}
        causes |= {Cause.ACCOUNTS_FAILING}
        states |= {State.SLOW, State.ACCOUNTS_FAILING}
        yield Harm(kind="egress lossy", states=frozenset(states), causes=frozenset(causes))


def _no_answers(situation: Situation, server: Server, now: Served, time: float) -> Iterator[Harm]:
    """A new or a kept connection gets no answers."""
    descriptors = here(situation, time).descriptors
    down = _states(State.DOWN, *([State.FLAPPING] if now.flapping else []))
    named = _cause(server, "down", *(["flapping"] if now.flapping else []))
    if not descriptors:
        # Only what is read on kept connections shows it.
        down |= {State.ACCOUNTS_FAILING}
        named |= {Cause.ACCOUNTS_FAILING}
    no_pings = now.connect_seconds > 1 or now.losses > 0.2
    if now.kept is Reason.OK:
        yield Harm(
            kind="new connections",
            within=BY_CONNECT,
            states=down,
            causes=named,
            unready_within=_hard(BY_CONNECT),
            slow=True,
        )
    elif now.kept is Reason.RATE_LIMITED:
        yield Harm(
            kind="throttled",
            within=SOFT,
            # A new connection is not even made in time.
            states=_states(State.THROTTLED)
            | (down if now.connect_seconds > _TIMEOUT else _states()),
            causes=_cause(server, "throttled")
            | (named if now.connect_seconds > _TIMEOUT else _NONE),
            unready_within=STALE_AFTER + SOFT + HYSTERESIS,
            ready_until=STALE_AFTER - INTERVAL - NOTICED,
        )
    elif now.kept is Reason.UNAUTHORIZED:
        yield Harm(
            kind="unauthorized",
            within=HARD,
            states=_states(State.UNAUTHORIZED),
            causes=_cause(server, "unauthorized"),
            unready_within=_hard(HARD),
        )
    elif now.kept is Reason.NOT_SYNCED:
        yield Harm(
            kind="not synced",
            within=TIMED_OUT,
            states=_states(State.NOT_SYNCED) | (down if no_pings else _states()),
            causes=frozenset({Cause.NODE_NOT_SYNCED}) | (named if no_pings else _NONE),
            unready_within=_hard(TIMED_OUT),
        )
    else:
        within = TIMED_OUT if now.kept in SILENT else HARD
        if now.kept in SILENT and _was_very_slow(situation, server, time):
            # Only what asks with patience tells silence from answers that are very late.
            within = BY_CONNECT
            down |= {State.SLOW}
            named |= _cause(server, "slow")
        if any(e.fault == Fault.SLOW_DRIP and e.at(time) for e in situation.of(server.name)):
            # All of it may come in the end.
            down |= {State.SLOW}
            named |= _cause(server, "slow")
        yield Harm(
            kind="down",
            within=within,
            states=down,
            causes=named,
            unready_within=_hard(within),
        )


def _was_very_slow(situation: Situation, server: Server, time: float) -> bool:
    """Whether its answers took longer than a probe waits, lately."""
    steps = range(math.ceil(BY_CONNECT / STEP))
    before = (served(situation, server, time - step * STEP) for step in steps)
    return any(now.answer_seconds > 0.8 * _TIMEOUT for now in before)


def _losses(server: Server, now: Served) -> Harm:
    """Some queries get no answer; nearly all of them is a failure."""
    states = {State.DOWN, State.FLAPPING, State.NOT_SYNCED, State.UNKNOWN, State.SLOW}
    causes = {*_cause(server, "down", "flapping", "slow"), Cause.NODE_NOT_SYNCED, Cause.NO_DATA}
    if now.losses < 0.9:
        states |= {State.ACCOUNTS_FAILING, State.WRITE_BROKEN}
        causes |= {Cause.ACCOUNTS_FAILING, Cause.WRITE_PATH_BROKEN}
    return Harm(
        kind="lossy" if now.losses < 0.9 else "nearly silent",
        within=None if now.losses < 0.9 else SOFT,
        states=frozenset(states),
        causes=frozenset(causes),
    )


def _turns(server: Server) -> Harm:
    return Harm(
        kind="flapping",
        states=_states(State.DOWN, State.FLAPPING),
        causes=_cause(server, "down", "flapping"),
    )


def _slow(server: Server, now: Served) -> Iterator[Harm]:
    answer, connect = now.answer_seconds, now.connect_seconds
    slow, named = _states(State.SLOW), _cause(server, "slow")
    dead = slow | {State.DOWN, State.NOT_SYNCED}
    dead_named = named | _cause(server, "down")
    if server.is_node:
        dead_named |= {Cause.NODE_NOT_SYNCED}
    if answer > 0.8 * _TIMEOUT:
        # Longer than a probe waits: what it is shows only where something asks with patience.
        patient = answer < 2 * _TIMEOUT
        yield Harm(
            kind="very slow",
            within=TIMED_OUT,
            states=dead,
            causes=dead_named,
            settles=BY_CONNECT + NOTICED if patient else math.inf,
            states_then=slow,
            causes_then=named,
        )
    elif answer > 0.7 * _SLOW:
        surely = answer >= 1.2 * _SLOW
        yield Harm(
            kind="slow" if surely else "perhaps slow",
            within=SOFT if surely else None,
            states=slow,
            causes=named,
            ready_until=math.inf,
        )
    if connect > _TIMEOUT:
        yield Harm(
            kind="slow connections",
            within=BY_CONNECT,
            states=slow | {State.DOWN},
            causes=named | _cause(server, "down"),
            slow=True,
        )
    elif connect > 0.7 * _SLOW:
        yield Harm(kind="perhaps slow connections", states=slow, causes=named, ready_until=math.inf)


def _late(situation: Situation, server: Server, now: Served, time: float) -> Iterator[Harm]:
    """Behind the chain, or without new blocks."""
    chain = chain_of(situation)
    pace = chain.gap(time)
    unsure = pace + 2.0
    behind = _behind(situation, server, time)
    lagging = _cause(server, "lagging") | {Cause.ALL_LAGGING}
    if now.catching_up or _gained(situation, server, time):
        lagging |= {Cause.NODE_CATCHING_UP}
    if not _all_late(situation, time):
        lagging -= {Cause.ALL_LAGGING}
    # Blocks from before the chain went back are those of another history.
    went_back = any(each.fault == "rewind" and each.begins <= time for each in situation.episodes)
    on_old_history = [State.FORKED] if went_back else []
    of_old_history = _cause(server, "forked") if went_back else frozenset()
    if behind >= _LAG_WARN - min(unsure, 7.0):
        # How late blocks of a fork are means nothing. A false clock makes them look fresh.
        surely = now.behind >= _LAG_WARN + unsure
        surely = surely and not (now.forked or now.time_error or now.clock)
        stuck = now.idle >= _LAG_WARN
        yield Harm(
            kind="late" if surely else "perhaps late",
            within=SOFT if surely else None,
            states=_states(
                State.LAGGING,
                *([State.STALLED] if stuck else []),
                *([State.SHARD_LAGGING] if now.steps_back else []),
                *on_old_history,
            ),
            causes=lagging
            | of_old_history
            | (_stalled(situation, server, time) if stuck else frozenset())
            | (_cause(server, "shard_lagging") if now.steps_back else frozenset()),
        )
        if now.behind >= _LAG_UNREADY + unsure and surely:
            yield Harm(kind="too late", unready_within=_hard(SOFT))
        elif behind <= _LAG_UNREADY - unsure and not stuck:
            yield Harm(kind="not too late", ready_until=math.inf)
    threshold = max(_STALLED, 1.5 * chain.gap(time - now.idle - 0.01))
    if now.idle >= threshold - INTERVAL:
        of_all = _all_idle(situation, time)
        stands = now.idle >= threshold
        # Who was stuck shows an old block as a new one.
        surely = stands and _without_progress(situation, server, time) >= threshold
        surely = surely and _undisturbed(situation, server, time, threshold)
        late_by = BY_CONNECT if now.answer_seconds > 0.8 * _TIMEOUT else INTERVAL
        if not of_all and _all_idle(situation, time - 2 * INTERVAL):
            # That the chain goes on must be seen first.
            late_by = max(late_by, 2 * INTERVAL)
        one = len(_met(situation, time)) == 1
        by_chain = of_all and len(_ahead(situation, time)) == len(situation.servers)
        yield Harm(
            kind=("stalled with the chain" if of_all else "stalled")
            if stands
            else "perhaps stalled",
            # Lost answers and false times hide since when there is no new block.
            within=late_by + NOTICED
            if surely and not (now.egress or now.time_error or now.losses)
            else None,
            states=_states(State.STALLED, State.LAGGING, *on_old_history),
            causes=_stalled(situation, server, time) | lagging | of_old_history,
            settles=2 * INTERVAL,
            states_then=_states(State.STALLED),
            causes_then=_stalled(situation, server, time),
            unready_within=_hard(late_by)
            if surely and (one or not of_all) and not now.time_error
            else None,
            ready_until=math.inf if by_chain and not one and now.state == now.head else 0.0,
        )
    elif now.idle < _without_progress(situation, server, time) >= threshold - INTERVAL:
        yield Harm(
            kind="no progress",
            states=_states(State.STALLED),
            causes=_cause(server, "stalled") | {Cause.CHAIN_STALLED},
        )
    if now.stale_since is not None and time - now.stale_since < BY_CONNECT + RECOVERY:
        # Who keeps a connection is late until a new one shows it.
        yield Harm(
            kind="stale connection",
            states=_states(State.STALLED, State.LAGGING, State.SHARD_LAGGING),
            causes=_cause(server, "stalled", "lagging", "shard_lagging")
            | {Cause.CHAIN_STALLED, Cause.ALL_LAGGING},
        )


def _behind(situation: Situation, server: Server, time: float) -> float:
    """Seconds by which the older of its answers is behind."""
    now = served(situation, server, time)
    return now.behind + now.steps_back * situation.pace


def _undisturbed(situation: Situation, server: Server, time: float, seconds: float) -> bool:
    """Whether it has answered for so long, and what it said did not fall back."""
    steps = range(math.ceil(seconds / STEP))
    before = [served(situation, server, time - step * STEP) for step in steps]
    return all(now.answers and now.own_network and not now.steps_back for now in before)


def _gained(situation: Situation, server: Server, time: float) -> bool:
    """Whether it has been later within the last minute."""
    before = (_behind(situation, server, time - step * STEP) for step in range(60))
    return max(before) > served(situation, server, time).behind + 3.0


def _without_progress(situation: Situation, server: Server, time: float) -> float:
    """Seconds for which it has had no block above all that it had: one that falls back has none."""
    highest, since = -math.inf, 0.0
    for step in range(math.floor(time / STEP) + 1):
        place = served(situation, server, step * STEP).head.place
        if place > highest:
            highest, since = place, step * STEP
    return time - since


def _stalled(situation: Situation, server: Server, time: float) -> frozenset[Cause]:
    """Who may be called stalled: the chain where all have no new blocks."""
    if not _all_idle(situation, time):
        return _cause(server, "stalled")
    if len(_met(situation, time)) == 1:
        return _cause(server, "stalled")
    if len(_ahead(situation, time)) == len(situation.servers):
        return frozenset({Cause.CHAIN_STALLED})
    return _cause(server, "stalled") | {Cause.CHAIN_STALLED}


def _accounts(situation: Situation, server: Server, now: Served, time: float) -> Iterator[Harm]:
    """Accounts that cannot be read, or only as they were."""
    named = _cause(server, "shard_lagging") | {Cause.ACCOUNTS_FAILING}
    states = _states(State.SHARD_LAGGING, State.ACCOUNTS_FAILING)
    if now.accounts_behind is None or now.state is None:
        if now.account_failure is not Reason.SHARD_LAG:
            named -= _cause(server, "shard_lagging")
            states -= {State.SHARD_LAGGING}
        yield Harm(
            kind="accounts",
            within=BY_ACCOUNT,
            states=states,
            causes=named,
            unready_within=_hard(BY_ACCOUNT),
            slow=True,
        )
        return
    blocks = now.head.place - now.state.place
    seconds = now.accounts_behind - now.behind
    if not blocks:
        return
    # Block times are whole seconds, and a healthy head is some seconds old itself.
    unsure = 3 * min(chain_of(situation).gap(time), situation.pace) + 3.5
    counted = server.is_node and blocks >= _SHARD_BLOCKS_WARN + 2 and seconds >= _LAG_WARN / 2
    surely = counted or seconds >= _LAG_WARN + unsure
    if not surely and seconds < _LAG_WARN - min(unsure, 7.0) and blocks < _SHARD_BLOCKS_WARN - 2:
        return
    too_far = server.is_node and blocks >= _SHARD_BLOCKS_UNREADY + 4 and seconds >= _LAG_WARN
    unready = too_far or seconds >= _LAG_UNREADY + unsure
    within = SOFT if server.is_node else BY_ACCOUNT
    yield Harm(
        kind="shard client late" if surely else "shard client perhaps late",
        within=within if surely else None,
        states=states,
        causes=named,
        slow=not server.is_node,
        unready_within=_hard(within) if unready else None,
        ready_until=math.inf
        if seconds <= _LAG_WARN + 2.0 and blocks <= _SHARD_BLOCKS_UNREADY - 4
        else 0.0,
    )


def _untrue(situation: Situation, server: Server, now: Served, time: float) -> Iterator[Harm]:
    """What it says is not true."""
    if not now.proofs:
        yield Harm(
            kind="proofs",
            within=BY_CONNECT,
            states=_states(State.PROOF_INVALID),
            causes=frozenset({Cause.PROOF_INVALID}),
            unready_within=_hard(BY_CONNECT),
            slow=True,
        )
    elif now.state != now.head and _had_false_proofs(situation, server, time):
        yield Harm(
            kind="nothing after false proofs",
            states=_states(State.PROOF_INVALID),
            causes=frozenset({Cause.PROOF_INVALID}),
        )
    if not now.balances:
        state, cause = State.PROOF_INVALID, Cause.PROOF_INVALID
        if not server.is_node:
            state, cause = State.DISPROVED, Cause.PROVIDER_DISPROVED
        seen = situation.wallets and (
            server.is_node or any(s.is_node for s in _well(situation, time))
        )
        yield Harm(
            kind="balances",
            within=BY_ROUND if seen else None,
            states=_states(state),
            causes=frozenset({cause}),
            unready_within=_hard(BY_ROUND) if seen else None,
            ready_until=0.0,
            slow=True,
        )
    if now.forked:
        yield from _forked(situation, server, time)
    if now.time_error:
        # Later by so much, its blocks come from the future; others are not late for that.
        causes = {Cause.NODE_CLOCK_SKEWED, Cause.PROOF_INVALID}
        causes |= _cause(server, "lagging", "disproved")
        if len(situation.servers) < 3:
            causes |= {Cause.LOCAL_CLOCK_SKEWED}
        yield Harm(
            kind="false times",
            states=_states(State.CLOCK_SKEWED, State.PROOF_INVALID, State.LAGGING, State.DISPROVED),
            causes=frozenset(causes),
        )
    # Old blocks fit a local clock that is ahead.
    alone = len(situation.servers) == 1 and now.behind
    unsure = bool(alone) or abs(now.clock) <= chain_of(situation).gap(time) + 2.0
    if not server.is_node and now.clock and unsure:
        yield Harm(
            kind="clock of a provider",
            causes=frozenset({Cause.LOCAL_CLOCK_SKEWED}),
            ready_until=math.inf,
        )
    if server.is_node and abs(now.clock) >= _CLOCK_WARN - 1.0:
        ours = {Cause.LOCAL_CLOCK_SKEWED} if unsure else set()
        yield Harm(
            kind="clock",
            states=_states(State.CLOCK_SKEWED),
            causes=frozenset({Cause.NODE_CLOCK_SKEWED, *ours}),
            ready_until=math.inf,
        )


def _had_false_proofs(situation: Situation, server: Server, time: float) -> bool:
    """Whether its last answers about accounts were false: they count until others follow."""
    while time >= 0:
        now = served(situation, server, time)
        if not now.proofs:
            return True
        if now.answers and now.state == now.head:
            return False
        time -= STEP
    return False


def _forked(situation: Situation, server: Server, time: float) -> Iterator[Harm]:
    """On a fork; where the honest ones are no majority, nobody can say who."""
    all_now = [(each, served(situation, each, time)) for each in situation.servers]
    # Rounds ask on new connections.
    answering = [
        (each, now)
        for each, now in all_now
        if now.answers
        and now.own_network
        and now.connect_seconds < _TIMEOUT
        and now.losses < 0.5
        and now.behind < _LAG_WARN
    ]
    forked = [each for each, now in answering if now.forked]
    honest = [each for each, now in answering if not now.forked]
    outvoted = len(honest) > len(forked)
    yield Harm(
        kind="forked" if outvoted else "perhaps forked",
        within=BY_ROUND if outvoted else None,
        states=_states(State.FORKED),
        causes=_cause(server, "forked") | {Cause.SOURCES_DISAGREE},
        unready_within=_hard(BY_ROUND) if outvoted else None,
        slow=True,
    )


def everywhere(situation: Situation, time: float) -> Iterator[Harm]:
    """What is true of all targets at once: of the chain, of this machine, of disagreement."""
    machine = here(situation, time)
    if not machine.descriptors:
        yield Harm(
            kind="no descriptors",
            within=BY_CONNECT,
            states=_states(State.UNKNOWN),
            causes=frozenset({Cause.LOCAL_RESOURCES}),
        )
    if machine.clock:
        yield _local_clock(situation, machine.clock, time)
    for episode in situation.of(LOCAL):
        if episode.at(time) and episode.fault in {EGRESS_BROKEN, EGRESS_LOSSY}:
            yield Harm(
                kind="egress",
                causes=frozenset({Cause.EGRESS_BROKEN, Cause.EGRESS_LOSSY})
                if situation.external
                else frozenset(),
                ready_until=math.inf,
            )
    if len(situation.external) > 1:
        outside = [served(situation, s, time) for s in situation.servers if not s.local]
        if not any(now.reachable for now in outside):
            # From here it looks like the way to them.
            yield Harm(
                kind="no external target",
                states=_states(State.DOWN, State.UNKNOWN),
                causes=frozenset({Cause.EGRESS_BROKEN, Cause.EGRESS_LOSSY}),
                ready_until=math.inf,
            )
    for episode in situation.of(CHAIN):
        if episode.fault == "rewind" and time >= episode.begins:
            # Named for an hour, longer than any situation lasts.
            # The blocks before and after must be seen, before the chain has made as many again.
            many = len(_well(situation, time)) > 1
            many = many and len(_well(situation, episode.begins + INTERVAL)) > 1
            seen = many and episode.begins > STARTED
            yield Harm(
                kind="rolled back",
                within=SOFT if seen and (episode.number or 0) >= 100 else None,
                causes=frozenset({Cause.CHAIN_ROLLED_BACK}),
                ready_until=math.inf,
            )
        if episode.fault == "slow_blocks" and time >= episode.begins:
            yield from _slow_chain(situation, episode.number or 0.0, episode.begins, time)
    if _unread(situation, time):
        yield Harm(
            kind="wallet unread",
            causes=frozenset({Cause.WALLET_READ_FAILING}),
            ready_until=math.inf,
        )
    if len(situation.servers) > 1:
        all_now = [served(situation, server, time) for server in situation.servers]
        forked = [now.forked for now in all_now]
        asked = all(now.answers and now.connect_seconds < _TIMEOUT for now in all_now)
        if any(forked) and sum(forked) >= len(_well(situation, time)):
            # The liars are no minority: the honest ones may be called forked as well.
            yield Harm(
                kind="disagreement",
                within=BY_ROUND if asked and _well(situation, time) else None,
                slow=True,
                states=_states(State.FORKED),
                causes=frozenset(
                    {Cause.SOURCES_DISAGREE, Cause.NODE_FORKED, Cause.PROVIDER_FORKED}
                ),
            )


def _unread(situation: Situation, time: float) -> bool:
    """Whether the wallet can be read nowhere."""
    return situation.wallets and not any(
        (now := served(situation, server, time)).answers
        and now.own_network
        and not now.forked
        and now.proofs
        and now.balances
        and now.state is not None
        and now.losses < 0.01
        and now.behind < _LAG_WARN
        and (now.accounts_behind or 0.0) < _LAG_WARN
        and now.answer_seconds < _SLOW
        for server in situation.servers
    )


def _local_clock(situation: Situation, error: float, time: float) -> Harm:
    """Our clock is wrong: servers' clocks show it, and blocks from the future do."""
    witnesses = [s for s in situation.servers if s.is_node and s in _well(situation, time)]
    causes = {Cause.LOCAL_CLOCK_SKEWED}
    states = {State.UNKNOWN}
    if not witnesses:
        # Where no server says what time it is, blocks that are old by our clock are late.
        causes |= {Cause.ALL_LAGGING, Cause.NODE_LAGGING, Cause.PROVIDER_LAGGING}
        causes |= {Cause.NODE_STALLED, Cause.PROVIDER_STALLED}
        states |= {State.LAGGING}
        if any(served(situation, s, time).clock for s in situation.servers):
            # With both clocks wrong, even a true block seems to come from the future.
            causes |= {Cause.NODE_DISPROVED, Cause.NODE_CLOCK_SKEWED}
            states |= {State.DISPROVED, State.CLOCK_SKEWED}
    if abs(error) <= chain_of(situation).gap(time) + 2.0:
        # Blocks that far apart do not show which of two clocks is right.
        causes |= {Cause.NODE_CLOCK_SKEWED}
        states |= {State.CLOCK_SKEWED}
    certain = bool(witnesses) or (error < -_LAG_WARN and len(_well(situation, time)) > 1)
    return Harm(
        kind="local clock" if certain else "local clock, perhaps",
        within=SOFT if certain and abs(error) > _CLOCK_WARN + 1.0 else None,
        states=frozenset(states),
        causes=frozenset(causes),
    )


def _slow_chain(
    situation: Situation, interval: float, begins: float, time: float
) -> Iterator[Harm]:
    """Blocks come far slower than before; how slow, a few of them must show first."""
    ends = max(e.ends for e in situation.of(CHAIN) if e.begins == begins)
    much = interval >= 4 * situation.pace and interval >= 8.0
    learnt = begins + 4 * interval + SOFT
    if time < ends + 2 * interval + SOFT and interval > 1.5 * situation.pace:
        yield Harm(
            kind="slow chain" if much and learnt < time < ends else "perhaps slow chain",
            within=0.0 if much and learnt < time < ends else None,
            slow=True,
            causes=frozenset({Cause.CHAIN_SLOW}),
            ready_until=math.inf,
        )
    if interval >= _LAG_WARN - 2.0 and time < begins + 2 * interval + SOFT:
        # The first such gap looks like a chain that stands.
        yield Harm(
            kind="first gaps",
            states=_states(State.STALLED, State.LAGGING),
            causes=frozenset({Cause.CHAIN_STALLED, Cause.ALL_LAGGING})
            | (
                _cause(situation.servers[0], "stalled", "lagging")
                if len(situation.servers) == 1
                else frozenset()
            ),
        )


def _well(situation: Situation, time: float) -> list[Server]:
    """Targets that answer with blocks of this chain."""
    return [
        server
        for server in situation.servers
        if (now := served(situation, server, time)).kept is Reason.OK
        and now.own_network
        and not now.forked
        and now.losses < 0.5
        and now.answer_seconds < 0.8 * _TIMEOUT
        and abs(now.clock) < _CLOCK_WARN
        and not now.time_error
    ]


def _met(situation: Situation, time: float) -> list[Server]:
    """Targets that have let a new connection in so far: what the others have is unknown."""
    steps = [step * STEP for step in range(math.floor(time / STEP) + 1)]
    return [
        server
        for server in situation.servers
        if any(served(situation, server, step).answers for step in steps)
    ]


def _all_late(situation: Situation, time: float) -> bool:
    """Whether no target that answers has a fresh head."""
    ages = [served(situation, server, time).behind for server in _well(situation, time)]
    return bool(ages) and min(ages) >= _LAG_WARN - situation.pace - 2.0


def _ahead(situation: Situation, time: float) -> list[Server]:
    """The targets that answer, and have the newest block that any of them has."""
    well = _well(situation, time)
    heads = [served(situation, server, time).head.place for server in well]
    return [server for server, head in zip(well, heads, strict=True) if head == max(heads)]


def _all_idle(situation: Situation, time: float) -> bool:
    """Whether no target has had a block lately that the others do not have."""
    ahead = _ahead(situation, time)
    return all(served(situation, server, time).idle >= 2 * INTERVAL for server in ahead)


def spells(situation: Situation) -> tuple[Spell, ...]:
    """All that is wrong in a situation, each with its beginning and end.

    What need not be named is dated back by a step: it only excuses.
    """
    open_now: dict[tuple[str, str], Spell] = {}
    done: list[Spell] = []
    chain_broken = bool(situation.of(CHAIN))
    time = 0.0
    while time <= situation.lasts:
        found: dict[tuple[str, str], Harm] = {}
        egress = any(e.at(time) and e.fault != CLOCK for e in situation.of(LOCAL))
        for server in situation.servers:
            own = any(episode.at(time) for episode in situation.of(server.name))
            if own or chain_broken or (egress and not server.local):
                now = served(situation, server, time)
                for harm in harms(situation, server, now, time):
                    found[server.name, harm.kind] = harm
        for harm in everywhere(situation, time):
            found["", harm.kind] = harm
        done += [open_now.pop(key) for key in open_now.keys() - found.keys()]
        for key, harm in found.items():
            begun = open_now.get(key)
            if begun is None:
                begins = time if time == 0 or harm.within is not None else time - STEP
                open_now[key] = Spell(key[0], harm, begins, begins, time + STEP)
            elif begun.harm == harm:
                open_now[key] = replace(begun, ends=time + STEP)
            else:
                # It goes on in another way: what may be said changes.
                done.append(replace(begun, ends=time))
                anew = begun.harm.within is None and harm.within is not None
                since = time if anew else begun.since
                open_now[key] = Spell(key[0], harm, since, time, time + STEP)
        time += STEP
    return (*done, *open_now.values())
