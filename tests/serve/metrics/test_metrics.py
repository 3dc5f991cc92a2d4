"""The exposition: what is in it, what is not, and that it never fails."""

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.configs import REASONS, make_target
from tests.conftest import Clock
from tests.serve.conftest import Client
from tests.serve.scraping import (
    ALL,
    Scrape,
    context_of,
    everything,
    everything_there_is,
    names_of,
    scrape,
    written,
)
from tests.serve.stage import NODE, PROVIDER, Stage
from tests.serve.wallet_stage import Till
from tonwatch.config.models import Thresholds
from tonwatch.samples.sample import Probe
from tonwatch.samples.target import Target
from tonwatch.serve.metrics import catalogue, collector, targets
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.family import Metric
from tonwatch.serve.thresholds import UNITS
from tonwatch.system.internal_errors import QUIET, Component
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State
from tonwatch.watch.store import Histogram

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class TestFormats:
    async def test_text_by_default(self, client: Client, stage: Stage) -> None:
        everything(stage)
        response = await client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert len(list(parse_text(await response.text()))) > 30

    async def test_openmetrics_on_request(self, client: Client, stage: Stage) -> None:
        everything(stage)
        response = await client.get("/metrics", headers={"Accept": OPENMETRICS})
        assert response.content_type == "application/openmetrics-text"
        body = await response.text()
        families = {family.name: family for family in parse_openmetrics(body)}
        assert families["tonwatch_probe_duration_seconds"].type == "histogram"
        assert families["tonwatch_probe_duration_seconds"].unit == "seconds"
        assert families["tonwatch_target_shard_client_lag_blocks"].unit == "blocks"
        assert families["tonwatch_target"].type == "info"
        assert body.endswith("# EOF\n")
        assert "_created" not in body

    @pytest.mark.parametrize(
        "accept",
        [
            "application/openmetrics-text; version=abc",
            "application/openmetrics-text; version=",
            "text/plain; version=9.9.9; escaping=<b>",
            ";;;,,,",
            "*/*",
        ],
    )
    async def test_any_accept_is_answered(self, client: Client, stage: Stage, accept: str) -> None:
        stage.healthy()
        response = await client.get("/metrics", headers={"Accept": accept})
        assert response.status == 200
        assert "<b>" not in response.headers["Content-Type"]
        assert "tonwatch_head_seqno" in await response.text()


class TestValues:
    def test_of_a_target_that_is_well(self, stage: Stage) -> None:
        view = stage.healthy()
        seen = scrape(stage)
        assert view.judgement.head is not None
        seqno = view.judgement.head.seqno
        expected = {
            "tonwatch_target_up": 1,
            "tonwatch_target_usable": 1,
            "tonwatch_target_seqno": seqno,
            "tonwatch_target_block_timestamp_seconds": int(stage.clock.wall_time - 1),
            "tonwatch_target_shard_client_seqno": seqno - 1,
            "tonwatch_target_shard_client_lag_blocks": 1,
            "tonwatch_target_lag_seconds": 0,
            "tonwatch_target_lag_blocks": 0,
            "tonwatch_target_clock_offset_seconds": 0.1,
            "tonwatch_target_latency_seconds": 0.0004,
            "tonwatch_target_last_success_timestamp_seconds": stage.clock.wall_time,
            "tonwatch_target_seqno_regressions_total": 0,
            "tonwatch_target_dropped_answers_total": 2,
        }
        assert {name: seen.value(name, target="node") for name in expected} == expected
        assert seen.value(
            "tonwatch_target_protocol_version_info", target="node", protocol_version="1.1"
        )
        assert seen.value(
            "tonwatch_target_info",
            target="toncenter",
            kind="toncenter-v2",
            role="reference",
            local="false",
        )
        assert seen.value("tonwatch_head_seqno") == seqno
        assert seen.value("tonwatch_build_info", version="1.2.3") == 1
        assert seen.value("tonwatch_start_timestamp_seconds") == 1_800_000_000

    def test_what_is_local_is_told(self, clock: Clock) -> None:
        beside = replace(NODE, name="beside", local=True)
        stage = Stage(clock, (beside, NODE))
        stage.healthy()
        seen = scrape(stage)
        assert seen.value(
            "tonwatch_target_info", target="beside", kind=NODE.kind, role=NODE.role, local="true"
        )
        assert seen.value(
            "tonwatch_target_info", target="node", kind=NODE.kind, role=NODE.role, local="false"
        )

    def test_a_state_that_rules_select_can_be_the_one_that_holds(self, stage: Stage) -> None:
        stage.disagreeing()
        assert scrape(stage).values("tonwatch_diagnosis") == [1]

    def test_state_sets_have_one_value_that_holds(self, stage: Stage) -> None:
        stage.node_down()
        seen = scrape(stage)
        assert len(seen.values("tonwatch_target_state", target="node")) == len(State)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["down"]
        assert seen.holding("tonwatch_diagnosis", "cause") == ["node_down"]
        assert seen.values("tonwatch_diagnosis", cause="sources_disagree") == [0]
        assert len(seen.values("tonwatch_diagnosis")) == 2, "no rule selects the others"
        assert len(seen.values("tonwatch_readiness")) == len(Phase)
        assert seen.holding("tonwatch_readiness", "readiness") == ["unready"]
        assert seen.value("tonwatch_ready") == 0

    def test_thresholds_are_the_configured_ones(self, clock: Clock) -> None:
        configured = {"lag_warn": "7s", "shard_client_lag_warn": 9, "flapping": 4}
        seen = scrape(Stage(clock, thresholds=configured))
        assert seen.value("tonwatch_threshold_seconds", threshold="lag_warn") == 7
        assert seen.value("tonwatch_threshold_seconds", threshold="flapping_window") == 180
        assert seen.value("tonwatch_threshold_blocks", threshold="shard_client_lag_warn") == 9
        assert seen.value("tonwatch_threshold_interruptions", threshold="flapping") == 4

    @pytest.mark.parametrize("name", Thresholds.model_fields)
    def test_every_threshold_is_in_the_family_of_its_unit(self, stage: Stage, name: str) -> None:
        seen = scrape(stage)
        families = [
            unit for unit in UNITS if seen.values(f"tonwatch_threshold_{unit}", threshold=name)
        ]
        is_duration = Thresholds.model_fields[name].annotation is float
        assert len(families) == 1
        assert (families == ["seconds"]) is is_duration

    def test_the_time_until_in_sync(self, stage: Stage) -> None:
        stage.catching_up()
        seen = scrape(stage)
        assert seen.value("tonwatch_target_sync_eta_seconds", target="node") == pytest.approx(15, 1)
        assert len(seen.values("tonwatch_target_sync_eta_seconds")) == 1
        assert seen.holding("tonwatch_diagnosis", "cause") == ["node_catching_up"]

    def test_interruptions(self, stage: Stage) -> None:
        stage.flapping()
        seen = scrape(stage)
        assert seen.value("tonwatch_target_recent_interruptions", target="node") == 3
        assert seen.value("tonwatch_target_recent_interruptions", target="public-1") == 0
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["flapping"]

    def test_a_fork_is_a_state(self, stage: Stage) -> None:
        stage.forked()
        seen = scrape(stage)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["forked"]
        assert seen.value("tonwatch_target_usable", target="node") == 0

    @pytest.mark.parametrize(
        ("happened", "told"),
        [
            pytest.param(Stage.nothing, [], id="nobody has been asked"),
            pytest.param(Stage.healthy, [0], id="all can be reached"),
            pytest.param(Stage.node_down, [0], id="one cannot"),
            pytest.param(Stage.cut_off, [1], id="none can"),
        ],
    )
    def test_egress(self, stage: Stage, happened: Any, told: list[float]) -> None:
        happened(stage)
        assert scrape(stage).values("tonwatch_egress_broken") == told

    def test_egress_cannot_be_told_by_one_target(self, clock: Clock) -> None:
        local = make_target("node", "liteserver", "primary", local=True)
        stage = Stage(clock, targets=(local, PROVIDER))
        stage.healthy()
        assert scrape(stage).values("tonwatch_egress_broken") == []

    def test_durations_are_a_cumulative_histogram(self, stage: Stage) -> None:
        for query in (0.0004, 0.03, 99.0):
            stage.answer(NODE, query=query)
        stage.watcher.look()
        seen = scrape(stage)
        name, labels = "tonwatch_probe_duration_seconds", {"target": "node", "probe": "head"}
        assert seen.value(f"{name}_bucket", le="0.001", **labels) == 1
        assert seen.value(f"{name}_bucket", le="10.0", **labels) == 2
        assert seen.value(f"{name}_bucket", le="+Inf", **labels) == 3
        assert seen.value(f"{name}_count", **labels) == 3
        assert seen.value(f"{name}_sum", **labels) == pytest.approx(1.5 * 99.0304)


class TestCountersStartAtZero:
    @pytest.mark.parametrize("target", [NODE, PROVIDER], ids=lambda target: target.kind)
    def test_for_both_outcomes_of_every_probe(self, stage: Stage, target: Target) -> None:
        seen = scrape(stage)
        for probe in target.probes:
            labels = {"target": target.name, "probe": probe.value}
            for outcome in ("ok", "failed"):
                assert seen.values("tonwatch_probes_total", outcome=outcome, **labels) == [0]

    def test_outcomes_and_reasons_are_counted(self, stage: Stage) -> None:
        stage.healthy()
        for reason in (Reason.CONNECT_REFUSED, Reason.CONNECT_REFUSED, Reason.NOT_READY):
            stage.fail(NODE, reason)
        stage.watcher.look()
        seen = scrape(stage)
        head = {"target": "node", "probe": "head"}
        assert seen.value("tonwatch_probes_total", outcome="ok", **head) == 3
        assert seen.value("tonwatch_probes_total", outcome="failed", **head) == 3
        name = "tonwatch_probe_failures_total"
        assert seen.value(name, reason="connect_refused", **head) == 2
        assert seen.value(name, reason="not_ready", **head) == 1
        assert len(seen.values(name)) == 2, "what has not occurred has no series"

    def test_for_every_probe(self, stage: Stage) -> None:
        assert scrape(stage).values("tonwatch_probe_overruns_total") == [0] * 8

    def test_for_every_probe_that_is_timed(self, stage: Stage) -> None:
        """Both liteservers' head and connect, the provider's head."""
        assert scrape(stage).values("tonwatch_probe_duration_seconds_count") == [0] * 5

    @pytest.mark.parametrize("target", [NODE, PROVIDER], ids=lambda target: target.kind)
    def test_every_kind_and_probe_has_its_reasons(self, target: Target) -> None:
        about_wallets = {Probe.BALANCE, Probe.COMPARE, Probe.WRITE}
        assert set(REASONS[target.kind]) == {*target.probes, *about_wallets}

    def test_only_where_they_are_possible(self) -> None:
        """Series of what cannot happen cost memory and say nothing."""
        asked = REASONS["liteserver"]
        assert Reason.NOT_SYNCED not in asked[Probe.FORK]
        assert Reason.PRUNED not in asked[Probe.CONNECT]
        assert Reason.TLS_FAILED not in asked[Probe.HEAD]
        assert Reason.HANDSHAKE_FAILED not in REASONS["toncenter-v2"][Probe.HEAD]
        assert Reason.DISPROVED not in asked[Probe.COMPARE]
        assert Reason.MESSAGE_REJECTED not in asked[Probe.BALANCE]


JUDGED = [
    "tonwatch_target_up",
    "tonwatch_target_usable",
    "tonwatch_target_seqno",
    "tonwatch_target_block_timestamp_seconds",
    "tonwatch_target_shard_client_seqno",
    "tonwatch_target_shard_client_lag_blocks",
    "tonwatch_target_lag_seconds",
    "tonwatch_target_lag_blocks",
    "tonwatch_target_sync_eta_seconds",
    "tonwatch_target_recent_interruptions",
    "tonwatch_target_clock_offset_seconds",
    "tonwatch_target_latency_seconds",
    "tonwatch_target_protocol_version_info",
    "tonwatch_probe_phase_duration_seconds",
]
WHOLE = [
    "tonwatch_head_seqno",
    "tonwatch_head_timestamp_seconds",
    "tonwatch_chain_stalled",
    "tonwatch_egress_broken",
    "tonwatch_local_clock_offset_seconds",
]


class TestAbsence:
    @pytest.mark.parametrize("name", [*JUDGED, *WHOLE])
    def test_nothing_is_known_at_the_start(self, stage: Stage, name: str) -> None:
        assert scrape(stage).values(name) == []

    @pytest.mark.parametrize("name", [*JUDGED, *WHOLE])
    def test_values_past_their_time_are_gone(self, stage: Stage, name: str) -> None:
        everything(stage)
        assert scrape(stage).values(name)
        stage.clock.advance(50.1)  # the connect probe has one connect_interval more
        stage.watcher.look()
        assert scrape(stage).values(name) == []

    def test_what_is_past_its_time_is_unknown(self, stage: Stage) -> None:
        answered = stage.healthy().snapshot.wall
        stage.clock.advance(21)
        stage.watcher.look()
        seen = scrape(stage)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["unknown"]
        told = seen.value("tonwatch_target_last_success_timestamp_seconds", target="node")
        assert told == answered

    @pytest.mark.parametrize(
        ("probe", "age", "shown"),
        [
            (Probe.HEAD, 20, True),
            (Probe.HEAD, 21, False),
            (Probe.CONNECT, 50, True),
            (Probe.CONNECT, 51, False),
            (Probe.FORK, 150, True),
            (Probe.FORK, 151, False),
        ],
    )
    def test_what_is_asked_rarely_is_shown_until_the_next_is_due(
        self, stage: Stage, probe: Probe, age: float, shown: bool
    ) -> None:
        stage.put(NODE, probe, {"query": 0.001})
        stage.clock.advance(age)
        stage.watcher.look()
        told = scrape(stage).values("tonwatch_probe_phase_duration_seconds", probe=probe.value)
        assert told == ([0.001] if shown else [])

    def test_what_a_provider_does_not_tell_is_absent(self, stage: Stage) -> None:
        stage.healthy()
        seen = scrape(stage)
        assert seen.values("tonwatch_target_shard_client_lag_blocks", target="toncenter") == []
        assert seen.values("tonwatch_target_clock_offset_seconds", target="toncenter") == []

    def test_a_stopped_watcher_leaves_only_what_stays_true(self, clock: Clock) -> None:
        till = Till(clock)
        everything_there_is(till)
        clock.advance(10)
        left = {
            sample.name
            for family in scrape(till).families
            for sample in family.samples
            if not sample.name.startswith("process_")
        }
        lasting = {
            name
            for metric in ALL
            if metric.lasting or metric.type in {"counter", "histogram"}
            for name in names_of(metric)
        }
        assert left == lasting | {collector.ERRORS}


class TestGuards:
    @pytest.fixture
    def broken(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
        """One target has a head that cannot be read."""
        view = stage.healthy()
        verdicts = dict(view.judgement.verdicts)
        verdicts["node"] = replace(verdicts["node"], head=object())  # type: ignore[arg-type]
        judgement = replace(view.judgement, verdicts=verdicts)
        monkeypatch.setattr(stage.watcher, "view", replace(view, judgement=judgement))
        return stage

    def test_one_target_never_takes_the_others_with_it(self, broken: Stage) -> None:
        seen = scrape(broken)
        assert seen.values("tonwatch_target_seqno", target="node") == []
        assert len(seen.values("tonwatch_target_seqno")) == 2
        assert seen.value("tonwatch_target_up", target="node") == 1
        assert seen.value(collector.ERRORS, component="metrics") == 5

    async def test_no_500(self, client: Client, broken: Stage) -> None:
        assert broken is not None
        assert (await client.get("/metrics")).status == 200

    def test_it_is_said_once_and_once_more_when_it_is_over(
        self, broken: Stage, capsys: pytest.CaptureFixture[str]
    ) -> None:
        watcher, views = broken.watcher, [broken.watcher.view]
        errors = watcher.errors
        exposition = MetricsCollector(lambda: ScrapeContext(views[-1], "", alive=True), errors)
        for _ in range(3):
            exposition.write("")
        assert capsys.readouterr().out.count("bug in tonwatch") == 5
        broken.clock.advance(QUIET)
        views.append(watcher.look())
        exposition.write("")
        body = written(exposition)
        assert capsys.readouterr().out.count("works again") == 5
        assert Scrape(body).value(collector.ERRORS, component="metrics") == 15

    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            pytest.param((), "text", id="no number"),
            pytest.param((), [((), 1)], id="points without a label"),
            pytest.param((), Histogram(), id="a histogram as a number"),
            pytest.param(("label",), [((), 1)], id="a label too few"),
            pytest.param(("label",), [(("one", "two"), 1)], id="a label too many"),
            pytest.param(("label",), [(("one",), "text")], id="no number with a label"),
            pytest.param(("label",), [(("one",), Histogram())], id="a histogram with a label"),
            pytest.param(("label",), [5], id="no point"),
            pytest.param(("label",), 5, id="no points"),
            pytest.param(("label",), None, id="nothing at all"),
        ],
    )
    def test_what_cannot_be_written_is_left_out(
        self,
        stage: Stage,
        monkeypatch: pytest.MonkeyPatch,
        labels: tuple[str, ...],
        told: Any,
    ) -> None:
        bad: Metric[ScrapeContext] = Metric("tonwatch_bad", "gauge", "Bad.", lambda _: told, labels)
        group = replace(catalogue.CHAIN, metrics=(bad, *catalogue.CHAIN.metrics))
        monkeypatch.setattr(catalogue, "GROUPS", (group, catalogue.ITSELF))
        stage.healthy()
        seen = scrape(stage)
        assert seen.values("tonwatch_bad") == []
        assert seen.value("tonwatch_head_seqno")
        assert seen.value(collector.ERRORS, component="metrics") == 1

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(Histogram((1, 2)), id="buckets are missing"),
            pytest.param(1.0, id="a number"),
        ],
    )
    def test_a_histogram_that_is_none_is_left_out(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        bad: Metric[ScrapeContext] = Metric(
            "tonwatch_bad", "histogram", "Bad.", lambda _: [(("one",), value)], ("label",)
        )
        monkeypatch.setattr(catalogue, "GROUPS", (replace(catalogue.CHAIN, metrics=(bad,)),))
        seen = scrape(stage)
        assert seen.values("tonwatch_bad_count") == []
        assert seen.value(collector.ERRORS, component="metrics") == 1

    def test_what_cannot_be_listed_costs_its_group(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> Any:
            raise RuntimeError("hunter2")

        group = replace(targets.TARGETS, sources=broken)
        groups = [group if each is targets.TARGETS else each for each in catalogue.GROUPS]
        monkeypatch.setattr(catalogue, "GROUPS", groups)
        stage.healthy()
        seen = scrape(stage)
        assert seen.values("tonwatch_target_up") == []
        assert seen.value("tonwatch_head_seqno")
        assert len(seen.values("tonwatch_probes_total")) > 10
        assert seen.value(collector.ERRORS, component="metrics") == 1

    @pytest.mark.parametrize("accept", ["", OPENMETRICS])
    def test_our_own_process_that_cannot_be_read(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, accept: str
    ) -> None:
        def broken(*_: object) -> Any:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(collector, "generate_latest", broken)
        monkeypatch.setattr(collector, "generate_openmetrics", broken)
        stage.healthy()
        body = written(MetricsCollector(context_of(stage), stage.watcher.errors), accept)
        assert list((parse_openmetrics if accept else parse_text)(body))
        assert 'tonwatch_internal_errors_total{component="metrics"} 1.0' in body

    def test_no_scene_at_all(self, stage: Stage) -> None:
        def broken() -> ScrapeContext:
            raise RuntimeError("hunter2")

        seen = Scrape(written(MetricsCollector(broken, stage.watcher.errors)))
        assert seen.value(collector.ERRORS, component="metrics") == 1
        assert seen.value("process_open_fds") > 0

    def test_every_component_begins_at_zero(self, stage: Stage) -> None:
        seen = scrape(stage)
        assert [seen.value(collector.ERRORS, component=each) for each in Component] == [0] * 9


def test_our_own_process_is_measured(stage: Stage) -> None:
    seen = scrape(stage)
    assert seen.value("process_resident_memory_bytes") > 0
    assert seen.value("process_open_fds") > 0
