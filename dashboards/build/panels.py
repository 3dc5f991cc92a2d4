"""The kinds of panels, each with one style."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final, NotRequired, TypedDict, Unpack

from grafana_foundation_sdk.builders import bargauge, prometheus, statetimeline
from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import dashboard as build_dashboard
from grafana_foundation_sdk.builders import timeseries as series_panel
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard

from dashboards.build.links import runbook
from dashboards.build.meaning import INFO
from dashboards.build.query import Query

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")


class About(TypedDict):
    """What every panel may have.

    Attributes:
        unit: Grafana's name of it.
        runbooks: alerts whose runbooks the panel links to.
        mappings: values to names and colours.
        steps: colours from a value on; the first has no value.
        empty: what is shown where there is nothing.
        colours: regular expressions of series' names, and their colours.
        link: where a click on a value leads.
    """

    unit: str
    runbooks: NotRequired[Sequence[str]]
    mappings: NotRequired[list[dashboard.ValueMapping]]
    steps: NotRequired[Sequence[tuple[float | None, str]]]
    empty: NotRequired[str]
    decimals: NotRequired[int]
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    colours: NotRequired[Mapping[str, str]]
    link: NotRequired[dashboard.DashboardLink]


NEUTRAL: Final = ((None, INFO),)
"""For what is neither good nor bad."""


def series(
    title: str,
    description: str,
    queries: Sequence[Query] | Query,
    *,
    stacked: bool = False,
    bars: bool = False,
    from_zero: bool = True,
    **about: Unpack[About],
) -> dashboard.Panel:
    """Lines over time, or bars; limits among the queries are dashed."""
    builder = (
        series_panel.Panel()
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .line_width(0 if bars else 2)
        .fill_opacity(70 if bars else 25 if stacked else 6)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .color_scheme(build_dashboard.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .tooltip(
            build.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if from_zero:
        builder = builder.axis_soft_min(0)
    if stacked:
        builder = builder.stacking(build.StackingConfig().mode(common.StackingMode.NORMAL))
    for ref, query in lettered(queries):
        if query.colour:
            builder = builder.override_by_query(ref, _dashed(query.colour))
    return built(builder, title, description, queries, about)


def states(
    title: str,
    description: str,
    queries: Sequence[Query] | Query,
    **about: Unpack[About],
) -> dashboard.Panel:
    """The state of each over time, by name: one row for each series."""
    builder = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .align_value(common.TimelineValueAlignment.LEFT)
        .row_height(0.85)
        .line_width(0)
        .fill_opacity(80)
        .legend(
            build.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(False)
            .calcs([])
        )
        .tooltip(build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    return built(builder, title, description, queries, about)


def gauges(
    title: str,
    description: str,
    queries: Sequence[Query] | Query,
    **about: Unpack[About],
) -> dashboard.Panel:
    """One horizontal bar for each series, as it is now."""
    builder = (
        bargauge.Panel()
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .name_placement(common.BarGaugeNamePlacement.LEFT)
        .show_unfilled(True)
        .sizing(common.BarGaugeSizing.MANUAL)
        .min_viz_height(18)
        .max_viz_height(32)
        .reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return built(builder, title, description, queries, about, instant=True)


def _dashed(colour: str) -> list[dashboard.DynamicConfigValue]:
    return properties(
        {
            "color": {"mode": "fixed", "fixedColor": colour},
            "custom.drawStyle": "line",
            "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
            "custom.lineWidth": 1,
            "custom.fillOpacity": 0,
            "custom.stacking": {"mode": "none", "group": "A"},
        }
    )


def built(
    builder: Builder[dashboard.Panel],
    title: str,
    description: str,
    queries: Sequence[Query] | Query,
    about: About,
    *,
    instant: bool = False,
) -> dashboard.Panel:
    """The panel with its queries."""
    targets = [asked(ref, query, instant=instant) for ref, query in lettered(queries)]
    return finished(builder, title, description, targets, about)


def properties(told: Mapping[str, Any]) -> list[dashboard.DynamicConfigValue]:
    """What an override changes, by Grafana's names."""
    return [dashboard.DynamicConfigValue(name, value) for name, value in told.items()]


def lettered(queries: Sequence[Query] | Query) -> list[tuple[str, Query]]:
    """The queries with their letters in Grafana."""
    listed = [queries] if isinstance(queries, Query) else queries
    return list(zip(ascii_uppercase, listed, strict=False))


def asked(ref: str, query: Query, *, instant: bool) -> prometheus.Dataquery:
    told = prometheus.Dataquery().ref_id(ref).expr(query.expr).datasource(DATASOURCE)
    if query.legend:
        told = told.legend_format(query.legend)
    return told.instant() if instant else told.range()


def thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig(
        mode=dashboard.ThresholdsMode.ABSOLUTE,
        steps=[dashboard.Threshold(value=value, color=colour) for value, colour in steps],
    )


def finished(
    builder: Builder[dashboard.Panel],
    title: str,
    description: str,
    targets: Sequence[prometheus.Dataquery],
    about: About,
) -> dashboard.Panel:
    """The panel with all that is the same for every kind."""
    panel = builder.build()
    panel.title = title
    panel.description = description
    panel.datasource = DATASOURCE
    panel.targets = [target.build() for target in targets]
    panel.links = [runbook(alert) for alert in about.get("runbooks", ())]
    panel.field_config = panel.field_config or dashboard.FieldConfigSource()
    shown = panel.field_config.defaults
    shown.unit = about["unit"]
    shown.mappings = about.get("mappings")
    shown.no_value = about.get("empty")
    shown.decimals = about.get("decimals")
    shown.min_val = about.get("minimum")
    shown.max_val = about.get("maximum")
    steps = about.get("steps")
    shown.thresholds = thresholds(steps or NEUTRAL)
    if shown.color is None:
        shown.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)
    if "link" in about:
        shown.links = [about["link"]]
    for expression, colour in about.get("colours", {}).items():
        panel.field_config.overrides.append(
            dashboard.DashboardFieldConfigSourceOverrides(
                dashboard.MatcherConfig("byRegexp", f"/{expression}/"),
                properties({"color": {"mode": "fixed", "fixedColor": colour}}),
            )
        )
    return panel
