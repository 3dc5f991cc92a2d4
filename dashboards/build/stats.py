"""Single numbers, large."""

from collections.abc import Sequence
from typing import Final, Unpack

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import stat as stat_panel
from grafana_foundation_sdk.models import common, dashboard

from dashboards.build.meaning import BAD, OK
from dashboards.build.panels import About, built, lettered, properties, thresholds
from dashboards.build.query import Query

ALL_IS_GOOD: Final = ((None, BAD), (1, OK))
"""For shares of what should be."""


def stat(
    title: str,
    description: str,
    queries: Sequence[Query] | Query,
    *,
    names: bool = False,
    both: bool = False,
    filled: bool = False,
    **about: Unpack[About],
) -> dashboard.Panel:
    """One number, or several side by side.

    Args:
        title: of the panel.
        description: what it shows, and what to do about it.
        queries: what is shown; several stand side by side.
        names: show the series' names, not their values.
        both: show both.
        filled: colour the whole panel, not only the number.
        about: what every panel may have.
    """
    text = common.BigValueTextMode
    fill = common.BigValueColorMode
    builder = (
        stat_panel.Panel()
        .text_mode(text.NAME if names else text.VALUE_AND_NAME if both else text.AUTO)
        .color_mode(fill.BACKGROUND if filled else fill.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for ref, query in lettered(queries):
        if query.colour:
            builder = builder.override_by_query(
                ref, properties({"thresholds": thresholds(((None, OK), (1, query.colour)))})
            )
    return built(builder, title, description, queries, about, instant=True)


def count(
    title: str,
    description: str,
    expr: str,
    *runbooks: str,
    empty: str,
    colour: str = BAD,
) -> dashboard.Panel:
    """How many there are of what should not be: green for none, else of a colour."""
    return stat(
        title,
        description,
        Query(expr),
        unit="none",
        decimals=0,
        steps=((None, OK), (1, colour)),
        empty=empty,
        runbooks=runbooks,
    )
