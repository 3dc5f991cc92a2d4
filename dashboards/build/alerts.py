"""The alerts that fire, with their runbooks."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build import links, meaning
from dashboards.build.tables import Column, table


def firing(matchers: str) -> dashboard.Panel:
    """A table of them.

    Args:
        matchers: which ones; for those that have no instance a pattern must match nothing too.
    """
    chosen = f'alertname=~"Tonwatch.+", {matchers}'
    since = (
        f"1000 * (ALERTS_FOR_STATE{{{chosen}}}"
        f'\n  and ignoring (alertstate) ALERTS{{{chosen}, alertstate="firing"}})'
    )
    # Sorted by their names, info would stand above warning.
    for rank, severity in enumerate(meaning.SEVERITIES):
        since = f'label_replace({since}, "rank", "{rank}", "severity", "{severity}")'
    severities = meaning.texts(
        [(str(rank), *named) for rank, named in enumerate(meaning.SEVERITIES.items())]
    )
    return table(
        "Alerts that fire",
        "What fires now, and since when it has been so. The alert's name leads to its runbook."
        " TonwatchWatchdog always fires: where it is missing no alert reaches anyone.",
        [
            Column("Severity", label="rank", mappings=severities, filled=True, width=80),
            Column("Alert", label="alertname", link=links.of_alert(), width=220),
            Column("Target", label="target"),
            Column("Wallet", label="wallet"),
            Column("Asset", label="asset"),
            Column(
                "Since",
                since,
                unit="dateTimeFromNow",
                width=120,
            ),
            Column("Instance", label="instance"),
        ],
        sort="Severity",
        descending=False,
        unit="none",
        empty="nothing fires, not even the watchdog: are the rules loaded?",
    )
