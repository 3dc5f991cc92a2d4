"""Asks all targets at once for the block at a seqno that all of them have."""

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

_QUESTIONS: Final = 4
"""Questions that it takes to ask one target at most, one after another."""


class ForkRounds:
    """The job.

    Args:
        context: says who is asked.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def job(self, config: Config) -> Job:
        """The job that asks. Its first round comes when every target has said where it is."""
        return Job(
            Probe.FORK,
            Probe.FORK,
            tuple(self._context.targets),
            config.probe.fork_interval,
            self.plan,
            delay=config.probe.interval,
        )

    def plan(self) -> Sequence[Question]:
        """A round, where there are two targets to compare."""
        asked = planner.fork_round(self._context.view.judgement)
        if asked is None:
            return ()
        deadline = last_resort(self._context.config, _QUESTIONS)
        return (Question(Probe.FORK, partial(self._ask, asked), deadline),)

    async def _ask(self, asked: Round) -> Sequence[Sample]:
        targets = self._context.targets
        answers = await asyncio.gather(
            *(targets[name].block_at(asked.seqno) for name in asked.targets if name in targets)
        )
        return [answer for answer in answers if answer is not None]
