"""A whole dashboard: its variables and links, and its panels in rows from top to bottom."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard, timeseries

from dashboards.build.links import TITLES, elsewhere
from dashboards.build.meaning import BAD
from dashboards.build.panels import DATASOURCE

COLUMNS: Final = 24

ANY: Final = ".+"

_FIRING: Final = (
    'max by (alertname) (ALERTS{alertname=~"Tonwatch.+", alertstate="firing",'
    ' severity="critical", instance=~"$instance|"})'
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable that is chosen at the top, one value or more; at first all.

    Attributes:
        name: of the variable.
        label: how it is called.
        query: where its values come from.
        all_value: the regular expression for all; empty for the listed ones only.
        first: values chosen at first; empty for all.
    """

    name: str
    label: str
    query: str
    all_value: str = ANY
    first: tuple[str, ...] = ()


JOB: Final = Choice("job", "Job", "label_values(tonwatch_build_info, job)", all_value="")
INSTANCE: Final = Choice(
    "instance", "Instance", 'label_values(tonwatch_build_info{job=~"$job"}, instance)'
)


@dataclass(slots=True)
class Board:
    """Collects panels, and places them on the grid of 24 columns."""

    uid: str
    description: str
    choices: Sequence[Choice] = ()
    span: str = "3h"
    _placed: list[Builder[dashboard.Panel] | Row] = field(default_factory=list)
    _bottom: int = 0

    def row(self, title: str) -> None:
        """Begins a section."""
        place = dashboard.GridPos(h=1, w=COLUMNS, x=0, y=self._bottom)
        self._placed.append(Row(title).id(len(self._placed) + 1).grid_pos(place))
        self._bottom += 1

    def side_by_side(self, height: int, *panels: tuple[int, dashboard.Panel]) -> None:
        """Places panels with their widths, which fill the columns."""
        assert sum(width for width, _ in panels) == COLUMNS, [panel.title for _, panel in panels]
        left = 0
        for width, panel in panels:
            _with_legend(panel, width)
            panel.id_val = len(self._placed) + 1
            panel.grid_pos = dashboard.GridPos(h=height, w=width, x=left, y=self._bottom)
            self._placed.append(_Placed(panel))
            left += width
        self._bottom += height

    def json(self) -> str:
        """What Grafana imports, the same bytes each time."""
        built = (
            Dashboard(f"tonwatch / {TITLES[self.uid]}")
            .uid(self.uid)
            .description(self.description)
            .tags(["tonwatch"])
            .editable()
            .refresh("30s")
            .time(f"now-{self.span}", "now")
            .timezone("browser")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .links(list(elsewhere(self.uid)))
            .variables(
                [
                    DatasourceVariable("datasource").label("Data source").type("prometheus"),
                    *[_variable(choice) for choice in (JOB, INSTANCE, *self.choices)],
                ]
            )
            .annotation(_firing())
        )
        for placed in self._placed:
            built = built.with_row(placed) if isinstance(placed, Row) else built.with_panel(placed)
        text = json.dumps(built.build(), cls=JSONEncoder, indent=2, ensure_ascii=False)
        return text + "\n"


def _with_legend(panel: dashboard.Panel, width: int) -> None:
    """A table at the right where there is room, else only names, below."""
    if not isinstance(panel.options, timeseries.Options):
        return
    wide = width >= COLUMNS // 2
    panel.options.legend = common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.TABLE if wide else common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.RIGHT if wide else common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=["lastNotNull", "max"] if wide else [],
    )


class _Placed(Builder[dashboard.Panel]):
    """A finished panel, for the dashboard's builder, which takes only builders."""

    def __init__(self, panel: dashboard.Panel) -> None:
        self._panel = panel

    def build(self) -> dashboard.Panel:
        return self._panel


def _variable(choice: Choice) -> QueryVariable:
    chosen: str | list[str] = list(choice.first) or ["$__all"]
    built = (
        QueryVariable(choice.name)
        .label(choice.label)
        .datasource(DATASOURCE)
        .query(choice.query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .current(
            dashboard.VariableOption(
                selected=True, text=list(choice.first) or ["All"], value=chosen
            )
        )
    )
    return built.all_value(choice.all_value) if choice.all_value else built


@dataclass(slots=True)
class _Annotation(Builder[dashboard.AnnotationQuery]):
    """An annotation with its text, which the library does not support."""

    query: dashboard.AnnotationQuery
    title: str

    def build(self) -> dashboard.AnnotationQuery:
        return _Titled(self.query, self.title)


class _Titled(dashboard.AnnotationQuery):
    def __init__(self, query: dashboard.AnnotationQuery, title: str) -> None:
        vars(self).update(vars(query))
        self._title = title

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"titleFormat": self._title}


def _firing() -> _Annotation:
    query = (
        AnnotationQuery()
        .name("Critical alerts")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(BAD)
        .expr(_FIRING)
        .build()
    )
    return _Annotation(query, "{{alertname}}")
