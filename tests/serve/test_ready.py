"""What /ready answers: to the kubelet, with ?verbose, and with limits in the query."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.configs import make_target
from tests.conftest import Clock
from tests.serve.conftest import Client, served
from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tests.serve.wallet_scene import WalletScene
from tonwatch.samples.sample import Probe
from tonwatch.serve.ready import VALID
from tonwatch.ton.errors import Reason

NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


def with_node(scene: Scene, node: Callable[[], None], ticks: int = 1) -> None:
    """The node answers or fails by `node`, the others are in sync."""

    def tick() -> None:
        node()
        scene.answer(PUBLIC)
        scene.answer(PROVIDER)

    scene.ticks(ticks, tick)


def lagging_a_little(scene: Scene) -> None:
    scene.answer(NODE, 12, gap=5)


def draining(scene: Scene) -> None:
    scene.healthy()
    scene.watcher.drain()


class TestPhase:
    @pytest.mark.parametrize(
        ("situation", "status", "phase"),
        [
            pytest.param(Scene.starting, 503, "starting", id="no probe yet"),
            pytest.param(Scene.healthy, 200, "ready", id="all in sync"),
            pytest.param(Scene.node_down, 503, "unready", id="the primary is down"),
            pytest.param(draining, 503, "draining", id="stopping"),
        ],
    )
    async def test_status_and_phase(
        self, client: Client, scene: Scene, situation: Any, status: int, phase: str
    ) -> None:
        situation(scene)
        response = await client.get("/ready")
        assert (response.status, await response.text()) == (status, f"{phase}\n")

    @pytest.mark.parametrize("query", ["", "?verbose", "?lag=1h"])
    async def test_not_ready_once_the_watcher_stops(
        self, client: Client, scene: Scene, query: str
    ) -> None:
        """The last view says ready, but is ten seconds old."""
        scene.healthy()
        scene.clock.advance(10)
        response = await client.get(f"/ready{query}")
        text = "not alive: nothing has been evaluated for 10 seconds; see tonwatch's log\n"
        assert (response.status, await response.text()) == (503, text)


class TestVerbose:
    @pytest.mark.parametrize(
        ("node", "ticks", "lines"),
        [
            pytest.param(
                lambda s: s.answer(NODE),
                1,
                "[+]node ok\nready: 1 of 1 in sync, 1 needed\n",
                id="in sync",
            ),
            pytest.param(
                lambda s: s.fail(NODE, Reason.QUERY_TIMEOUT, "no answer within 3 s"),
                2,
                "[+]node down: node does not answer (no answer within 3 s)."
                " 2 of 3 bad probes to leave.\n"
                "ready: 1 of 1 in sync, 1 needed\n",
                id="two bad probes",
            ),
            pytest.param(
                lambda s: s.answer(NODE, 28),
                3,
                "[-]node lagging: node is 28 s (70 blocks) behind the head of the chain."
                " Not usable by `readiness.gates.lagging`.\n"
                "unready: 0 of 1 in sync, 1 needed\n",
                id="unready",
            ),
        ],
    )
    async def test_has_a_line_for_each_primary(
        self, client: Client, scene: Scene, node: Any, ticks: int, lines: str
    ) -> None:
        scene.healthy()
        with_node(scene, lambda: node(scene), ticks)
        assert await (await client.get("/ready?verbose")).text() == lines

    async def test_recovering(self, client: Client, scene: Scene) -> None:
        scene.node_down()
        scene.ticks(1, scene.all_answer)
        text = await (await client.get("/ready?verbose")).text()
        assert text.startswith("[-]node ok: Recovering, 1 of 2 good probes.\n")

    async def test_a_peers_text_cannot_add_lines(self, client: Client, scene: Scene) -> None:
        """A peer's text cannot forge a line of the response."""
        scene.ticks(3, lambda: scene.fail(NODE, Reason.SERVER_ERROR, "no\n[+]node ok\r\n"))
        for query in ("verbose=1", "verbose&lag=10s"):
            lines = (await (await client.get(f"/ready?{query}")).text()).splitlines()
            assert lines[0].startswith("[-]node down: node answers with a server error (no [+]")
            assert len(lines) == 2

    @pytest.mark.parametrize("value", ["0", "false", "no"])
    async def test_can_be_switched_off(self, client: Client, scene: Scene, value: str) -> None:
        scene.healthy()
        assert await (await client.get(f"/ready?verbose={value}")).text() == "ready\n"


SECOND = make_target("node-2", "liteserver", "primary")


class TestByPolicy:
    """The last line of ``?verbose`` where a primary is not ok and the answer is 200."""

    @pytest.mark.parametrize(
        ("config", "node", "line"),
        [
            pytest.param(
                {"gates": {"lagging": False}},
                lambda s: s.answer(NODE, 27),
                "Ready by policy: `readiness.gates.lagging` is off.",
                id="its gate is off",
            ),
            pytest.param(
                {},
                lambda s: s.answer(NODE, 12),
                "Ready by policy: within `thresholds.lag_unready`.",
                id="its gate is on, and it does not lag far enough",
            ),
            pytest.param(
                {},
                lambda s: s.answer(NODE, query=1.5),
                "Ready by policy: `readiness.gates.slow` is off.",
                id="a gate that is off by default",
            ),
            pytest.param(
                {"quorum": "any"},
                lambda s: s.fail(NODE, Reason.CONNECT_REFUSED),
                "Ready by policy: the quorum is met by the others.",
                id="others are in sync",
            ),
        ],
    )
    async def test_names_the_setting(
        self, clock: Clock, config: dict[str, Any], node: Any, line: str
    ) -> None:
        scene = Scene(clock, (NODE, SECOND, PUBLIC, PROVIDER), readiness=config)
        scene.healthy()

        def tick() -> None:
            scene.answer(SECOND)
            scene.others(lambda: node(scene))

        scene.ticks(4, tick)
        async with served(scene) as client:
            answer = await client.get("/ready?verbose")
            lines = (await answer.text()).splitlines()
        assert (answer.status, lines[-1]) == (200, line)

    async def test_a_chain_that_stalled(self, clock: Clock) -> None:
        scene = Scene(clock)
        scene.healthy()
        verdicts = scene.watcher.view.judgement.verdicts

        def tick() -> None:
            for each in scene.targets:
                scene.put(each, Probe.HEAD, {"query": 0.001}, head=verdicts[each.name].head)

        scene.ticks(6, tick)
        async with served(scene) as client:
            answer = await client.get("/ready?verbose")
            lines = (await answer.text()).splitlines()
        policy = "Ready by policy: `readiness.gates.chain_stalled` is off."
        assert (answer.status, lines[-1]) == (200, policy)

    @pytest.mark.parametrize(
        "node",
        [
            pytest.param(lambda s: s.answer(NODE), id="nothing is wrong"),
            pytest.param(lambda s: s.fail(NODE, Reason.CONNECT_REFUSED), id="not ready"),
        ],
    )
    async def test_nothing_to_explain(self, client: Client, scene: Scene, node: Any) -> None:
        scene.healthy()
        with_node(scene, lambda: node(scene), 4)
        assert "policy" not in await (await client.get("/ready?verbose")).text()

    async def test_a_reference_decides_nothing(self, client: Client, scene: Scene) -> None:
        scene.healthy()

        def tick() -> None:
            scene.answer(NODE)
            scene.fail(PUBLIC, Reason.CONNECT_REFUSED)
            scene.answer(PROVIDER)

        scene.ticks(4, tick)
        assert "policy" not in await (await client.get("/ready?verbose")).text()


class TestOfATarget:
    """``?target=``: for load balancers that choose between targets."""

    @pytest.mark.parametrize(
        ("node", "ticks", "status", "text"),
        [
            pytest.param(lambda s: s.answer(NODE), 1, 200, "ready", id="in sync"),
            pytest.param(lambda s: s.answer(NODE, 27), 2, 200, "ready", id="two bad probes"),
            pytest.param(
                lambda s: s.answer(NODE, 28),
                3,
                503,
                "unready: node lagging: node is 28 s (70 blocks) behind the head of the chain."
                " Not usable by `readiness.gates.lagging`.",
                id="three",
            ),
            pytest.param(
                lambda s: s.fail(NODE, Reason.QUERY_TIMEOUT, "no answer\nwithin 3 s"),
                3,
                503,
                "unready: node down: node does not answer (no answer within 3 s).",
                id="in one line",
            ),
        ],
    )
    async def test_by_its_hysteresis(
        self, client: Client, scene: Scene, node: Any, ticks: int, status: int, text: str
    ) -> None:
        scene.healthy()
        with_node(scene, lambda: node(scene), ticks)
        answer = await client.get("/ready?target=node")
        assert (answer.status, await answer.text()) == (status, f"{text}\n")

    async def test_a_reference_is_counted_likewise(self, client: Client, scene: Scene) -> None:
        scene.healthy()

        def tick() -> None:
            scene.answer(NODE)
            scene.answer(PUBLIC, 28)
            scene.answer(PROVIDER)

        statuses = []
        for _ in range(3):
            scene.ticks(1, tick)
            statuses.append((await client.get("/ready?target=public-1")).status)
        for _ in range(2):
            scene.ticks(1, scene.all_answer)
            statuses.append((await client.get("/ready?target=public-1")).status)
        assert statuses == [200, 200, 503, 503, 200]

    async def test_the_quorum_does_not_matter(self, client: Client, scene: Scene) -> None:
        scene.node_down()
        assert (await client.get("/ready")).status == 503
        assert (await client.get("/ready?target=public-1")).status == 200

    @pytest.mark.parametrize(
        ("query", "status", "text"),
        [
            pytest.param("lag=13s", 200, "ready", id="within the limit"),
            pytest.param(
                "lag=12s",
                503,
                "unready by these limits: node lagging: node is 12 s (30 blocks) behind the head"
                " of the chain.",
                id="beyond it",
            ),
            pytest.param(
                "shard_client_lag=5",
                503,
                "unready by these limits: node shard lagging: node follows the masterchain, but its"
                " shards lag it by 5 blocks (1.2 s): accounts and balances are that old or fail.",
                id="beyond the other",
            ),
            pytest.param(
                "verbose",
                200,
                "[+]node lagging: node is 12 s (30 blocks) behind the head of the chain.\nready",
                id="verbose",
            ),
        ],
    )
    async def test_limits(
        self, client: Client, scene: Scene, query: str, status: int, text: str
    ) -> None:
        scene.healthy()
        with_node(scene, lambda: lagging_a_little(scene))
        answer = await client.get(f"/ready?target=node&{query}")
        assert (answer.status, await answer.text()) == (status, f"{text}\n")

    async def test_never_probed(self, client: Client) -> None:
        answer = await client.get("/ready?target=public-1")
        text = "starting: public-1 unknown: There is no data on public-1: not probed yet.\n"
        assert (answer.status, await answer.text()) == (503, text)

    @pytest.mark.parametrize("query", ["", "&lag=1h"])
    async def test_draining(self, client: Client, scene: Scene, query: str) -> None:
        draining(scene)
        answer = await client.get(f"/ready?target=node{query}")
        assert (answer.status, await answer.text()) == (503, "draining\n")

    async def test_not_ready_once_the_watcher_stops(self, client: Client, scene: Scene) -> None:
        scene.healthy()
        scene.clock.advance(10)
        assert (await client.get("/ready?target=node")).status == 503

    @pytest.mark.parametrize("name", ["node-9", "", "x%0a%1b"])
    async def test_an_unknown_one_gets_the_known_names(
        self, client: Client, scene: Scene, name: str
    ) -> None:
        scene.healthy()
        answer = await client.get(f"/ready?target={name}")
        text = await answer.text()
        assert answer.status == 404
        assert text.endswith("; there are node, public-1, toncenter\n")
        assert len(text.splitlines()) == 1


async def test_a_low_wallet_is_named_where_it_is_why(clock: Clock) -> None:
    scene = WalletScene(clock, readiness={"gates": {"wallet_low": True}})
    scene.all_healthy()
    scene.read("hot", amount=1)
    scene.watcher.evaluate()
    async with served(scene) as client:
        answer = await client.get("/ready?verbose")
        lines = (await answer.text()).splitlines()
        assert (await client.get("/ready?target=node")).status == 200
    assert answer.status == 503
    assert lines[-1] == (
        "unready: 1 of 1 in sync, 1 needed, but a wallet is low. By `readiness.gates.wallet_low`."
    )


class TestLimitsInTheQuery:
    """``?lag= &shard_client_lag= &quorum=``: as of now, without hysteresis."""

    @pytest.mark.parametrize(
        ("query", "answer", "ready"),
        [
            pytest.param("lag=13s", {"lag": 12}, True, id="not that far behind"),
            pytest.param("lag=12s", {"lag": 12}, False, id="that far behind"),
            pytest.param("lag=11500ms", {"lag": 12}, False, id="milliseconds"),
            pytest.param("lag=1m", {"lag": 27}, True, id="laxer than the configured limit"),
            pytest.param("shard_client_lag=6", {"gap": 5}, True, id="not that large a gap"),
            pytest.param("shard_client_lag=5", {"gap": 5}, False, id="that large a gap"),
            pytest.param("shard_client_lag=100", {"gap": 50}, True, id="a laxer gap"),
            pytest.param("shard_client_lag=100", {"lag": 27}, False, id="the other limit holds"),
            pytest.param("quorum=all", {}, True, id="a quorum"),
            pytest.param("quorum=all", {"lag": 27}, False, id="the configured limits"),
            pytest.param("lag=1m&shard_client_lag=5&quorum=any", {"lag": 27, "gap": 4}, True,
                         id="all of them"),
        ],
    )  # fmt: skip
    async def test_of_one_primary(
        self, client: Client, scene: Scene, query: str, answer: dict[str, Any], ready: bool
    ) -> None:
        scene.healthy()

        with_node(scene, lambda: scene.answer(NODE, **answer))
        response = await client.get(f"/ready?{query}")
        assert (response.status == 200, await response.text()) == (
            ready,
            "ready\n" if ready else "unready\n",
        )

    @pytest.mark.parametrize(
        ("quorum", "lagging", "status"),
        [
            ("any", 2, 200),
            ("any", 3, 503),
            ("majority", 1, 200),
            ("majority", 2, 503),
            ("all", 0, 200),
            ("all", 1, 503),
        ],
    )
    async def test_of_three_primaries(
        self, clock: Clock, quorum: str, lagging: int, status: int
    ) -> None:
        targets = tuple(make_target(f"node-{n}", "liteserver", "primary") for n in range(3))
        scene = Scene(clock, targets=(*targets, PUBLIC, PROVIDER))

        def tick() -> None:
            scene.all_answer()
            for target in targets[:lagging]:
                scene.answer(target, 15)

        scene.ticks(1, tick)
        async with served(scene) as client:
            response = await client.get(f"/ready?lag=10s&quorum={quorum}")
            assert response.status == status

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            pytest.param(
                "lag=20s",
                "[+]node lagging: node is 12 s (30 blocks) behind the head of the chain.\n"
                "ready by these limits: 1 of 1 in sync, 1 needed\n",
                id="lagging within the limit",
            ),
            pytest.param(
                "lag=5s",
                "[-]node lagging: node is 12 s (30 blocks) behind the head of the chain.\n"
                "unready by these limits: 0 of 1 in sync, 1 needed\n",
                id="lagging",
            ),
            pytest.param(
                "lag=5s&shard_client_lag=4",
                "[-]node lagging: node is 12 s (30 blocks) behind the head of the chain.\n"
                "[-]node shard lagging: node follows the masterchain, but its shards lag it by"
                " 5 blocks (1.2 s): accounts and balances are that old or fail.\n"
                "unready by these limits: 0 of 1 in sync, 1 needed\n",
                id="every limit that is broken is named",
            ),
        ],
    )
    async def test_verbose(self, client: Client, scene: Scene, query: str, text: str) -> None:
        scene.healthy()
        with_node(scene, lambda: lagging_a_little(scene))
        assert await (await client.get(f"/ready?{query}&verbose")).text() == text

    async def test_one_lost_answer_counts_at_once(self, client: Client, scene: Scene) -> None:
        scene.healthy()
        with_node(scene, lambda: scene.fail(NODE, Reason.QUERY_TIMEOUT, "no answer within 3 s"))
        assert (await client.get("/ready")).status == 200
        response = await client.get("/ready?lag=10s&verbose")
        lines = (await response.text()).splitlines()
        assert response.status == 503
        assert lines[0] == "[-]node down: node does not answer (no answer within 3 s)."

    async def test_a_target_never_probed_is_not_ready(self, client: Client) -> None:
        response = await client.get("/ready?lag=1h&verbose")
        lines = (await response.text()).splitlines()
        assert response.status == 503
        assert lines[0] == "[-]node unknown: There is no data on node: not probed yet."

    async def test_draining_wins(self, client: Client, scene: Scene) -> None:
        draining(scene)
        response = await client.get("/ready?lag=1h&verbose")
        lines = (await response.text()).splitlines()
        assert (response.status, lines[-1]) == (503, "draining: tonwatch is about to stop")

    async def test_limits_in_the_query_do_not_change_the_plain_answer(
        self, client: Client, scene: Scene
    ) -> None:
        scene.healthy()
        with_node(scene, lambda: scene.answer(NODE, 12))
        for _ in range(5):
            assert (await client.get("/ready?lag=5s")).status == 503
        assert (await client.get("/ready")).status == 200

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ("lag=10", "lag: write a duration with its unit, such as 500ms, 15s, 2m, 1h or 90d"),
            ("lag=", "lag: write a duration with its unit, such as 500ms, 15s, 2m, 1h or 90d"),
            ("lag=0s", "lag: Input should be greater than 0"),
            ("lag=-5s", "lag: write a duration with its unit, such as 500ms, 15s, 2m, 1h or 90d"),
            ("shard_client_lag=0", "shard_client_lag: Input should be greater than or equal to 1"),
            ("shard_client_lag=5s", f"shard_client_lag: {NO_INTEGER}"),
            ("target=node&quorum=any", "target and quorum exclude each other"),
            ("quorum=most", "quorum: Input should be 'majority', 'any' or 'all'"),
            ("lag=1s&lag=1h", "lag is given more than once"),
            ("behind=5s", "'behind' is no parameter"),
            ("Behind=5s", "'Behind' is no parameter"),
            ("verbose&x%0a%1b%3cb%3e=", r"'x\n\x1b<b>' is no parameter"),
            ("x" * 500, f"'{'x' * 40}' is no parameter"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("situation", [Scene.healthy, draining], ids=["ready", "draining"])
    async def test_an_invalid_query_gets_the_valid_parameters(
        self, client: Client, scene: Scene, situation: Any, query: str, problem: str
    ) -> None:
        situation(scene)
        response = await client.get(f"/ready?{query}")
        assert response.status == 400
        assert response.content_type == "text/plain"
        assert await response.text() == f"{problem}; {VALID}\n"


class Kubelet:
    """Polls /ready as a kubelet's HTTP probe does; only the status counts."""

    def __init__(self, client: Client) -> None:
        self._host, self._port = client.server.host, client.server.port or 0

    async def probe(self) -> int:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(
            b"GET /ready HTTP/1.1\r\nHost: 10.0.0.7:9717\r\n"
            b"User-Agent: kube-probe/1.32\r\nConnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split(b" ", 2)[1])


async def test_polls_of_a_kubelet(client: Client, scene: Scene) -> None:
    """A poll every 2 s, an evaluation every second, a probe of the node every 5 s."""
    kubelet = Kubelet(client)
    lag = {5: 0, 10: 0, 15: 30, 20: 30, 25: 30, 30: 30, 35: 0, 40: 0, 45: 0, 50: 0}
    statuses: dict[int, int] = {}
    for second in range(1, 55):
        scene.clock.advance(1)
        if second in lag:
            scene.answer(NODE, lag[second])
            scene.answer(PUBLIC)
            scene.answer(PROVIDER)
        scene.watcher.evaluate()
        if second == 47:
            scene.watcher.drain()  # what SIGTERM does
        if second % 2 == 0:
            statuses[second] = await kubelet.probe()
    assert statuses == {
        **dict.fromkeys(range(2, 5, 2), 503),  # starting
        **dict.fromkeys(range(6, 25, 2), 200),  # two bad probes change nothing
        **dict.fromkeys(range(26, 39, 2), 503),  # the third does; one good one does not
        **dict.fromkeys(range(40, 47, 2), 200),  # the second does
        **dict.fromkeys(range(48, 55, 2), 503),  # draining, though the node is well
    }


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_does_not_change_readiness(
    client: Client, scene: Scene, lost: int
) -> None:
    kubelet = Kubelet(client)
    scene.healthy()
    statuses = []
    for _ in range(lost):
        with_node(scene, lambda: scene.fail(NODE, Reason.QUERY_TIMEOUT))
        statuses.append(await kubelet.probe())
    scene.ticks(1, scene.all_answer)
    statuses.append(await kubelet.probe())
    assert set(statuses) == {200}
