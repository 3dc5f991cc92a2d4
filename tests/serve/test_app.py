"""The endpoints over real HTTP: statuses, bodies, negotiation, and what is never disclosed."""

import asyncio
import gzip
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.serve.conftest import Client
from tests.serve.scene import NODE, Scene
from tests.serve.scraping import Scrape
from tonwatch.serve import app
from tonwatch.serve.health import document as health_document
from tonwatch.serve.health import page
from tonwatch.serve.metrics import catalogue
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.traffic import Refusal
from tonwatch.system.internal_errors import QUIET, Component
from tonwatch.ton.errors import Reason

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def test_live_depends_on_tonwatch_alone(client: Client, scene: Scene) -> None:
    scene.node_down()
    response = await client.get("/live")
    assert (response.status, await response.text()) == (200, "alive\n")


async def test_not_alive_once_the_watcher_stops(client: Client, scene: Scene) -> None:
    scene.healthy()
    scene.clock.advance(10)
    response = await client.get("/live?verbose")
    why = "not alive: nothing has been evaluated for 10 seconds; see tonwatch's log"
    text = f"[-]watcher stopped\n{why}\n"
    assert (response.status, await response.text()) == (503, text)


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        pytest.param(BROWSER, "", "text/html", id="a browser"),
        pytest.param("*/*", "", "application/health+json", id="curl"),
        pytest.param("", "", "application/health+json", id="no preference"),
        pytest.param("application/json", "", "application/health+json", id="a program"),
        pytest.param(
            "application/json, text/html;q=0.5", "", "application/health+json", id="JSON preferred"
        ),
        pytest.param("text/html;q=0", "", "application/health+json", id="anything but HTML"),
        pytest.param("text/html;q=x", "", "application/health+json", id="an invalid weight"),
        pytest.param(BROWSER, "?format=json", "application/health+json", id="the page's own link"),
        pytest.param("*/*", "?format=html", "text/html", id="the page on request"),
    ],
)
async def test_health_is_html_for_browsers_and_json_for_all_else(
    client: Client, accept: str, query: str, kind: str
) -> None:
    response = await client.get(f"/health{query}", headers={"Accept": accept})
    assert response.content_type == kind
    assert response.charset == "utf-8"
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("situation", "status", "word"),
    [
        pytest.param(Scene.starting, 200, "warn", id="starting"),
        pytest.param(Scene.healthy, 200, "pass", id="healthy"),
        pytest.param(Scene.node_down, 503, "fail", id="not ready"),
        pytest.param(
            lambda scene: (scene.healthy(), scene.clock.advance(10)), 503, "fail", id="hanging"
        ),
    ],
)
async def test_the_status_of_health(
    client: Client, scene: Scene, situation: Any, status: int, word: str
) -> None:
    situation(scene)
    response = await client.get("/health")
    assert (response.status, json.loads(await response.text())["status"]) == (status, word)


async def test_the_page_is_never_a_503(client: Client, scene: Scene) -> None:
    """Proxies replace the body of a 503 with a page of their own."""
    scene.node_down()
    response = await client.get("/health", headers={"Accept": BROWSER})
    assert response.status == 200
    assert "node refuses connections" in await response.text()


async def test_the_root_leads_to_health(client: Client) -> None:
    response = await client.get("/", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "health")
    assert (await client.get("/")).url.path == "/health"


@pytest.mark.parametrize("path", ["/metrics", "/live", "/health"])
async def test_head_has_headers_and_no_body(client: Client, scene: Scene, path: str) -> None:
    scene.healthy()
    response = await client.head(path)
    assert (response.status, await response.read()) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(client: Client, method: str) -> None:
    response = await client.request(method, "/metrics", data=b"x")
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert await response.text() == f"only GET and HEAD, on {' '.join(app.PATHS)}\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_bodies_are_refused(client: Client, method: str) -> None:
    response = await client.request(method, "/health", data=b"x")
    assert response.status == 413
    assert await response.text() == ("GET takes no body\n" if method == "GET" else "")
    assert response.headers["Server"] == "tonwatch"


async def test_concurrent_scrapes_are_written_once(
    client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = MetricsCollector.write

    def counted(self: MetricsCollector, accept: str) -> Any:
        written.append(accept)
        return write(self, accept)

    monkeypatch.setattr(MetricsCollector, "write", counted)

    async def scrape(**headers: str) -> bytes:
        response = await client.get("/metrics", headers=headers, auto_decompress=False)
        return await response.read()

    scene.healthy()
    bodies = await asyncio.gather(*(scrape() for _ in range(20)))
    assert len(set(bodies)) == 1
    await scrape(**{"Accept-Encoding": "identity"})
    await scrape(Accept="application/openmetrics-text;version=1.0.0")
    assert len(written) == 3


async def test_connections_are_counted_from_zero(client: Client) -> None:
    scrape = Scrape(await (await client.get("/metrics")).text())
    assert scrape.value("tonwatch_http_connections") == 0
    assert scrape.values("tonwatch_http_connections_refused_total") == [0] * len(Refusal)


@pytest.mark.parametrize("path", ["/healthz", "/metrics/", "/%2e%2e/etc/passwd", "/<script>"])
async def test_unknown_paths_list_the_valid_ones(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert response.content_type == "text/plain"
    assert await response.text() == f"no such path; there are {' '.join(app.PATHS)}\n"


@pytest.mark.parametrize("path", ["/metrics", "/live", "/ready", "/health", "/nowhere"])
async def test_every_response_has_the_security_headers(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "tonwatch"


@pytest.mark.parametrize(
    ("accepts", "zipped"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/health"])
async def test_gzip_where_it_is_accepted(
    client: Client, scene: Scene, path: str, accepts: str, zipped: bool
) -> None:
    scene.healthy()
    response = await client.get(path, headers={"Accept-Encoding": accepts}, auto_decompress=False)
    body = await response.read()
    assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert (gzip.decompress(body) if zipped else body)[:1] in {b"#", b"{"}


class TestInternalErrors:
    """A bug costs one response, is counted by component, and its text goes to the log only."""

    async def test_a_failing_page(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.healthy()
        with monkeypatch.context() as patch, capture_logs() as lines:
            patch.setattr(health_document, "document", broken)
            for _ in range(3):
                response = await client.get("/health")
                text = "internal error; see tonwatch's log\n"
                assert (response.status, await response.text()) == (500, text)
            assert (await client.get("/metrics")).status == 200
        [line] = lines
        assert (line["component"], line["part"]) == ("http", "/health")
        assert line["exception"].endswith("RuntimeError: the api key is hunter2\n")
        metrics = await (await client.get("/metrics")).text()
        assert 'tonwatch_internal_errors_total{component="http"} 3.0' in metrics

    async def test_the_document_names_the_failed_component(
        self, client: Client, scene: Scene
    ) -> None:
        scene.healthy()
        for seconds in (0.0, 3.0):
            scene.clock.advance(seconds)
            scene.watcher.errors.failed(Component.PROBES, "head", RuntimeError("hunter2"))
        scene.watcher.evaluate()
        document = json.loads(await (await client.get("/health")).text())
        assert document["status"] == "warn"
        [error] = document["internal_errors"]
        assert error == {
            "component": "probes",
            "count": 2,
            "since": "2027-01-15T08:00:15Z",
            "last": "2027-01-15T08:00:18Z",
            "ongoing": True,
        }

    async def test_the_page_names_the_failed_component(self, client: Client, scene: Scene) -> None:
        scene.healthy()
        scene.watcher.errors.failed(Component.JUDGE, "it", RuntimeError("hunter2"))
        text = await (await client.get("/health?format=html")).text()
        assert "tonwatch itself has a bug." in text
        assert "<code>judge</code> failed once, at" in text
        assert "Degraded" in text
        assert "hunter2" not in text
        assert "RuntimeError" not in text

    async def test_a_past_failure_is_listed_and_is_no_warning(
        self, client: Client, scene: Scene
    ) -> None:
        scene.healthy()
        for _ in range(2):
            scene.watcher.errors.failed(Component.LOG, "", RuntimeError("hunter2"))
        scene.clock.advance(QUIET)
        scene.watcher.errors.worked(Component.LOG)
        scene.healthy()
        document = json.loads(await (await client.get("/health?format=json")).text())
        assert document["status"] == "pass"
        assert [(e["count"], e["ongoing"]) for e in document["internal_errors"]] == [(2, False)]
        text = await (await client.get("/health?format=html")).text()
        assert "itself has a bug" not in text
        assert "its log failed 2 times, last at" in text

    async def test_a_failing_response_hook(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A response without some of its headers is better than none."""
        monkeypatch.setattr(app, "_set_headers", broken)
        assert (await client.get("/ready")).status == 503
        assert (await client.get("/live")).status == 200
        assert scene.watcher.errors.counts()[Component.HTTP] == 2


class TestBusy:
    """Requests wait or get 503 while all renderers are busy; nothing else is delayed."""

    @pytest.fixture
    def gate(self) -> Iterator[threading.Event]:
        made = threading.Event()
        yield made
        made.set()

    @pytest.fixture
    def hanging(self, monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
        document = health_document.document

        def hang(*args: Any, **more: Any) -> Any:
            gate.wait()
            return document(*args, **more)

        monkeypatch.setattr(health_document, "document", hang)

    @pytest.mark.usefixtures("hanging")
    async def test_concurrent_requests_for_a_page_share_one_rendering(
        self, client: Client, scene: Scene, gate: threading.Event
    ) -> None:
        """They wait for one rendering, and delay no other request."""
        scene.healthy()
        readers = [asyncio.create_task(client.get("/health")) for _ in range(50)]
        for path in ("/metrics", "/live", "/ready"):
            assert (await client.get(path)).status == 200
        assert not any(reader.done() for reader in readers)
        gate.set()
        assert {answer.status for answer in await asyncio.gather(*readers)} == {200}

    @pytest.mark.usefixtures("hanging")
    async def test_more_kinds_of_pages_than_renderers(
        self, client: Client, scene: Scene, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.healthy()
        made = itertools.count()
        monkeypatch.setattr(app, "takes_gzip", lambda _: next(made))  # each is another kind
        readers = [asyncio.create_task(client.get("/health")) for _ in range(50)]
        await until(lambda: sum(reader.done() for reader in readers) >= 16)
        gate.set()
        answers = await asyncio.gather(*readers)
        assert {answer.status for answer in answers} == {200, 503}
        away = [answer for answer in answers if answer.status == 503]
        assert all(answer.headers["Retry-After"] == "5" for answer in away)
        assert await away[0].text() == "busy; try again in 5 s\n"
        assert sum(scene.watcher.errors.counts().values()) == 0, "that is no bug"

    @pytest.mark.usefixtures("hanging")
    async def test_a_rendering_that_never_ends(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app, "WITHIN", 0.05)
        response = await client.get("/health")
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert scene.watcher.errors.counts()[Component.HTTP] == 1

    async def test_a_hanging_rendering_does_not_stop_the_next(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
    ) -> None:
        scene.healthy()
        document, hangs = health_document.document, iter([True])

        def once(*args: Any, **more: Any) -> Any:
            if next(hangs, False):
                gate.wait()
            return document(*args, **more)

        monkeypatch.setattr(health_document, "document", once)
        with monkeypatch.context() as patched:
            patched.setattr(app, "WITHIN", 0.05)
            assert (await client.get("/health")).status == 503
        assert (await client.get("/health")).status == 200

    @pytest.mark.usefixtures("hanging")
    async def test_requests_fail_at_once_while_all_renderers_hang(
        self, client: Client, scene: Scene, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.healthy()
        with monkeypatch.context() as patched:
            patched.setattr(app, "WITHIN", 0.05)
            for _ in range(2):
                assert (await client.get("/health")).status == 503
                await asyncio.sleep(0)
        monkeypatch.setattr(app, "WITHIN", 3600.0)
        async with asyncio.timeout(10):
            assert (await client.get("/health")).status == 503
        assert scene.watcher.errors.counts()[Component.HTTP] == 2, "busy is no further failure"
        gate.set()

    async def test_metrics_recover_from_a_hanging_scrape(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
    ) -> None:
        """As often as there are spare threads."""
        scene.healthy()
        hangs = iter([True] * 3)

        def sources(context: ScrapeContext) -> Any:
            if next(hangs, False):
                gate.wait()
            return catalogue.CHAIN.sources(context)

        patched = replace(catalogue.CHAIN, sources=sources)
        monkeypatch.setattr(catalogue, "GROUPS", (patched, *catalogue.GROUPS[1:]))
        with monkeypatch.context() as patch:
            patch.setattr(app, "SCRAPE_HANGS", 0.05)
            patch.setattr(app, "WITHIN", 0.1)
            for _ in range(3):
                assert (await client.get("/metrics")).status == 503
        assert (await client.get("/metrics")).status == 200

    async def test_a_hanging_scrape_does_not_delay_pages(
        self, client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
    ) -> None:
        scene.healthy()
        monkeypatch.setattr(MetricsCollector, "write", lambda *_: gate.wait())
        with monkeypatch.context() as patched:
            patched.setattr(app, "WITHIN", 0.05)
            assert (await client.get("/metrics")).status == 503
        assert (await client.get("/health")).status == 200


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("the api key is hunter2")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_requests_change_nothing(client: Client, scene: Scene) -> None:
    """No request evaluates the store or probes a target."""
    scene.healthy()
    view = scene.watcher.view
    scene.fail(NODE, Reason.CONNECT_REFUSED)
    for path in ("/metrics", "/live", "/ready?verbose", "/health", "/health?format=html"):
        await (await client.get(path)).read()
    assert scene.watcher.view is view


async def test_the_content_security_policy_forbids_everything(client: Client) -> None:
    response = await client.get("/health", headers={"Accept": BROWSER})
    policy = response.headers["Content-Security-Policy"]
    assert policy == page.content_security_policy()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    text = await response.text()
    assert "<script" not in text
    assert " style=" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
