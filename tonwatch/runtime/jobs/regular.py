"""The probes of a single target, at regular intervals."""

from collections.abc import Sequence

from tonwatch.config.models import Config
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.targets.kind import Regular

_QUERIES = 8
"""Maximum of sequential queries in a probe."""


class RegularProbe:
    """One probe of one target.

    Args:
        target: its name.
        regular: the probe.
    """

    def __init__(self, target: str, regular: Regular) -> None:
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
        )

    @property
    def _name(self) -> str:
        return f"{self._regular.probe} {self._target}"

    def plan(self) -> Sequence[Question]:
        """Always the same."""
        return (Question(self._name, self._regular.ask, self._deadline),)
