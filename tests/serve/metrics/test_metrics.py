"""The exposition: what is in it, what is absent, and that it never fails."""

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
from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tests.serve.scraping import (
    ALL,
    Scrape,
    context_of,
    names_of,
    scrape,
    show_every_metric,
    show_every_target_metric,
    written,
)
from tests.serve.wallet_scene import WalletScene
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
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State
from tonwatch.watch.store import Histogram

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class TestFormats:
    async def test_text_by_default(self, client: Client, scene: Scene) -> None:
        show_every_target_metric(scene)
        response = await client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert len(list(parse_text(await response.text()))) > 30

    async def test_openmetrics_on_request(self, client: Client, scene: Scene) -> None:
        show_every_target_metric(scene)
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
    async def test_any_accept_is_answered(self, client: Client, scene: Scene, accept: str) -> None:
        scene.healthy()
        response = await client.get("/metrics", headers={"Accept": accept})
        assert response.status == 200
        assert "<b>" not in response.headers["Content-Type"]
        assert "tonwatch_head_seqno" in await response.text()


class TestValues:
    def test_of_a_healthy_target(self, scene: Scene) -> None:
        view = scene.healthy()
        seen = scrape(scene)
        assert view.judgement.head is not None
        seqno = view.judgement.head.seqno
        expected = {
            "tonwatch_target_up": 1,
            "tonwatch_target_usable": 1,
            "tonwatch_target_seqno": seqno,
            "tonwatch_target_block_timestamp_seconds": int(scene.clock.wall_time - 1),
            "tonwatch_target_shard_client_seqno": seqno - 1,
            "tonwatch_target_shard_client_lag_blocks": 1,
            "tonwatch_target_lag_seconds": 0,
            "tonwatch_target_lag_blocks": 0,
            "tonwatch_target_clock_offset_seconds": 0.1,
            "tonwatch_target_latency_seconds": 0.0004,
            "tonwatch_target_last_success_timestamp_seconds": scene.clock.wall_time,
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

    def test_local_targets_are_labelled(self, clock: Clock) -> None:
        beside = replace(NODE, name="beside", local=True)
        scene = Scene(clock, (beside, NODE))
        scene.healthy()
        seen = scrape(scene)
        assert seen.value(
            "tonwatch_target_info", target="beside", kind=NODE.kind, role=NODE.role, local="true"
        )
        assert seen.value(
            "tonwatch_target_info", target="node", kind=NODE.kind, role=NODE.role, local="false"
        )

    def test_every_state_that_rules_select_can_be_1(self, scene: Scene) -> None:
        scene.disagreeing()
        assert scrape(scene).value("tonwatch_findings", cause="sources_disagree") == 1

    def test_state_sets_have_one_series_at_1(self, scene: Scene) -> None:
        scene.node_down()
        seen = scrape(scene)
        assert len(seen.values("tonwatch_target_state", target="node")) == len(State)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["down"]
        assert seen.holding("tonwatch_diagnosis", "cause") == ["node_down"]
        assert seen.values("tonwatch_diagnosis") == [1]
        assert len(seen.values("tonwatch_readiness")) == len(Phase)
        assert seen.holding("tonwatch_readiness", "readiness") == ["unready"]
        assert seen.value("tonwatch_ready") == 0

    def test_thresholds_are_the_configured_ones(self, clock: Clock) -> None:
        configured = {"lag_warn": "7s", "shard_client_lag_warn": 9, "flapping": 4}
        seen = scrape(Scene(clock, thresholds=configured))
        assert seen.value("tonwatch_threshold_seconds", threshold="lag_warn") == 7
        assert seen.value("tonwatch_threshold_seconds", threshold="flapping_window") == 180
        assert seen.value("tonwatch_threshold_blocks", threshold="shard_client_lag_warn") == 9
        assert seen.value("tonwatch_threshold_interruptions", threshold="flapping") == 4

    @pytest.mark.parametrize("name", Thresholds.model_fields)
    def test_every_threshold_is_in_the_family_of_its_unit(self, scene: Scene, name: str) -> None:
        seen = scrape(scene)
        families = [
            unit for unit in UNITS if seen.values(f"tonwatch_threshold_{unit}", threshold=name)
        ]
        is_duration = Thresholds.model_fields[name].annotation is float
        assert len(families) == 1
        assert (families == ["seconds"]) is is_duration

    def test_the_diagnosis_names_what_it_is_about_and_since_when(self, scene: Scene) -> None:
        scene.node_down()
        since = scene.watcher.view.diagnosis.since
        about = {"cause": "node_down", "target": "node", "wallet": "", "contract": ""}
        assert scrape(scene).value("tonwatch_diagnosis_since_timestamp_seconds", **about) == since

    @pytest.mark.parametrize(
        ("changed", "cause", "wallet", "contract"),
        [
            ({"name": "hot", "amount": 1}, "wallet_low", "hot", ""),
            ({"name": "vault", "asset": "", "code_hash": None}, "contract_changed", "", "vault"),
        ],
    )
    def test_a_wallet_and_a_contract_have_labels_of_their_own(
        self, clock: Clock, changed: dict[str, Any], cause: str, wallet: str, contract: str
    ) -> None:
        wallet_scene = WalletScene(clock)
        wallet_scene.all_healthy()
        wallet_scene.read(**changed)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).values(
            "tonwatch_diagnosis_since_timestamp_seconds",
            cause=cause,
            target="",
            wallet=wallet,
            contract=contract,
        )

    def test_findings_below_the_diagnosis_are_counted(self, scene: Scene) -> None:
        scene.healthy()

        def tick() -> None:
            scene.fail(NODE, Reason.CONNECT_REFUSED)
            scene.fail(PUBLIC, Reason.CONNECT_REFUSED)
            scene.fail(PROVIDER, Reason.RATE_LIMITED)

        scene.ticks(3, tick)
        seen = scrape(scene)
        assert seen.value("tonwatch_findings", cause="node_down") == 2
        assert seen.value("tonwatch_findings", cause="provider_throttled") == 1
        assert seen.value("tonwatch_findings", cause="all_lagging") == 0
        assert seen.values("tonwatch_findings", cause="provider_down") == []

    def test_nothing_is_found_where_all_is_well(self, scene: Scene) -> None:
        scene.healthy()
        assert set(scrape(scene).values("tonwatch_findings")) == {0}

    def test_a_finding_about_many_wallets_counts_each(self, scene: Scene) -> None:
        many = Finding(Cause.WALLET_LOW, "3 more.", 0.0, others=("a", "b", "c"))
        diagnosis = Diagnosis(replace(many, account="hot", others=()), 0.0, (many,))
        view = replace(scene.healthy(), diagnosis=diagnosis)
        context = ScrapeContext(view, "1.2.3", alive=True)
        seen = Scrape(written(MetricsCollector(lambda: context, scene.watcher.errors)))
        assert seen.value("tonwatch_findings", cause="wallet_low") == 4

    def test_how_fast_blocks_come_and_how_many_sources_say_so(self, scene: Scene) -> None:
        scene.ticks(6, scene.all_answer)
        seen = scrape(scene)
        for name in ("block_interval", "usual_block_interval"):
            assert seen.value(f"tonwatch_chain_{name}_seconds") == pytest.approx(0.4, abs=0.05)
        assert seen.value("tonwatch_independent_sources") == 3

    def test_an_outbound_queue_until_it_is_too_old(self, scene: Scene) -> None:
        scene.healthy()
        scene.put(NODE, Probe.ACCOUNT, {"query": 0.001}, out_queue=(812, 8000))
        scene.watcher.evaluate()
        seen = scrape(scene)
        assert seen.value("tonwatch_target_out_queue_messages", target="node") == 812
        assert seen.value("tonwatch_target_out_queue_limit_messages", target="node") == 8000
        scene.ticks(8, scene.all_answer)
        assert scrape(scene).values("tonwatch_target_out_queue_messages") == []

    def test_the_lag_of_shards_in_seconds(self, scene: Scene) -> None:
        scene.healthy()
        scene.ticks(1, lambda: scene.others(lambda: scene.answer(NODE, gap=52)))
        seen = scrape(scene)
        assert seen.value("tonwatch_target_shard_lag_seconds", target="node") == pytest.approx(
            20, abs=3
        )

    def test_a_write_probe_that_cannot_run(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        wallet_scene.all_healthy()
        name = "tonwatch_wallet_write_probe_idle"
        assert scrape(wallet_scene).value(name, wallet="hot") == 0
        assert scrape(wallet_scene).values(name, wallet="cold") == [], "it has no write_probe"
        wallet_scene.read("hot", amount=1)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).value(name, wallet="hot") == 1

    def test_the_time_until_in_sync(self, scene: Scene) -> None:
        scene.catching_up()
        seen = scrape(scene)
        assert seen.value("tonwatch_target_sync_eta_seconds", target="node") == pytest.approx(15, 1)
        assert len(seen.values("tonwatch_target_sync_eta_seconds")) == 1
        assert seen.holding("tonwatch_diagnosis", "cause") == ["node_catching_up"]

    def test_interruptions(self, scene: Scene) -> None:
        scene.flapping()
        seen = scrape(scene)
        assert seen.value("tonwatch_target_recent_interruptions", target="node") == 3
        assert seen.value("tonwatch_target_recent_interruptions", target="public-1") == 0
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["flapping"]

    def test_a_fork_is_a_state(self, scene: Scene) -> None:
        scene.forked()
        seen = scrape(scene)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["forked"]
        assert seen.value("tonwatch_target_usable", target="node") == 0

    @pytest.mark.parametrize(
        ("situation", "expected"),
        [
            pytest.param(Scene.starting, [], id="not probed yet"),
            pytest.param(Scene.healthy, [0], id="all reachable"),
            pytest.param(Scene.node_down, [0], id="one unreachable"),
            pytest.param(Scene.egress_broken, [1], id="none reachable"),
        ],
    )
    def test_egress(self, scene: Scene, situation: Any, expected: list[float]) -> None:
        situation(scene)
        assert scrape(scene).values("tonwatch_egress_broken") == expected

    def test_egress_is_absent_with_one_target(self, clock: Clock) -> None:
        local = make_target("node", "liteserver", "primary", local=True)
        scene = Scene(clock, targets=(local, PROVIDER))
        scene.healthy()
        assert scrape(scene).values("tonwatch_egress_broken") == []

    def test_durations_are_a_cumulative_histogram(self, scene: Scene) -> None:
        for query in (0.0004, 0.03, 99.0):
            scene.answer(NODE, query=query)
        scene.watcher.evaluate()
        seen = scrape(scene)
        name, labels = "tonwatch_probe_duration_seconds", {"target": "node", "probe": "head"}
        assert seen.value(f"{name}_bucket", le="0.001", **labels) == 1
        assert seen.value(f"{name}_bucket", le="10.0", **labels) == 2
        assert seen.value(f"{name}_bucket", le="+Inf", **labels) == 3
        assert seen.value(f"{name}_count", **labels) == 3
        assert seen.value(f"{name}_sum", **labels) == pytest.approx(1.5 * 99.0304)


class TestCountersStartAtZero:
    @pytest.mark.parametrize("target", [NODE, PROVIDER], ids=lambda target: target.kind)
    def test_for_both_outcomes_of_every_probe(self, scene: Scene, target: Target) -> None:
        seen = scrape(scene)
        for probe in target.probes:
            labels = {"target": target.name, "probe": probe.value}
            for outcome in ("ok", "failed"):
                assert seen.values("tonwatch_probes_total", outcome=outcome, **labels) == [0]

    def test_outcomes_and_reasons_are_counted(self, scene: Scene) -> None:
        scene.healthy()
        for reason in (Reason.CONNECT_REFUSED, Reason.CONNECT_REFUSED, Reason.NOT_READY):
            scene.fail(NODE, reason)
        scene.watcher.evaluate()
        seen = scrape(scene)
        head = {"target": "node", "probe": "head"}
        assert seen.value("tonwatch_probes_total", outcome="ok", **head) == 3
        assert seen.value("tonwatch_probes_total", outcome="failed", **head) == 3
        name = "tonwatch_probe_failures_total"
        assert seen.value(name, reason="connect_refused", **head) == 2
        assert seen.value(name, reason="not_ready", **head) == 1
        assert len(seen.values(name)) == 2, "what has not occurred has no series"

    def test_for_every_probe(self, scene: Scene) -> None:
        assert scrape(scene).values("tonwatch_probe_overruns_total") == [0] * 12

    def test_for_every_probe_that_is_timed(self, scene: Scene) -> None:
        """Head and connect of each target."""
        assert scrape(scene).values("tonwatch_probe_duration_seconds_count") == [0] * 6

    @pytest.mark.parametrize("target", [NODE, PROVIDER], ids=lambda target: target.kind)
    def test_every_kind_and_probe_has_its_reasons(self, target: Target) -> None:
        about_wallets = {Probe.BALANCE, Probe.COMPARE, Probe.WRITE}
        assert set(REASONS[target.kind]) == {*target.probes, *about_wallets}

    def test_only_where_they_are_possible(self) -> None:
        """Series of impossible events cost memory and are useless."""
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
    def test_nothing_is_known_at_the_start(self, scene: Scene, name: str) -> None:
        assert scrape(scene).values(name) == []

    @pytest.mark.parametrize("name", [*JUDGED, *WHOLE])
    def test_stale_values_are_absent(self, scene: Scene, name: str) -> None:
        show_every_target_metric(scene)
        assert scrape(scene).values(name)
        scene.clock.advance(50.1)  # the connect probe has one connect_interval more
        scene.watcher.evaluate()
        assert scrape(scene).values(name) == []

    def test_a_stale_target_is_unknown(self, scene: Scene) -> None:
        answered = scene.healthy().snapshot.wall
        scene.clock.advance(21)
        scene.watcher.evaluate()
        seen = scrape(scene)
        assert seen.holding("tonwatch_target_state", "state", target="node") == ["unknown"]
        last_success = seen.value("tonwatch_target_last_success_timestamp_seconds", target="node")
        assert last_success == answered

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
    def test_rare_probes_are_shown_until_the_next_is_due(
        self, scene: Scene, probe: Probe, age: float, shown: bool
    ) -> None:
        scene.put(NODE, probe, {"query": 0.001})
        scene.clock.advance(age)
        scene.watcher.evaluate()
        durations = scrape(scene).values("tonwatch_probe_phase_duration_seconds", probe=probe.value)
        assert durations == ([0.001] if shown else [])

    def test_what_a_provider_does_not_report_is_absent(self, scene: Scene) -> None:
        scene.healthy()
        seen = scrape(scene)
        assert seen.values("tonwatch_target_shard_client_lag_blocks", target="toncenter") == []
        assert seen.values("tonwatch_target_clock_offset_seconds", target="toncenter") == []

    def test_a_stopped_watcher_leaves_only_counters_and_configuration(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        show_every_metric(wallet_scene)
        clock.advance(10)
        left = {
            sample.name
            for family in scrape(wallet_scene).families
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
    def broken(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
        """One target has a head that cannot be read."""
        view = scene.healthy()
        verdicts = dict(view.judgement.verdicts)
        verdicts["node"] = replace(verdicts["node"], head=object())  # type: ignore[arg-type]
        judgement = replace(view.judgement, verdicts=verdicts)
        monkeypatch.setattr(scene.watcher, "view", replace(view, judgement=judgement))
        return scene

    def test_one_broken_target_leaves_the_others(self, broken: Scene) -> None:
        seen = scrape(broken)
        assert seen.values("tonwatch_target_seqno", target="node") == []
        assert len(seen.values("tonwatch_target_seqno")) == 2
        assert seen.value("tonwatch_target_up", target="node") == 1
        assert seen.value(collector.ERRORS, component="metrics") == 5

    async def test_no_500(self, client: Client, broken: Scene) -> None:
        assert broken is not None
        assert (await client.get("/metrics")).status == 200

    def test_it_is_logged_when_it_begins_and_when_it_ends(
        self, broken: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        watcher, views = broken.watcher, [broken.watcher.view]
        errors = watcher.errors
        exposition = MetricsCollector(lambda: ScrapeContext(views[-1], "", alive=True), errors)
        for _ in range(3):
            exposition.write("")
        assert capsys.readouterr().out.count("bug in tonwatch") == 5
        broken.clock.advance(QUIET)
        views.append(watcher.evaluate())
        exposition.write("")
        body = written(exposition)
        assert capsys.readouterr().out.count("works again") == 5
        assert Scrape(body).value(collector.ERRORS, component="metrics") == 15

    @pytest.mark.parametrize(
        ("labels", "value"),
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
    def test_invalid_points_are_left_out(
        self,
        scene: Scene,
        monkeypatch: pytest.MonkeyPatch,
        labels: tuple[str, ...],
        value: Any,
    ) -> None:
        bad: Metric[ScrapeContext] = Metric(
            "tonwatch_bad", "gauge", "Bad.", lambda _: value, labels
        )
        group = replace(catalogue.CHAIN, metrics=(bad, *catalogue.CHAIN.metrics))
        monkeypatch.setattr(catalogue, "GROUPS", (group, catalogue.ITSELF))
        scene.healthy()
        seen = scrape(scene)
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
    def test_an_invalid_histogram_is_left_out(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        bad: Metric[ScrapeContext] = Metric(
            "tonwatch_bad", "histogram", "Bad.", lambda _: [(("one",), value)], ("label",)
        )
        monkeypatch.setattr(catalogue, "GROUPS", (replace(catalogue.CHAIN, metrics=(bad,)),))
        seen = scrape(scene)
        assert seen.values("tonwatch_bad_count") == []
        assert seen.value(collector.ERRORS, component="metrics") == 1

    def test_a_broken_source_costs_its_group(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> Any:
            raise RuntimeError("hunter2")

        group = replace(targets.TARGETS, sources=broken)
        groups = [group if each is targets.TARGETS else each for each in catalogue.GROUPS]
        monkeypatch.setattr(catalogue, "GROUPS", groups)
        scene.healthy()
        seen = scrape(scene)
        assert seen.values("tonwatch_target_up") == []
        assert seen.value("tonwatch_head_seqno")
        assert len(seen.values("tonwatch_probes_total")) > 10
        assert seen.value(collector.ERRORS, component="metrics") == 1

    @pytest.mark.parametrize("accept", ["", OPENMETRICS])
    def test_process_metrics_that_cannot_be_read(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, accept: str
    ) -> None:
        def broken(*_: object) -> Any:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(collector, "generate_latest", broken)
        monkeypatch.setattr(collector, "generate_openmetrics", broken)
        scene.healthy()
        body = written(MetricsCollector(context_of(scene), scene.watcher.errors), accept)
        assert list((parse_openmetrics if accept else parse_text)(body))
        assert 'tonwatch_internal_errors_total{component="metrics"} 1.0' in body

    def test_without_any_view(self, scene: Scene) -> None:
        def broken() -> ScrapeContext:
            raise RuntimeError("hunter2")

        seen = Scrape(written(MetricsCollector(broken, scene.watcher.errors)))
        assert seen.value(collector.ERRORS, component="metrics") == 1
        assert seen.value("process_open_fds") > 0

    def test_every_component_begins_at_zero(self, scene: Scene) -> None:
        seen = scrape(scene)
        assert [seen.value(collector.ERRORS, component=each) for each in Component] == [0] * 9


def test_process_metrics(scene: Scene) -> None:
    seen = scrape(scene)
    assert seen.value("process_resident_memory_bytes") > 0
    assert seen.value("process_open_fds") > 0
