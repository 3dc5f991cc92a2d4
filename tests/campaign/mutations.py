"""Judges that are wrong in one way each: a campaign must catch all of them."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from tonwatch.samples.sample import Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch import consensus, history, judge, lag, target_judge, wallet_verdicts
from tonwatch.watch.consensus import ChainHead, Forks
from tonwatch.watch.store import Record


@dataclass(frozen=True)
class Mutation:
    """A mistake in the judge.

    Attributes:
        name: what it does not do.
        changes: the functions that are replaced: where, their names, and what comes instead.
    """

    name: str
    changes: tuple[tuple[Any, str, Callable[..., Any]], ...]

    @contextmanager
    def made(self) -> Iterator[None]:
        """The judge makes the mistake within the block."""
        with ExitStack() as replaced:
            for where, name, instead in self.changes:
                replaced.enter_context(patch.object(where, name, instead))
            yield


def _nothing(*_: Any, **__: Any) -> None:
    """In place of a function that finds something."""


def _no(*_: Any) -> bool:
    return False


def _empty_tuple(*_: Any) -> tuple[str, ...]:
    return ()


def _empty_dict(*_: Any) -> dict[str, float]:
    return {}


def _no_forks(*_: Any) -> Forks:
    return Forks()


def _for_ever(*_: Any) -> float:
    return math.inf


def _highest(answers: Mapping[str, Sample], *_: Any) -> ChainHead | None:
    """The highest head, whoever says it, with the time that it says."""
    heads = [
        ChainHead(sample.head.seqno, sample.head.gen_utime, name, sample.finished)
        for name, sample in answers.items()
        if sample.head is not None
    ]
    return max(heads, key=lambda head: head.gen_utime or 0, default=None)


_stuck = target_judge.TargetJudge._is_stuck
_standing_in = judge._standing_in


def _never_alone(judged: Any, *arguments: Any) -> bool:
    """As the judge, but for a single source."""
    return judged.whole.sources > 1 and _stuck(judged, *arguments)


def _last_good(sample: Sample, record: Record, *rest: Any) -> Sample:
    """However long it is throttled, what was known before stands."""
    good = [each for each in record.heads if each.ok]
    if sample.reason is Reason.RATE_LIMITED and good:
        return good[-1]
    return _standing_in(sample, record, *rest)


MUTATIONS: Final = (
    Mutation("no clock check", ((lag.Lags, "_behind_clock", _nothing),)),
    Mutation(
        "witnesses unchecked",
        ((consensus, "from_the_future", _empty_dict), (consensus, "find_head", _highest)),
    ),
    Mutation("account failures ignored", ((history, "accounts_fail", _nothing),)),
    Mutation("new connections ignored", ((history, "new_connections_fail", _nothing),)),
    Mutation("throttle never unready", ((judge, "_standing_in", _last_good),)),
    Mutation("shard lag ignored", ((lag.ShardLag, "lags", _no),)),
    Mutation("fork votes ignored", ((consensus, "find_forks", _no_forks),)),
    Mutation("write refusals ignored", ((history, "refusing_messages", _nothing),)),
    Mutation("old balances shown", ((wallet_verdicts, "lifetime", _for_ever),)),
    Mutation(
        "stall of a single source ignored", ((target_judge.TargetJudge, "_is_stuck", _never_alone),)
    ),
    Mutation("false claims ignored", ((history, "false_claim", _nothing),)),
    Mutation("local clock trusted", ((consensus, "local_clock_offset", _nothing),)),
    Mutation("egress never suspected", ((consensus, "egress_broken", _empty_tuple),)),
    Mutation("rollback ignored", ((judge, "_rollback", lambda *_: (None, None)),)),
)
"""By name; see `Mutation`."""
