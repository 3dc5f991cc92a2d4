"""Tables: what is now, one row for each target, wallet or alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Unpack

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import table as table_panel
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.build.panels import About, asked, finished, lettered, properties, thresholds
from dashboards.build.query import Query

_LEAST_WIDTH: Final = 60
"""Pixels of a column. Grafana would take 150, and hide the last ones behind a scroll bar."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a query's values, or a label.

    Attributes:
        title: at its head.
        expr: the query; empty where it is a label.
        label: that label; empty where it is a query.
        unit: Grafana's name of it.
        mappings: values to names and colours.
        filled: the cell has the colour of its value.
        steps: colours from a value on; the first has no value.
        link: title and address of where a click leads.
        width: pixels; 0 to share what is left.
        decimals: digits after the point; None for as many as are useful.
    """

    title: str
    expr: str = ""
    label: str = ""
    unit: str = "none"
    mappings: Sequence[dashboard.ValueMapping] = ()
    filled: bool = False
    steps: Sequence[tuple[float | None, str]] = ()
    link: tuple[str, str] | None = None
    width: int = 0
    decimals: int | None = None


def table(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    sort: str = "",
    descending: bool = True,
    **about: Unpack[About],
) -> dashboard.Panel:
    """Rows of what is now: queries are joined by all the labels that they share.

    What is not a column is not shown.
    """
    measured = [column for column in columns if column.expr]
    told = lettered([Query(column.expr) for column in measured])
    # Grafana's name of a query's values, where there are several queries, has its letter.
    names = ["Value"] if len(told) == 1 else [f"Value #{ref}" for ref, _ in told]
    values = {column.title: name for column, name in zip(measured, names, strict=True)}
    fields = {values.get(column.title, column.label): column.title for column in columns}
    builder = (
        table_panel.Panel()
        .cell_height(common.TableCellHeight.SM)
        .show_header(True)
        .min_width(_LEAST_WIDTH)
    )
    if sort:
        builder = builder.sort_by(
            [build.TableSortByFieldState().display_name(sort).desc(descending)]
        )
    if len(told) > 1:
        builder = builder.with_transformation(dashboard.DataTransformerConfig("merge", options={}))
    builder = builder.with_transformation(
        dashboard.DataTransformerConfig(
            "filterFieldsByName", options={"include": {"names": list(fields)}}
        )
    ).with_transformation(
        dashboard.DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {},
                "indexByName": {field: place for place, field in enumerate(fields)},
                "renameByName": fields,
            },
        )
    )
    for column in columns:
        builder = builder.override_by_name(column.title, _cell(column))
    targets = [asked(ref, query, instant=True).format(PromQueryFormat.TABLE) for ref, query in told]
    return finished(builder, title, description, targets, about)


def _cell(column: Column) -> list[dashboard.DynamicConfigValue]:
    # The text of an empty table must not be in every empty cell as well.
    told: dict[str, Any] = {"unit": column.unit, "noValue": "–"}
    if column.mappings:
        told["mappings"] = list(column.mappings)
        # They are shown as names, not as numbers.
        told["custom.align"] = "left"
    if column.steps:
        told["thresholds"] = thresholds(column.steps)
    if column.filled:
        told["custom.cellOptions"] = common.TableColoredBackgroundCellOptions(
            mode=common.TableCellBackgroundDisplayMode.BASIC
        )
    elif column.steps or column.mappings:
        told["custom.cellOptions"] = common.TableColorTextCellOptions()
    if column.link is not None:
        told["links"] = [{"title": column.link[0], "url": column.link[1]}]
    if column.width:
        told["custom.width"] = column.width
    if column.decimals is not None:
        told["decimals"] = column.decimals
    return properties(told)
