"""What a user of a target gets at a time, from the situation alone: the truth.

A user is a client in this place with the target's endpoint and key. Nothing here knows how
tonwatch probes or judges.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from tests.campaign.situation import (
    CLOCK,
    EGRESS_BROKEN,
    EGRESS_LOSSY,
    LOCAL,
    NO_DESCRIPTORS,
    Episode,
    Server,
    Situation,
)
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import CHAIN
from tonwatch.ton.errors import Reason

BEFORE: Final = 400.0
"""Seconds of blocks that exist from the start."""

_CATCHES_UP: Final = 3.0
"""Seconds of lag that a node makes up each second while it catches up."""

FIRST_SEQNO: Final = 50_000_000

SILENT: Final = frozenset(
    {Reason.HANDSHAKE_TIMEOUT, Reason.QUERY_TIMEOUT, Reason.CONNECT_TIMEOUT, Reason.NOT_SYNCED}
)
"""How a query ends that nothing answers: after a timeout."""


class Block(NamedTuple):
    """A masterchain block: its place in the order of making, seqno, time and history.

    `time` is in seconds of the situation; `history` counts the times that the chain went back.
    """

    place: int
    seqno: int
    time: float
    history: int


class Chain:
    """The blocks of a situation, each with the time at which it was made."""

    def __init__(self, situation: Situation) -> None:
        self._times: list[float] = []
        self._blocks: list[Block] = []
        episodes = situation.of(CHAIN)
        time, seqno, history = -BEFORE, FIRST_SEQNO, 0
        rewinds = [episode for episode in episodes if episode.fault == "rewind"]
        while time <= situation.lasts:
            while rewinds and rewinds[0].begins <= time:
                seqno -= int(rewinds.pop(0).number or 0)
                history += 1
            self._times.append(time)
            self._blocks.append(Block(len(self._blocks), seqno, time, history))
            time, seqno = self._next(time, situation.pace, episodes), seqno + 1

    @staticmethod
    def _next(time: float, pace: float, episodes: tuple[Episode, ...]) -> float:
        slow = [e for e in episodes if e.fault == "slow_blocks" and e.at(time)]
        after = time + (max(e.number or 0.0 for e in slow) if slow else pace)
        for episode in slow:
            if after > episode.ends:
                after = max(time + pace, episode.ends)
        for episode in episodes:
            # A stall that begins before the next block holds it up.
            if episode.fault == Fault.STALL and episode.begins < after < episode.ends:
                after = episode.ends
        for episode in episodes:
            if episode.fault == "slow_blocks" and time < episode.begins < after < episode.ends:
                after = min(after, episode.begins + (episode.number or 0.0))
        return after

    def at(self, time: float) -> Block:
        """The newest block at `time`."""
        return self._blocks[max(0, bisect_right(self._times, time) - 1)]

    def back(self, block: Block, count: int) -> Block:
        """The block `count` blocks before."""
        return self._blocks[max(0, block.place - count)]

    def with_seqno(self, seqno: int, newest: Block) -> Block | None:
        """The block with a seqno in the history of `newest`."""
        block = newest
        while block.seqno != seqno or block.history > newest.history:
            if block.place == 0 or newest.place - block.place > 1000:
                return None
            block = self._blocks[block.place - 1]
        return block

    def gap(self, time: float) -> float:
        """Seconds between the last two blocks before `time`, or from the last one till then."""
        newest = self.at(time)
        before = self.back(newest, 1)
        return max(newest.time - before.time, time - newest.time)


@lru_cache(maxsize=8)
def chain_of(situation: Situation) -> Chain:
    """The chain of a situation."""
    return Chain(situation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a user of a target gets.

    Attributes:
        new: how a query on a new connection ends.
        kept: how one on a connection ends that was open before.
        losses: share of queries that get no answer.
        answer_seconds: from a query to its answer.
        connect_seconds: what a new connection takes in addition.
        head: the newest block that is served.
        head_age: seconds since that block was made, by the true clock.
        behind: seconds from that block to the newest one of the chain.
        idle: seconds since the target had its last new block.
        steps_back: blocks by which every other answer is older than `head`.
        stale_since: time from which connections that were open then get no newer block.
        state: the block whose accounts can be read; None where no account can be read.
        accounts_behind: seconds from that block to the newest one of the chain.
        account_failure: how a query for an account ends where none can be read.
        messages: whether external messages are accepted; None where the target decides nothing.
        proofs: whether proofs belong to what they prove.
        balances: whether balances are true.
        time_error: seconds by which the times of its blocks are too late.
        own_network: whether it is the configured network.
        forked: whether its blocks are on a fork.
        catching_up: whether it gets nearer to the head.
        clock: seconds by which its clock is ahead of the true time.
        queue: messages that wait in the outbound queue.
        flapping: whether it refuses and answers by turns.
        egress: whether the way to it is broken here.
    """

    new: Reason = Reason.OK
    kept: Reason = Reason.OK
    losses: float = 0.0
    answer_seconds: float = 0.0
    connect_seconds: float = 0.0
    head: Block
    head_age: float = 0.0
    behind: float = 0.0
    idle: float = 0.0
    steps_back: int = 0
    stale_since: float | None = None
    state: Block | None = None
    accounts_behind: float | None = 0.0
    account_failure: Reason = Reason.OK
    messages: bool | None = True
    proofs: bool = True
    balances: bool = True
    time_error: float = 0.0
    own_network: bool = True
    forked: bool = False
    catching_up: bool = False
    clock: float = 0.0
    queue: int = 0
    flapping: bool = False
    egress: bool = False

    @property
    def reachable(self) -> bool:
        """Whether a new connection gets answers."""
        return self.new is Reason.OK

    @property
    def answers(self) -> bool:
        """Whether both a new and a kept connection get answers."""
        return self.reachable and self.kept is Reason.OK

    @property
    def authorized(self) -> bool:
        return self.kept is not Reason.UNAUTHORIZED

    @property
    def throttled(self) -> bool:
        return self.kept is Reason.RATE_LIMITED

    @property
    def truthful(self) -> bool:
        """Whether what it says is true."""
        true = self.proofs and self.balances and self.own_network and not self.forked
        return true and not self.time_error


_ENDS: Final[dict[str, tuple[Reason, Reason]]] = {
    Fault.REFUSE: (Reason.CONNECT_REFUSED, Reason.CONNECT_REFUSED),
    Fault.HANG: (Reason.HANDSHAKE_TIMEOUT, Reason.QUERY_TIMEOUT),
    Fault.NOT_SYNCED: (Reason.NOT_SYNCED, Reason.QUERY_TIMEOUT),
    Fault.GARBAGE: (Reason.PROTOCOL_ERROR, Reason.BAD_ANSWER),
    Fault.WRONG_KEY: (Reason.HANDSHAKE_FAILED, Reason.HANDSHAKE_FAILED),
    Fault.BAD_JSON: (Reason.BAD_ANSWER, Reason.BAD_ANSWER),
    Fault.DROP_MID_FRAME: (Reason.CONNECTION_LOST, Reason.CONNECTION_LOST),
    Fault.SLOW_DRIP: (Reason.QUERY_TIMEOUT, Reason.QUERY_TIMEOUT),
    Fault.GIANT_ANSWER: (Reason.ANSWER_TOO_LARGE, Reason.ANSWER_TOO_LARGE),
    Fault.UNREACHABLE: (Reason.CONNECT_TIMEOUT, Reason.CONNECT_TIMEOUT),
    Fault.THROTTLE: (Reason.RATE_LIMITED, Reason.RATE_LIMITED),
    Fault.UNAUTHORIZED: (Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
}
"""How a query ends under a fault: of a node, of a provider."""

_ACCOUNT_ERRORS: Final = {
    -400.0: Reason.PRUNED,
    500.0: Reason.SERVER_ERROR,
    651.0: Reason.SHARD_LAG,
    652.0: Reason.UPSTREAM_TIMEOUT,
}

_BASIC: Final = (Reason.UNAUTHORIZED, Reason.RATE_LIMITED)
"""What is decided after all else: an answer that came."""


@lru_cache(maxsize=256)
def served(situation: Situation, server: Server, time: float) -> Served:
    """What a user of `server` gets at `time`, seconds from the start."""
    chain = chain_of(situation)
    episodes = [episode for episode in situation.of(server.name) if episode.at(time)]
    newest = chain.at(time)
    behind = _behind(episodes, time)
    head = chain.at(time - behind) if behind else newest
    stalls = [episode for episode in episodes if episode.fault == Fault.STALL]
    if stalls:
        began = stalls[0].begins
        before = [episode for episode in situation.of(server.name) if episode.at(began)]
        head = min(head, chain.at(began - _behind(before, began)))
    now = Served(
        head=head,
        head_age=time - head.time,
        behind=newest.time - head.time,
        idle=max(0.0, time - head.time - behind),
        state=head,
        accounts_behind=newest.time - head.time,
    )
    for episode in episodes:
        now = _with(now, episode, server, chain, time)
    if not server.local:
        now = _from_here(situation, now, time)
    return now


def _behind(episodes: list[Episode], time: float) -> float:
    behind = 0.0
    for episode in episodes:
        number = episode.number or 0.0
        if episode.fault == Fault.LAG:
            behind = max(behind, number)
        elif episode.fault == Fault.CATCH_UP:
            behind = max(behind, number - _CATCHES_UP * (time - episode.begins))
    return behind


def _with(now: Served, episode: Episode, server: Server, chain: Chain, time: float) -> Served:
    fault, number = episode.fault, episode.number or 0.0
    if fault in _ENDS:
        return _ending(now, _ENDS[fault][0 if server.is_node else 1])
    match fault:
        case Fault.SLOW:
            return replace(now, answer_seconds=number)
        case Fault.SHARD_LAG:
            state = chain.back(now.head, int(number))
            return replace(now, state=state, accounts_behind=chain.at(time).time - state.time)
        case Fault.WRONG_NETWORK:
            return replace(now, own_network=False)
        case Fault.CLOCK_SKEW:
            return replace(now, clock=number)
        case Fault.FORK:
            return replace(now, forked=True)
        case Fault.STEP_BACK:
            return replace(now, steps_back=int(number))
        case Fault.FLAP:
            refuses = int((time - episode.begins) / number) % 2 == 0
            now = replace(now, flapping=True)
            return _ending(now, Reason.CONNECT_REFUSED) if refuses else now
        case Fault.CATCH_UP:
            return replace(now, catching_up=now.behind > 0)
        case Fault.LOSSY:
            return replace(now, losses=max(now.losses, number))
        case Fault.BAD_PROOF:
            return replace(now, proofs=False)
        case Fault.FALSE_BALANCE:
            return replace(now, balances=False)
        case Fault.REJECT_EXTERNALS:
            return replace(now, messages=False)
        case "undecided_externals":
            return replace(now, messages=None if now.messages else now.messages)
        case "accounts_fail":
            reason = _ACCOUNT_ERRORS[number]
            return replace(now, state=None, accounts_behind=None, account_failure=reason)
        case "refuse_new":
            return now if now.new is not Reason.OK else replace(now, new=Reason.CONNECT_REFUSED)
        case "kept_stale":
            return replace(now, stale_since=episode.begins)
        case "false_time":
            return replace(now, time_error=number)
        case "out_queue":
            return replace(now, queue=int(number))
        case "slow_connect":
            return replace(now, connect_seconds=number)
        case Fault.LAG | Fault.STALL | Fault.PRUNE_HISTORY:
            return now
    raise ValueError(f"no fault {fault!r}")


def _ending(now: Served, reason: Reason) -> Served:
    """Every query ends so; what stops one earlier on its way stays."""
    if now.kept is not Reason.OK and reason in _BASIC:
        return now
    return replace(now, new=reason, kept=reason)


def _from_here(situation: Situation, now: Served, time: float) -> Served:
    """What the way to an external target leaves of it."""
    for episode in situation.of(LOCAL):
        if not episode.at(time):
            continue
        if episode.fault == EGRESS_BROKEN:
            now = replace(now, new=Reason.CONNECT_TIMEOUT, kept=Reason.CONNECT_TIMEOUT, egress=True)
        elif episode.fault == EGRESS_LOSSY:
            now = replace(now, losses=max(now.losses, episode.number or 0.0), egress=True)
    return now


class Here(NamedTuple):
    """The machine that tonwatch runs on: its clock's error in seconds, and its descriptors."""

    clock: float
    descriptors: bool


def here(situation: Situation, time: float) -> Here:
    """How this machine is at `time`."""
    now = [episode for episode in situation.of(LOCAL) if episode.at(time)]
    clock = sum(e.number or 0.0 for e in now if e.fault == CLOCK)
    return Here(clock, all(e.fault != NO_DESCRIPTORS for e in now))
