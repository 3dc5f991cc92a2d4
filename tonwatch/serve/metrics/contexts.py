"""What metrics are read from: one view, and its targets and wallets."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tonwatch.samples.payouts import PayoutProgress
from tonwatch.samples.sample import Sample
from tonwatch.serve.traffic import Traffic
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.planner import can_be_read
from tonwatch.watch.store import Record
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View
from tonwatch.watch.wallet_verdicts import ContractVerdict, Holding, WalletVerdict


@dataclass(frozen=True, slots=True)
class ScrapeContext:
    """What the metrics of one scrape are read from.

    Attributes:
        version: of tonwatch.
        alive: whether the view is still being renewed; if not, it is of the past.
        traffic: connections of tonwatch's own HTTP server.
    """

    view: View
    version: str
    alive: bool
    traffic: Traffic = field(default_factory=Traffic)

    def fresh(self, sample: Sample) -> bool:
        """Whether a sample is recent enough to be shown."""
        age = self.view.snapshot.monotonic - sample.finished
        return age <= lifetime(sample.probe, self.view.config.probe)


class WalletContext(NamedTuple):
    """What the metrics of a wallet are read from.

    Attributes:
        asked: whether there is a target that accounts can be read from.
    """

    verdict: WalletVerdict
    asked: bool


class PayoutContext(NamedTuple):
    """What the payout metrics of one asset are read from."""

    holding: Holding
    progress: PayoutProgress


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What the metrics of a target are read from."""

    scrape: ScrapeContext
    record: Record
    verdict: Verdict


def targets(context: ScrapeContext) -> Iterator[tuple[tuple[str], TargetContext]]:
    """Every target that has been judged, by its label."""
    verdicts = context.view.judgement.verdicts
    for name, record in context.view.snapshot.records.items():
        if name in verdicts:
            yield (name,), TargetContext(context, record, verdicts[name])


def wallets(context: ScrapeContext) -> Iterator[tuple[tuple[str], WalletContext]]:
    """Every wallet, by its label."""
    asked = can_be_read(context.view.judgement)
    for name, wallet in context.view.judgement.wallet_status.wallets.items():
        yield (name,), WalletContext(wallet, asked)


def assets(context: ScrapeContext) -> Iterator[tuple[tuple[str, str], Holding]]:
    """Every asset of every wallet, by its labels."""
    for name, wallet in context.view.judgement.wallet_status.wallets.items():
        for asset, holding in wallet.holdings.items():
            yield (name, asset), holding


def payouts(context: ScrapeContext) -> Iterator[tuple[tuple[str, str], PayoutContext]]:
    """Every asset whose payouts are counted, by its labels."""
    for labels, holding in assets(context):
        if holding.progress is not None:
            yield labels, PayoutContext(holding, holding.progress)


def contracts(context: ScrapeContext) -> Iterator[tuple[tuple[str], ContractVerdict]]:
    """Every contract, by its label."""
    for name, contract in context.view.judgement.wallet_status.contracts.items():
        yield (name,), contract
