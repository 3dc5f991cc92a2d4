"""What varies in a healthy network: block times, latency, a lost answer.

All of it comes from seeded generators, so that a run can be repeated.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

_GAP: Final = (3.0, 5.0)
"""Least and greatest pause of the chain, seconds."""

_SPREAD: Final = 0.6
"""Sigma of the latency's logarithm: one delay in a hundred is four times the median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """How much varies; by default nothing.

    Attributes:
        block_spread: share by which each block interval is shorter or longer, 0 to below 1.
        gap_every: average seconds between pauses of 3 to 5 s in the chain; 0 for no pauses.
        jitter: median of the delay before each answer, in seconds.
        loss: share of queries that get no answer.
        step_back: each answer comes from one of many servers behind a load balancer,
            the worst of them this many blocks behind.
    """

    block_spread: float = 0.0
    gap_every: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    step_back: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.block_spread < 1 or not 0 <= self.loss <= 1:
            raise ValueError("block_spread must be from 0 to below 1, loss from 0 to 1")
        if self.gap_every < 0 or self.jitter < 0 or self.step_back < 0:
            raise ValueError("gap_every, jitter and step_back must be at least 0")

    def delay(self, random: Random) -> float:
        """Seconds to wait before an answer."""
        return random.lognormvariate(math.log(self.jitter), _SPREAD) if self.jitter else 0.0

    def loses(self, random: Random) -> bool:
        """Whether this answer is lost."""
        return self.loss > 0 and random.random() < self.loss

    def steps_back(self, random: Random) -> int:
        """Blocks that the server of this answer is behind."""
        return random.randint(0, self.step_back) if self.step_back else 0

    def intervals(self, average: float, random: Random) -> Iterator[float]:
        """Seconds between blocks, without end; `average` in the long run.

        Raises:
            ValueError: the pauses alone would take longer than that.
        """
        chance = min(average / self.gap_every, 1.0) if self.gap_every else 0.0
        # The other blocks come faster to keep the average.
        rest = (average - chance * sum(_GAP) / 2) / (1 - chance) if chance < 1 else 0.0
        if rest <= 0:
            raise ValueError("gap_every is too short: no time is left between the pauses")
        return self._intervals(chance, rest, random)

    def _intervals(self, chance: float, rest: float, random: Random) -> Iterator[float]:
        low, high = rest * (1 - self.block_spread), rest * (1 + self.block_spread)
        while True:
            if chance and random.random() < chance:
                yield random.uniform(*_GAP)
            else:
                yield random.uniform(low, high) if self.block_spread else rest


NONE: Final = Noise()

EVERYDAY: Final = Noise(block_spread=0.5, gap_every=300.0, jitter=0.02, loss=0.0005, step_back=3)
"""A normal day: a pause of the chain every five minutes, one answer in two thousand lost."""
