"""Whether targets accept external messages, by probe messages that a wallet must reject."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.panels import states
from dashboards.build.query import Query
from dashboards.build.tables import Column
from dashboards.build.targets import NAMED

_WORDS = meaning.yes_no("accepted", "not accepted")


def write_path(asked: str, of: str) -> dashboard.Panel:
    """How it was over time.

    Args:
        asked: the metric of those that are shown.
        of: what they are called.
    """
    return states(
        "External messages accepted",
        "Whether the last probe message, which the wallet must reject, reached it and was rejected."
        f" While it is not, payouts sent through this {of} do not happen.",
        Query(asked, NAMED),
        unit="none",
        mappings=_WORDS,
        empty="no wallet has write_probe",
        runbooks=["TonwatchWritePathBroken"],
    )


def accepted(values: str) -> Column:
    """How it is now."""
    return Column("External messages", values, mappings=_WORDS, width=120)
