"""Links of panels and dashboards: to runbooks, and to each other with the same variables."""

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
"""By the UIDs, which never change: bookmarks and alerts use them."""

_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


def runbook(alert: str) -> dashboard.DashboardLink:
    """The runbook of an alert, at a panel that shows its cause."""
    return (
        DashboardLink(f"Runbook: {alert}")
        .type(dashboard.DashboardLinkType.LINK)
        .icon("doc")
        .url(f"{RUNBOOKS}/{alert}.md")
        .target_blank(True)
        .build()
    )


def of_cause() -> dashboard.DashboardLink:
    """The diagnosis page of the cause in a series' label."""
    return (
        DashboardLink("What it means")
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"{DIAGNOSES}#${{__field.labels.cause}}")
        .target_blank(True)
        .build()
    )


def of_alert() -> tuple[str, str]:
    """The runbook of the alert in a table's cell."""
    return "Runbook", f"{RUNBOOKS}/${{__value.raw}}.md"


def drill_down(uid: str, variable: str) -> tuple[str, str]:
    """To another dashboard, for only what a table's cell names.

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
