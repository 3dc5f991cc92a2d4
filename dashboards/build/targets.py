"""What nodes and providers have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.board import Choice
from dashboards.build.panels import series, stat, states
from dashboards.build.query import RATE, Query, m, of_targets, target_states, threshold, with_role
from dashboards.build.tables import Column, table

NAMED = "{{target}} · {{instance}}"


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

    def count(self, title: str, metric: str, description: str, runbook: str) -> dashboard.Panel:
        """How many of them are well in one respect: the share of those of which it is known."""
        return stat(
            title,
            description,
            Query(f"avg({self.m(metric)})"),
            unit="percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
            steps=((None, meaning.BAD), (1, meaning.OK)),
            empty="unknown",
            runbooks=[runbook],
        )

    def worst(
        self, title: str, metric: str, unit: str, description: str, runbook: str
    ) -> dashboard.Panel:
        return stat(
            title,
            description,
            Query(f"max({self.m(metric)})"),
            trend=True,
            unit=unit,
            empty="unknown",
            runbooks=[runbook],
        )

    def listed(self, title: str, description: str, columns: Sequence[Column]) -> dashboard.Panel:
        """One row for each, the worst first."""
        return table(
            title,
            description,
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
                Column(
                    "Answered",
                    "1000 * " + self.each("tonwatch_target_last_answer_timestamp_seconds"),
                    unit="dateTimeFromNow",
                    width=140,
                ),
                Column("Instance", label="instance"),
            ],
            sort="State",
            unit="none",
            empty="none configured",
        )

    def each(self, metric: str, *matchers: str) -> str:
        return of_targets(metric, self.chosen, *matchers)

    def over_time(self) -> dashboard.Panel:
        return states(
            "States over time",
            "The state that tonwatch judges each to be in. A gap means that tonwatch was not there"
            " or knew nothing.",
            Query(target_states(self.chosen), NAMED),
            unit="none",
            mappings=meaning.words(meaning.TARGET_STATES),
            empty="no targets",
        )

    def behind(self, *runbooks: str) -> dashboard.Panel:
        return series(
            "Behind the head",
            "Seconds that the last block is older than the head of the chain. Over the orange line"
            " it is lagging, over the red one not ready.",
            [
                Query(self.m("tonwatch_target_behind_seconds"), NAMED),
                threshold("behind_warn"),
                threshold("behind_unready", bad=True),
            ],
            unit="s",
            runbooks=runbooks,
        )

    def latency(self, *runbooks: str) -> dashboard.Panel:
        return series(
            "Latency",
            "Median of the last answers, connecting not counted. Over the line it is slow.",
            [Query(self.m("tonwatch_target_latency_seconds"), NAMED), threshold("slow")],
            unit="s",
            runbooks=runbooks,
        )

    def slowest(self) -> dashboard.Panel:
        buckets = f"rate({self.m('tonwatch_probe_duration_seconds_bucket')}{RATE})"
        return series(
            "Slowest probes",
            "The time within which 99 of 100 probes end, good or bad, from the whole of a probe:"
            " connecting included.",
            Query(
                f"histogram_quantile(0.99,"
                f"\n  sum by (job, instance, target, probe, le) ({buckets})\n)",
                "{{target}} {{probe}} · {{instance}}",
            ),
            unit="s",
        )

    def phases(self, probe: str) -> dashboard.Panel:
        steps = self.m("tonwatch_probe_phase_seconds", f'probe="{probe}"')
        return series(
            f"Where the time of probe {probe} goes",
            "Seconds of each step of the newest probe, the slowest of the chosen: resolve, connect"
            " and handshake are the way there, query is the answer's own time.",
            Query(
                f"max by (phase) ({steps})",
                "{{phase}}",
            ),
            stacked=True,
            unit="s",
        )

    def failures(self, *runbooks: str) -> dashboard.Panel:
        failed = self.m("tonwatch_probe_results_total", 'reason!="ok"')
        return series(
            "Failed probes, by reason",
            "Share of all probes of a target that end so. The runbook of its state says what each"
            " reason means.",
            Query(
                f"(sum by (job, instance, target, reason) (rate({failed}{RATE})) > 0)"
                f"\n/ on (job, instance, target) group_left ()"
                f"\n  sum by (job, instance, target)"
                f" (rate({self.m('tonwatch_probe_results_total')}{RATE}))",
                "{{target}} {{reason}} · {{instance}}",
            ),
            stacked=True,
            bars=True,
            unit="percentunit",
            empty="no probe failed",
            runbooks=runbooks,
        )

    def interruptions(self, *runbooks: str) -> dashboard.Panel:
        return series(
            "Interruptions",
            "How often it stopped answering and came back within the configured window; a single"
            " lost answer counts a third. Over the line it is flapping.",
            [Query(self.m("tonwatch_target_interruptions"), NAMED), threshold("flapping")],
            unit="short",
            runbooks=runbooks,
        )

    def steps_back(self) -> dashboard.Panel:
        return series(
            "Steps back",
            "How often the seqno went back: different servers behind one address that are not"
            " equally far. A few are usual behind load balancers.",
            Query(f"60 * rate({self.m('tonwatch_target_steps_back_total')}{RATE})", NAMED),
            bars=True,
            unit="cpm",
        )
