"""How queries are written: what they select, and states as numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dashboards.build.meaning import BAD, TARGET_STATES, WARN, codes
from tonwatch.serve.thresholds import unit_of

OURS: Final = 'job=~"$job", instance=~"$instance"'
"""The variables of every dashboard: which instance of tonwatch."""

SERVED: Final = 'job=~"$service", instance=~"$service_instance"'
"""The same for the services around it."""

RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL.
        legend: the name of each series, with ``{{label}}`` for labels; in tables the column.
        colour: of a limit's dashed line; of a count from one on.
    """

    expr: str
    legend: str = ""
    colour: str = ""


def m(metric: str, *matchers: str) -> str:
    """A metric of the chosen instances."""
    return f"{metric}{{{', '.join((OURS, *matchers))}}}"


def threshold(name: str, *, bad: bool = False, negative: bool = False) -> Query:
    """A configured threshold, as a dashed line; for what can be off both ways the negative too."""
    metric = m(f"tonwatch_threshold_{unit_of(name)}", f'threshold="{name}"')
    sign = "-" if negative else ""
    return Query(
        f"{sign}max by (threshold) ({metric})", f"{sign}{{{{threshold}}}}", BAD if bad else WARN
    )


def coded_by(label: str, metric: str, states: Iterable[str], by: str, *matchers: str) -> str:
    """One number for each state set: which of its states it is in.

    Args:
        label: whose values are the states.
        metric: the state set; states at 0 need not be there.
        states: in the order of their numbers, from 0.
        by: labels to keep.
        matchers: of further labels.
    """
    parts = [
        m(metric, *matchers, f'{label}="{state}"') + f" * {code}"
        for state, code in codes(states).items()
    ]
    return f"sum by ({by}) (\n  " + "\n  or ".join(parts) + "\n)"


def lately(metric: str, *matchers: str) -> str:
    """Its maximum since the last point, so that a graph of hours shows every peak."""
    return f"max_over_time({m(metric, *matchers)}{RATE})"


def grown(counter: str, window: str, by: str = "") -> str:
    """By how much a counter has grown that only appears with its first event: an increase would
    miss that one, and zeros of all that could happen are many series.

    Args:
        counter: its selector.
        window: how long.
        by: labels over which to take the highest; all where empty.
    """
    now, before = (
        f"max by ({by}) ({counter}{when})" if by else f"{counter}{when}"
        for when in ("", f" offset {window}")
    )
    # Where it is less than before it began anew, from 0.
    return f"{now}\n  - ({before} <= {now} or 0 * {now})"


def of_targets(metric: str, *matchers: str) -> str:
    """One value for each target of each tonwatch, without the metric's name: columns join so."""
    return f"max by (job, instance, target) ({m(metric, *matchers)})"


def of_kind(metric: str, kind: str) -> str:
    """The same for targets of one kind alone."""
    info = m("tonwatch_target_info", kind)
    return f"{of_targets(metric)}\n  and on (job, instance, target) {info}"


def target_states(*matchers: str) -> str:
    by = "job, instance, target"
    return coded_by("state", "tonwatch_target_state", TARGET_STATES, by, *matchers)


def with_role(expr: str, *matchers: str) -> str:
    """Adds to values of targets their kind and role, and leaves out targets of other kinds."""
    info = m("tonwatch_target_info", *matchers)
    return f"{expr}\n* on (job, instance, target) group_left (kind, role)\n  {info}"
