"""Whether payouts can be sent through targets, shown by messages that a wallet must refuse."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.panels import states
from dashboards.build.query import Query
from dashboards.build.tables import Column
from dashboards.build.targets import NAMED

_WORDS = meaning.yes_no("come through", "do not")


def write_path(asked: str, of: str) -> dashboard.Panel:
    """How it was over time.

    Args:
        asked: the metric of those that are shown.
        of: what they are called.
    """
    return states(
        "Messages come through",
        "Whether the newest message that a wallet must refuse was refused by the wallet itself."
        f" While it is not, payouts sent through this {of} do not happen.",
        Query(asked, NAMED),
        unit="none",
        mappings=_WORDS,
        empty="no wallet has write_probe",
        runbooks=["TonwatchWritePathBroken"],
    )


def comes_through(values: str) -> Column:
    """How it is now."""
    return Column("Messages", values, mappings=_WORDS, width=120)
