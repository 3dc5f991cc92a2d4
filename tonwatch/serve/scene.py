"""What metrics are read off: one View and what belongs to it."""

from dataclasses import dataclass

from tonwatch.config import Config
from tonwatch.probes.sample import Probe, Sample
from tonwatch.watch.board import Record
from tonwatch.watch.verdict import Verdict
from tonwatch.watch.watcher import View


@dataclass(frozen=True, slots=True)
class Scene:
    """What whole-house metrics are read off.

    Attributes:
        alive: whether the watcher still beats; if not, its view is of the past.
    """

    view: View
    config: Config
    version: str
    alive: bool

    def fresh(self, sample: Sample) -> bool:
        """Whether a sample is young enough to be shown.

        What is asked rarely may be one beat older.
        """
        probe = self.config.probe
        beats = {Probe.CONNECT: probe.connect_interval, Probe.FORK: probe.fork_interval}
        limit = probe.stale_after + beats.get(sample.probe, 0.0)
        return self.view.snapshot.monotonic - sample.finished <= limit


@dataclass(frozen=True, slots=True)
class Seen:
    """What a target's metrics are read off."""

    scene: Scene
    record: Record
    verdict: Verdict
