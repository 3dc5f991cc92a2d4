"""The alerts that fire, with their runbooks."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import links, meaning
from dashboards.build.tables import Column, table

EVERY: Final = "Tonwatch.+"

OF_ITSELF: Final = (
    "Tonwatch(Absent|Hanging|NoData|ProbesOverrunning|InternalErrors|LocalClockSkewed"
    "|EgressBroken|Watchdog)"
)
"""Those that say that tonwatch itself does not work."""


def firing(
    names: str, matchers: str, subjects: Sequence[str] = ("target", "wallet", "asset", "contract")
) -> dashboard.Panel:
    """A table of them.

    Args:
        names: regular expression of the alerts.
        matchers: which ones; for those that have no instance a pattern must match nothing too.
        subjects: labels that say what they are about.
    """
    # By name, info would sort before warning. Severities are in matchers only, where
    # `tonwatch bundle export` gives them other names.
    ranked = [
        f'label_replace({_since(names, severity, matchers)}, "rank", "{rank}", "", "")'
        for rank, severity in enumerate(meaning.SEVERITIES)
    ]
    severities = meaning.texts(
        [(str(rank), *named) for rank, named in enumerate(meaning.SEVERITIES.items())]
    )
    return table(
        "Alerts that fire",
        "What fires now, and since when. The alert's name links to its runbook."
        " TonwatchWatchdog always fires: where it is missing no alert reaches anyone.",
        [
            Column("Severity", label="rank", mappings=severities, filled=True, width=90),
            Column("Alert", label="alertname", link=links.of_alert(), width=260),
            *(Column(subject.capitalize(), label=subject) for subject in subjects),
            Column("Since", "\nor\n".join(ranked), unit="dateTimeFromNow"),
            Column("Instance", label="instance"),
        ],
        sort="Severity",
        descending=False,
        unit="none",
        empty="nothing fires, not even the watchdog: are the rules loaded?",
    )


def _since(names: str, severity: str, matchers: str) -> str:
    """When each began, Unix milliseconds."""
    chosen = f'alertname=~"{names}", severity="{severity}", {matchers}'
    return (
        f"1000 * (ALERTS_FOR_STATE{{{chosen}}}"
        f'\n  and ignoring (alertstate) ALERTS{{{chosen}, alertstate="firing"}})'
    )
