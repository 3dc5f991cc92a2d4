"""Panels for nodes and providers alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.board import Board, Choice
from dashboards.build.meaning import BAD, WARN
from dashboards.build.panels import series, states
from dashboards.build.query import (
    RATE,
    Query,
    grown,
    lately,
    m,
    of_targets,
    target_states,
    threshold,
    with_role,
)
from dashboards.build.stats import stat
from dashboards.build.tables import Column, table

NAMED: Final = "{{target}} · {{instance}}"

KEY: Final = "job, instance, target"


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of one dashboard.

    Attributes:
        variable: the one that chooses among them.
        kinds: matcher of the kinds that belong here.
        word: what one of them is called.
    """

    variable: str
    kinds: str
    word: str

    @property
    def choice(self) -> Choice:
        # No expression for all: that would let the other dashboard's targets in.
        return Choice(
            self.variable,
            self.word.capitalize(),
            f"label_values({m('tonwatch_target_info', self.kinds)}, target)",
            all_value="",
        )

    @property
    def chosen(self) -> str:
        return f'target=~"${self.variable}"'

    def m(self, metric: str, *matchers: str) -> str:
        """A metric of the chosen targets."""
        return m(metric, self.chosen, *matchers)

    def each(self, metric: str, *matchers: str) -> str:
        return of_targets(metric, self.chosen, *matchers)

    def lately(self, metric: str) -> str:
        return lately(metric, self.chosen)

    def alert(self, trouble: str) -> str:
        """The name of the alert for such a trouble."""
        return f"Tonwatch{self.word.capitalize()}{trouble}"

    def now(self, board: Board, about: str, columns: Sequence[Column]) -> None:
        """How they are: numbers, a table with some columns of their own, and how it came.

        Args:
            board: on which this is placed.
            about: what the columns say, for the table's description.
            columns: what this kind of targets has to tell.
        """
        several = f"{self.word}s"
        board.side_by_side(
            3,
            (
                6,
                self._without(
                    "Not answering",
                    "tonwatch_target_up",
                    f"The chosen {several} that do not answer queries, by their role.",
                    "Down",
                ),
            ),
            (
                6,
                self._without(
                    "Not usable",
                    "tonwatch_target_usable",
                    f"The chosen {several} that are not in sync within the limits of readiness,"
                    " by their role. Without usable primaries /ready answers 503.",
                    "Lagging",
                ),
            ),
            (
                6,
                self._worst(
                    "Highest lag",
                    self.lately("tonwatch_target_lag_seconds"),
                    f"The lag to the head of the chain of the chosen {self.word} that lags most.",
                    "Lagging",
                ),
            ),
            (
                6,
                self._worst(
                    "Slowest",
                    self.m("tonwatch_target_latency_seconds"),
                    f"Median latency of the slowest of the chosen {several}.",
                    "Slow",
                ),
            ),
        )
        board.side_by_side(6, (24, self._listed(several.capitalize(), about, columns)))
        board.side_by_side(6, (24, self._over_time()))

    def _without(self, title: str, metric: str, description: str, trouble: str) -> dashboard.Panel:
        """How many are not well in one respect, of those of which it is known."""

        def of_role(role: str, colour: str) -> Query:
            info = self.m("tonwatch_target_info", f'role="{role}"')
            return Query(
                f"sum(\n  (1 - {self.m(metric)})\n  * on ({KEY}) group_left ()\n  {info}\n)",
                role,
                colour,
            )

        return stat(
            title,
            description,
            [of_role("primary", BAD), of_role("reference", WARN)],
            both=True,
            unit="none",
            empty="unknown",
            runbooks=[self.alert(trouble)],
        )

    def _worst(self, title: str, values: str, description: str, trouble: str) -> dashboard.Panel:
        return stat(
            title,
            description,
            Query(f"max({values})"),
            unit="s",
            empty="unknown",
            runbooks=[self.alert(trouble)],
        )

    def _listed(self, title: str, about: str, columns: Sequence[Column]) -> dashboard.Panel:
        return table(
            title,
            f"The state of each now, the worst first. {about} Failed: the share of its probes.",
            [
                Column("Name", label="target"),
                Column(
                    "State",
                    with_role(target_states(self.chosen), self.kinds),
                    mappings=meaning.words(meaning.TARGET_STATES),
                    filled=True,
                    width=130,
                ),
                Column("Role", label="role", width=90),
                *columns,
                Column("Failed", self._failed(), unit="percentunit"),
                Column(
                    "Last success",
                    "1000 * " + self.each("tonwatch_target_last_success_timestamp_seconds"),
                    unit="dateTimeFromNow",
                    width=140,
                ),
                Column("Instance", label="instance"),
            ],
            sort="State",
            unit="none",
            empty="none configured",
        )

    def _failed(self) -> str:
        """Share of a target's probes."""
        failed = self.m("tonwatch_probes_total", 'outcome="failed"')
        return f"sum by ({KEY}) (increase({failed}{RATE}))\n/ {self._ended()}"

    def _failed_by_reason(self) -> str:
        """The same for each reason."""
        failed = grown(self.m("tonwatch_probe_failures_total"), "$__rate_interval")
        by_reason = f"sum by ({KEY}, reason) (\n  {failed}\n)"
        return f"{by_reason}\n/ on ({KEY}) group_left ()\n  {self._ended()}"

    def _ended(self) -> str:
        ended = self.m("tonwatch_probes_total")
        return f"(sum by ({KEY}) (increase({ended}{RATE})) > 0)"

    def _over_time(self) -> dashboard.Panel:
        return states(
            "States over time",
            "The state of each target. A gap means that tonwatch was not scraped or had no data.",
            Query(target_states(self.chosen), NAMED),
            unit="none",
            mappings=meaning.words(meaning.TARGET_STATES),
            empty="no targets",
        )

    def lag(self, *troubles: str) -> dashboard.Panel:
        return lag("Lag to the head", [self.chosen], *map(self.alert, troubles))

    def latency(self) -> dashboard.Panel:
        return series(
            "Latency",
            "Median of the last answers, connecting not counted. Over the line it is slow.",
            [Query(self.m("tonwatch_target_latency_seconds"), NAMED), threshold("slow")],
            unit="s",
            runbooks=[self.alert("Slow")],
        )

    def slowest(self) -> dashboard.Panel:
        buckets = f"rate({self.m('tonwatch_probe_duration_seconds_bucket')}{RATE})"
        return series(
            "Slowest probes",
            "The time within which 99 of 100 probes end, successful or not, connecting included. As"
            " exact as the histogram's buckets.",
            Query(
                f"histogram_quantile(0.99,"
                f"\n  sum by (job, instance, target, probe, le) ({buckets})\n)",
                "{{target}} {{probe}} · {{instance}}",
            ),
            unit="s",
        )

    def failures(self, *troubles: str) -> dashboard.Panel:
        return series(
            "Failed probes, by reason",
            "Share of all probes of a target that end so. Red: it cannot be reached; orange:"
            " it cannot answer; purple: it refuses access; yellow: its answer is wrong; grey: a"
            " failure of tonwatch. The runbook of its state explains each reason.",
            Query(
                f"{self._failed_by_reason()} > 0",
                "{{target}} {{reason}} · {{instance}}",
            ),
            stacked=True,
            bars=True,
            unit="percentunit",
            colours=meaning.reason_colours(),
            empty="no probe failed",
            runbooks=[self.alert(trouble) for trouble in troubles],
        )

    def interruptions(self) -> dashboard.Panel:
        return series(
            "Interruptions",
            "How often it stopped answering and answered again within the configured window; a"
            " single lost answer counts a third. Over the line it is flapping.",
            [Query(self.m("tonwatch_target_recent_interruptions"), NAMED), threshold("flapping")],
            unit="short",
            runbooks=[self.alert("Flapping")],
        )

    def a_minute(self, metric: str, named: str) -> Query:
        """Rare events: only where there are any."""
        return Query(f"60 * rate({self.m(metric)}{RATE}) > 0", named)


def lag(title: str, chosen: Sequence[str], *runbooks: str) -> dashboard.Panel:
    """How far targets lag, with the limits."""
    return series(
        title,
        "Seconds of block time from the last block of each to the head of the chain. Over the"
        " orange line it is lagging, over the red one not ready.",
        [
            Query(lately("tonwatch_target_lag_seconds", *chosen), NAMED),
            threshold("lag_warn"),
            threshold("lag_unready", bad=True),
        ],
        unit="suffix:s",
        runbooks=runbooks,
    )
