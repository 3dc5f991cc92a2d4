"""Queries targets at once for the block at a seqno that all of them have."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from tonwatch.config.models import Config
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.sample import Probe, Sample
from tonwatch.watch import planner
from tonwatch.watch.planner import Round

_QUERIES: Final = 4
"""Maximum of sequential queries of one target."""


class ForkRounds:
    """The job.

    Args:
        context: has the view and the targets.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def job(self, config: Config) -> Job:
        """The job. Its first round starts when the head of every target is known."""
        return Job(
            Probe.FORK,
            Probe.FORK,
            tuple(self._context.targets),
            config.probe.fork_interval,
            self.plan,
            delay=config.probe.interval,
            repeats=config.probe.interval,
            is_well=self.is_well,
        )

    def is_well(self) -> bool:
        """Whether no fork is known, whose end would have to be seen soon."""
        return not planner.is_forked(self._context.view.judgement)

    def plan(self) -> Sequence[Question]:
        """Rounds, one after the other, where there are two targets to compare."""
        planned = planner.fork_rounds(self._context.view.judgement)
        if not planned:
            return ()
        deadline = last_resort(self._context.config, _QUERIES * len(planned))
        return (Question(Probe.FORK, partial(self._ask, planned), deadline),)

    async def _ask(self, planned: Sequence[Round]) -> Sequence[Sample]:
        targets = self._context.targets
        found = []
        for seqno, names in planned:
            answers = await asyncio.gather(
                *(targets[name].block_at(seqno) for name in names if name in targets)
            )
            found += [answer for answer in answers if answer is not None]
        return found
