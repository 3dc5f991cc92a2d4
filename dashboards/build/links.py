"""Where panels and dashboards lead: runbooks, and one another with the same choices."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models import dashboard

DIAGNOSES: Final = "https://github.com/tonwatch/tonwatch/blob/main/docs/diagnoses.md"
RUNBOOKS: Final = "https://github.com/tonwatch/tonwatch/blob/main/docs/runbooks"

OVERVIEW: Final = "tonwatch-overview"
NODES: Final = "tonwatch-nodes"
PROVIDERS: Final = "tonwatch-providers"
WALLETS: Final = "tonwatch-wallets"
SERVICES: Final = "tonwatch-services"
ITSELF: Final = "tonwatch-itself"

TITLES: Final = {
    OVERVIEW: "Overview",
    NODES: "Node and liteservers",
    PROVIDERS: "Providers",
    WALLETS: "Wallets and payouts",
    SERVICES: "Services",
    ITSELF: "tonwatch itself",
}
"""By the UIDs, which never change: bookmarks and alerts hold them."""

_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


def runbook(alert: str) -> dashboard.DashboardLink:
    """What to do about an alert, at a panel that shows its cause."""
    return (
        DashboardLink(f"Runbook: {alert}")
        .type(dashboard.DashboardLinkType.LINK)
        .icon("doc")
        .url(f"{RUNBOOKS}/{alert}.md")
        .target_blank(True)
        .build()
    )


def of_cause() -> dashboard.DashboardLink:
    """What the cause means that a series has as its label."""
    return (
        DashboardLink("What it means")
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"{DIAGNOSES}#${{__field.labels.cause}}")
        .target_blank(True)
        .build()
    )


def of_alert() -> tuple[str, str]:
    """The same for the alert in a table's cell."""
    return "Runbook", f"{RUNBOOKS}/${{__value.raw}}.md"


def drill_down(uid: str, variable: str) -> tuple[str, str]:
    """To another dashboard, for what a table's cell names alone.

    Names need no quoting: they have lower-case letters, digits, dots, underscores and hyphens.
    """
    chosen = f"var-{variable}=${{__value.raw}}"
    return TITLES[uid], f"/d/{uid}?{_KEPT}&{chosen}&${{__url_time_range}}"


def elsewhere(uid: str) -> list[DashboardLink]:
    """To all other dashboards, at the top of one."""
    return [
        DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .icon("dashboard")
        .url(f"/d/{other}")
        .include_vars(True)
        .keep_time(True)
        for other, title in TITLES.items()
        if other != uid
    ] + [
        DashboardLink("Runbooks")
        .type(dashboard.DashboardLinkType.LINK)
        .icon("doc")
        .url(RUNBOOKS)
        .target_blank(True)
    ]
