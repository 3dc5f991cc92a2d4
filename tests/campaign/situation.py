"""Situations: a network, the pace of its chain, and faults with a beginning and an end.

A seed makes the same situation each time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Final, NamedTuple

from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import CHAIN

LOCAL: Final = "local"
"""The target of faults of the machine that tonwatch runs on."""

CLOCK: Final = "clock"
EGRESS_BROKEN: Final = "egress_broken"
EGRESS_LOSSY: Final = "egress_lossy"
NO_DESCRIPTORS: Final = "no_descriptors"

PACES: Final = (0.4, 1.0, 2.0, 5.0)
"""Seconds a block."""

_AFTERWARDS: Final = 45.0
"""Seconds that a situation goes on after its last fault."""

_NODE: Final = "node"
_PROVIDER: Final = "provider"


class Unplayable(ValueError):
    """A situation cannot be played in this way; the text says why."""


class Server(NamedTuple):
    """A target; `local` is on this machine."""

    name: str
    primary: bool
    local: bool = False

    @property
    def is_node(self) -> bool:
        return self.name.startswith(_NODE)


class Shape(NamedTuple):
    """Servers that are watched together."""

    name: str
    servers: tuple[Server, ...]


SHAPES: Final = (
    Shape("one node", (Server("node-1", primary=True, local=True),)),
    Shape("one node elsewhere", (Server("node-1", primary=True),)),
    Shape("one provider", (Server("provider-1", primary=True),)),
    Shape(
        "node and provider",
        (Server("node-1", primary=True, local=True), Server("provider-1", primary=False)),
    ),
    Shape(
        "two nodes and a provider",
        (
            Server("node-1", primary=True, local=True),
            Server("node-2", primary=False),
            Server("provider-1", primary=False),
        ),
    ),
    Shape("three primaries", tuple(Server(f"node-{n}", primary=True) for n in (1, 2, 3))),
    Shape(
        "three primaries and a provider",
        (
            *(Server(f"node-{n}", primary=True) for n in (1, 2, 3)),
            Server("provider-1", primary=False),
        ),
    ),
    Shape(
        "three providers",
        (
            Server("provider-1", primary=True),
            Server("provider-2", primary=False),
            Server("provider-3", primary=False),
        ),
    ),
)


class Episode(NamedTuple):
    """A fault of a target, of the chain or of this machine, from `begins` to `ends` (seconds)."""

    target: str
    fault: str
    number: float | None
    begins: float
    ends: float

    def at(self, time: float) -> bool:
        """Whether it lasts at `time`."""
        return self.begins <= time < self.ends

    @property
    def written(self) -> str:
        return self.fault if self.number is None else f"{self.fault}:{self.number:g}"

    def __str__(self) -> str:
        return f"{self.target}={self.written} {self.begins:g}-{self.ends:g} s"


@dataclass(frozen=True, eq=False)
class Situation:
    """A network and what happens to it.

    Attributes:
        shape: its servers.
        pace: seconds a block.
        wallets: whether a wallet is watched, with `write_probe`.
        episodes: the faults, in the order of their beginning.
        lasts: seconds that are played.
        seed: of the times of probes and of lost answers.
    """

    shape: Shape
    pace: float
    wallets: bool
    episodes: tuple[Episode, ...]
    lasts: float
    seed: int

    @cached_property
    def servers(self) -> tuple[Server, ...]:
        return self.shape.servers

    @cached_property
    def external(self) -> tuple[Server, ...]:
        return tuple(server for server in self.servers if not server.local)

    def of(self, target: str) -> tuple[Episode, ...]:
        """The faults of a target."""
        return self._by_target.get(target, ())

    @cached_property
    def _by_target(self) -> dict[str, tuple[Episode, ...]]:
        names = {episode.target for episode in self.episodes}
        return {
            name: tuple(episode for episode in self.episodes if episode.target == name)
            for name in names
        }

    def __str__(self) -> str:
        faults = "; ".join(map(str, self.episodes)) or "no faults"
        wallets = ", a wallet" if self.wallets else ""
        return (
            f"{self.shape.name}{wallets}, {self.pace:g} s a block, seed {self.seed},"
            f" {self.lasts:g} s: {faults}"
        )


class _Takes(NamedTuple):
    """Which kinds have a fault, and the numbers that it is tried with."""

    kinds: str
    numbers: tuple[float, ...] = ()


_BOTH: Final = f"{_NODE} {_PROVIDER}"

SERVER_FAULTS: Final[dict[str, _Takes]] = {
    Fault.REFUSE: _Takes(_BOTH),
    Fault.HANG: _Takes(_BOTH),
    Fault.NOT_SYNCED: _Takes(_NODE),
    Fault.SLOW: _Takes(_BOTH, (0.3, 0.6, 1.5, 1.8, 4.0, 5.0, 20.0)),
    Fault.GARBAGE: _Takes(_BOTH),
    Fault.WRONG_KEY: _Takes(_NODE),
    Fault.LAG: _Takes(_BOTH, (3.0, 5.0, 14.0, 18.0, 30.0, 45.0, 60.0, 120.0)),
    Fault.SHARD_LAG: _Takes(_BOTH, (2.0, 5.0, 10.0, 24.0, 32.0, 60.0, 100.0, 150.0)),
    Fault.STALL: _Takes(_BOTH),
    Fault.WRONG_NETWORK: _Takes(_BOTH),
    Fault.CLOCK_SKEW: _Takes(_BOTH, (-60.0, -30.0, -4.0, 1.0, 4.0, 30.0, 60.0)),
    Fault.THROTTLE: _Takes(_BOTH),
    Fault.UNAUTHORIZED: _Takes(_PROVIDER),
    Fault.BAD_JSON: _Takes(_PROVIDER),
    Fault.DROP_MID_FRAME: _Takes(_BOTH),
    Fault.FORK: _Takes(_BOTH),
    Fault.UNREACHABLE: _Takes(_BOTH),
    Fault.STEP_BACK: _Takes(_BOTH, (1.0, 3.0, 5.0, 40.0)),
    Fault.FLAP: _Takes(_BOTH, (4.0, 12.0, 25.0, 40.0)),
    Fault.CATCH_UP: _Takes(_BOTH, (60.0, 120.0, 180.0)),
    Fault.LOSSY: _Takes(_BOTH, (0.05, 0.3, 0.95, 1.0)),
    Fault.SLOW_DRIP: _Takes(_BOTH, (0.2, 0.5)),
    Fault.GIANT_ANSWER: _Takes(_BOTH),
    Fault.BAD_PROOF: _Takes(_NODE),
    Fault.FALSE_BALANCE: _Takes(_BOTH),
    Fault.PRUNE_HISTORY: _Takes(_BOTH, (60.0,)),
    Fault.REJECT_EXTERNALS: _Takes(_BOTH),
    "accounts_fail": _Takes(_BOTH, (-400.0, 500.0, 651.0, 652.0)),
    "refuse_new": _Takes(_BOTH),
    "kept_stale": _Takes(_BOTH),
    "false_time": _Takes(_BOTH, (15.0, 25.0, 60.0)),
    "undecided_externals": _Takes(_BOTH),
    "out_queue": _Takes(_NODE, (1000.0, 9000.0, 30000.0)),
    "slow_connect": _Takes(_BOTH, (0.3, 2.0, 4.0)),
}
"""What can happen to a server, by the simulator's names."""

_FOUND_BY_ROUNDS: Final = frozenset({Fault.FORK, Fault.FALSE_BALANCE, Fault.REJECT_EXTERNALS})
"""What is looked for each minute only: it must last to be seen."""

_OFTEN: Final[dict[str, int]] = {Fault.LAG: 2, Fault.SHARD_LAG: 3, "accounts_fail": 2}
"""What depends much on its number is tried more often."""

CHAIN_FAULTS: Final[dict[str, tuple[float, ...]]] = {
    Fault.STALL: (),
    "slow_blocks": (3.0, 8.0, 12.0, 20.0),
    "rewind": (50.0, 200.0, 500.0),
}

LOCAL_FAULTS: Final[dict[str, tuple[float, ...]]] = {
    CLOCK: (-60.0, -20.0, -4.0, 4.0, 20.0, 60.0),
    EGRESS_BROKEN: (),
    EGRESS_LOSSY: (0.2, 0.5),
    NO_DESCRIPTORS: (),
}


def generated(seed: int) -> Situation:
    """The situation of a seed."""
    random = Random(f"situation {seed}")
    shape = random.choice(SHAPES)
    count = random.choices((1, 2, 3), (45, 33, 22))[0]
    episodes: list[Episode] = []
    while len(episodes) < count:
        episode = _episode(random, shape)
        if not any(_exclude(episode, other) for other in episodes):
            episodes.append(episode)
    episodes.sort(key=lambda episode: episode.begins)
    lasts = max(episode.ends for episode in episodes) + _AFTERWARDS
    return Situation(
        shape,
        random.choice(PACES),
        random.random() < 0.5,
        tuple(episodes),
        round(lasts, 1),
        seed,
    )


def _episode(random: Random, shape: Shape) -> Episode:
    begins = random.uniform(35, 65) if random.random() < 0.93 else 0.0
    target, fault, number = _fault(random, shape)
    lasts = random.choice((random.uniform(3, 30), random.uniform(30, 110)))
    if fault in _FOUND_BY_ROUNDS:
        lasts += 60.0
    return Episode(target, fault, number, round(begins, 1), round(begins + lasts, 1))


def _fault(random: Random, shape: Shape) -> tuple[str, str, float | None]:
    where = random.random()
    if where < 0.1:
        fault = random.choice(list(CHAIN_FAULTS))
        return CHAIN, fault, _number(random, CHAIN_FAULTS[fault])
    if where < 0.2:
        fault = random.choice(list(LOCAL_FAULTS))
        return LOCAL, fault, _number(random, LOCAL_FAULTS[fault])
    primaries = [server for server in shape.servers if server.primary]
    server = random.choice(primaries if random.random() < 0.7 else shape.servers)
    kind = _NODE if server.is_node else _PROVIDER
    known = [name for name, takes in SERVER_FAULTS.items() if kind in takes.kinds]
    [fault] = random.choices(known, [_OFTEN.get(name, 1) for name in known])
    return server.name, fault, _number(random, SERVER_FAULTS[fault].numbers)


def _number(random: Random, numbers: tuple[float, ...]) -> float | None:
    return random.choice(numbers) if numbers else None


def _exclude(one: Episode, other: Episode) -> bool:
    """Whether a target cannot have both: the same fault twice at a time."""
    same = one.target == other.target and one.fault == other.fault
    return same and one.begins <= other.ends and other.begins <= one.ends


def smaller(situation: Situation) -> Iterator[Situation]:
    """Simpler situations, the simplest first: fewer faults, rounder times and numbers."""
    episodes = situation.episodes
    for index in range(len(episodes)):
        yield _with(situation, (*episodes[:index], *episodes[index + 1 :]))
    if situation.wallets:
        yield _with(situation, episodes, wallets=False)
    for shape in SHAPES:
        names = {server.name for server in shape.servers} | {CHAIN, LOCAL}
        if len(shape.servers) < len(situation.servers) and all(
            episode.target in names for episode in episodes
        ):
            yield _with(situation, episodes, shape=shape)
    for index, episode in enumerate(episodes):
        for change in _rounded(episode):
            yield _with(situation, (*episodes[:index], change, *episodes[index + 1 :]))


def _rounded(episode: Episode) -> Iterator[Episode]:
    lasts = episode.ends - episode.begins
    for begins in (40.0, 10.0 * round(episode.begins / 10)):
        if begins and begins != episode.begins:
            yield episode._replace(begins=begins, ends=begins + lasts)
    for shorter in (10.0, 20.0, 30.0, 40.0, 60.0, 10.0 * round(lasts / 10)):
        if 0 < shorter < lasts:
            yield episode._replace(ends=episode.begins + shorter)
    whole = float(round(lasts))
    if whole not in (lasts, 0.0):
        yield episode._replace(ends=episode.begins + whole)


def _with(
    situation: Situation,
    episodes: tuple[Episode, ...],
    *,
    shape: Shape | None = None,
    wallets: bool | None = None,
) -> Situation:
    return Situation(
        shape or situation.shape,
        situation.pace,
        situation.wallets if wallets is None else wallets,
        tuple(sorted(episodes, key=lambda episode: episode.begins)),
        max((episode.ends for episode in episodes), default=20.0) + _AFTERWARDS,
        situation.seed,
    )
