"""What metrics are read off: one View and what belongs to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tonwatch.config import Config
from tonwatch.probes.payouts import Walked
from tonwatch.probes.sample import Probe, Sample
from tonwatch.serve.traffic import Traffic
from tonwatch.watch.board import Record
from tonwatch.watch.verdict import Verdict
from tonwatch.watch.wallet_findings import can_be_asked
from tonwatch.watch.wallets import ContractVerdict, Holding, WalletVerdict
from tonwatch.watch.watcher import View


@dataclass(frozen=True, slots=True)
class Scene:
    """What whole-house metrics are read off.

    Attributes:
        alive: whether the watcher still beats; if not, its view is of the past.
        traffic: the connections of our own HTTP server.
    """

    view: View
    config: Config
    version: str
    alive: bool
    traffic: Traffic = field(default_factory=Traffic)

    def fresh(self, sample: Sample) -> bool:
        """Whether a sample is young enough to be shown.

        What is asked rarely may be one beat older.
        """
        probe = self.config.probe
        beats = {
            Probe.CONNECT: probe.connect_interval,
            Probe.FORK: probe.fork_interval,
            Probe.BALANCE: probe.wallet_interval,
            Probe.COMPARE: probe.compare_interval,
            Probe.WRITE: probe.write_interval,
        }
        limit = probe.stale_after + beats.get(sample.probe, 0.0)
        return self.view.snapshot.monotonic - sample.finished <= limit


class WalletContext(NamedTuple):
    """What the metrics of a wallet are read off.

    Attributes:
        asked: whether there is a target that accounts can be read from.
    """

    verdict: WalletVerdict
    asked: bool


class Paying(NamedTuple):
    """What the metrics of payouts are read off."""

    holding: Holding
    walked: Walked


@dataclass(frozen=True, slots=True)
class Seen:
    """What a target's metrics are read off."""

    scene: Scene
    record: Record
    verdict: Verdict


def targets(scene: Scene) -> Iterator[tuple[tuple[str], Seen]]:
    """Every target that has been judged, by its label."""
    verdicts = scene.view.judgement.verdicts
    for name, record in scene.view.snapshot.records.items():
        if name in verdicts:
            yield (name,), Seen(scene, record, verdicts[name])


def wallets(scene: Scene) -> Iterator[tuple[tuple[str], WalletContext]]:
    """Every wallet, by its label."""
    asked = can_be_asked(scene.view.judgement)
    for name, wallet in scene.view.judgement.purses.wallets.items():
        yield (name,), WalletContext(wallet, asked)


def assets(scene: Scene) -> Iterator[tuple[tuple[str, str], Holding]]:
    """Every asset of every wallet, by its labels."""
    for name, wallet in scene.view.judgement.purses.wallets.items():
        for asset, holding in wallet.holdings.items():
            yield (name, asset), holding


def payouts(scene: Scene) -> Iterator[tuple[tuple[str, str], Paying]]:
    """Every asset whose payouts are counted, by its labels."""
    for labels, holding in assets(scene):
        if holding.walked is not None:
            yield labels, Paying(holding, holding.walked)


def contracts(scene: Scene) -> Iterator[tuple[tuple[str], ContractVerdict]]:
    """Every contract, by its label."""
    for name, contract in scene.view.judgement.purses.contracts.items():
        yield (name,), contract
