"""The probes of a single target, at regular intervals."""

from collections.abc import Sequence

from tonwatch.config.models import Config
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.sample import Probe
from tonwatch.targets.kind import Regular
from tonwatch.watch.states import State

_QUERIES = 8
"""Maximum of sequential queries in a probe."""


class RegularProbe:
    """One probe of one target.

    Args:
        target: its name.
        regular: the probe.
        context: of the runtime.
    """

    def __init__(self, target: str, regular: Regular, context: Context) -> None:
        self._context = context
        self._target = target
        self._regular = regular
        self._deadline = 0.0

    def job(self, config: Config) -> Job:
        """The job that runs it."""
        self._deadline = last_resort(config, _QUERIES)
        return Job(
            self._name,
            self._regular.probe,
            (self._target,),
            self._regular.interval(config.probe),
            self.plan,
            confirms=True,
            # Whoever waits for the end of a failure does not wait for a slow probe's interval.
            repeats=config.probe.interval,
            is_well=self.is_well if self._regular.probe is Probe.ACCOUNT else None,
        )

    def is_well(self) -> bool:
        """Whether accounts are as fresh as the head, or nothing is known."""
        verdict = self._context.view.judgement.verdicts.get(self._target)
        return verdict is None or verdict.state is not State.SHARD_LAGGING

    @property
    def _name(self) -> str:
        return f"{self._regular.probe} {self._target}"

    def plan(self) -> Sequence[Question]:
        """Always the same."""
        return (Question(self._name, self._regular.ask, self._deadline),)
