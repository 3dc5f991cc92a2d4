"""The endpoints over real HTTP: statuses, bodies, negotiation, and what never leaks."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.serve.conftest import Client
from tests.serve.scraping import Scrape
from tests.serve.stage import NODE, Stage
from tonwatch.serve import health, page
from tonwatch.serve.metrics import Exposition
from tonwatch.serve.traffic import Refusal
from tonwatch.ton.errors import Reason

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def test_live_is_about_tonwatch_alone(client: Client, stage: Stage) -> None:
    stage.node_down()
    response = await client.get("/live")
    assert (response.status, await response.text()) == (200, "alive\n")


async def test_not_alive_once_the_watcher_stops(client: Client, stage: Stage) -> None:
    stage.healthy()
    stage.clock.advance(10)
    response = await client.get("/live?verbose")
    text = "[-]watcher stopped\nnot alive: tonwatch's own loop has stopped beating\n"
    assert (response.status, await response.text()) == (503, text)


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        pytest.param(BROWSER, "", "text/html", id="a browser"),
        pytest.param("*/*", "", "application/health+json", id="curl"),
        pytest.param("", "", "application/health+json", id="no preference"),
        pytest.param("application/json", "", "application/health+json", id="a program"),
        pytest.param(
            "application/json, text/html;q=0.5", "", "application/health+json", id="rather JSON"
        ),
        pytest.param("text/html;q=0", "", "application/health+json", id="anything but HTML"),
        pytest.param("text/html;q=x", "", "application/health+json", id="a broken weight"),
        pytest.param(BROWSER, "?format=json", "application/health+json", id="the page's own link"),
        pytest.param("*/*", "?format=html", "text/html", id="the page on request"),
    ],
)
async def test_health_is_a_page_for_browsers_and_json_for_all_else(
    client: Client, accept: str, query: str, kind: str
) -> None:
    response = await client.get(f"/health{query}", headers={"Accept": accept})
    assert response.content_type == kind
    assert response.charset == "utf-8"
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("happened", "status", "word"),
    [
        pytest.param(Stage.nothing, 200, "warn", id="starting"),
        pytest.param(Stage.healthy, 200, "pass", id="healthy"),
        pytest.param(Stage.node_down, 503, "fail", id="not ready"),
        pytest.param(
            lambda stage: (stage.healthy(), stage.clock.advance(10)), 503, "fail", id="hanging"
        ),
    ],
)
async def test_the_status_of_health(
    client: Client, stage: Stage, happened: Any, status: int, word: str
) -> None:
    happened(stage)
    response = await client.get("/health")
    assert (response.status, json.loads(await response.text())["status"]) == (status, word)


async def test_the_page_is_never_a_503(client: Client, stage: Stage) -> None:
    """Proxies put pages of their own in the place of a 503's."""
    stage.node_down()
    response = await client.get("/health", headers={"Accept": BROWSER})
    assert response.status == 200
    assert "node refuses connections" in await response.text()


async def test_the_root_leads_to_health(client: Client) -> None:
    response = await client.get("/", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "health")
    assert (await client.get("/")).url.path == "/health"


@pytest.mark.parametrize("path", ["/metrics", "/live", "/health"])
async def test_head_has_headers_and_no_body(client: Client, stage: Stage, path: str) -> None:
    stage.healthy()
    response = await client.head(path)
    assert (response.status, await response.read()) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(client: Client, method: str) -> None:
    response = await client.request(method, "/metrics", data=b"x")
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert await response.text() == "only GET and HEAD, on /metrics /live /ready /health\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_bodies_are_refused(client: Client, method: str) -> None:
    response = await client.request(method, "/health", data=b"x")
    assert response.status == 413
    assert await response.text() == ("GET takes no body\n" if method == "GET" else "")
    assert response.headers["Server"] == "tonwatch"


async def test_scrapes_of_one_moment_are_written_once(
    client: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = Exposition.write

    def counted(self: Exposition, accept: str) -> Any:
        written.append(accept)
        return write(self, accept)

    monkeypatch.setattr(Exposition, "write", counted)

    async def scrape(**headers: str) -> bytes:
        response = await client.get("/metrics", headers=headers, auto_decompress=False)
        return await response.read()

    stage.healthy()
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
async def test_other_paths_name_the_right_ones(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert response.content_type == "text/plain"
    assert await response.text() == "no such path; there are /metrics /live /ready /health\n"


@pytest.mark.parametrize("path", ["/metrics", "/live", "/ready", "/health", "/nowhere"])
async def test_every_answer_has_the_same_guards(client: Client, path: str) -> None:
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
    client: Client, stage: Stage, path: str, accepts: str, zipped: bool
) -> None:
    stage.healthy()
    response = await client.get(path, headers={"Accept-Encoding": accepts}, auto_decompress=False)
    body = await response.read()
    assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert (gzip.decompress(body) if zipped else body)[:1] in {b"#", b"{"}


async def test_an_error_of_ours_stays_inside(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the api key is hunter2")

    monkeypatch.setattr(health, "document", broken)
    response = await client.get("/health")
    assert (response.status, await response.text()) == (500, "internal error; see tonwatch's log\n")


async def test_asking_changes_nothing(client: Client, stage: Stage) -> None:
    """No request looks at the board anew, let alone at a target."""
    stage.healthy()
    view = stage.watcher.view
    stage.fail(NODE, Reason.CONNECT_REFUSED)
    for path in ("/metrics", "/live", "/ready?verbose", "/health", "/health?format=html"):
        await (await client.get(path)).read()
    assert stage.watcher.view is view


async def test_the_page_allows_itself_nothing(client: Client) -> None:
    response = await client.get("/health", headers={"Accept": BROWSER})
    policy = response.headers["Content-Security-Policy"]
    assert policy == page.content_security_policy()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    text = await response.text()
    assert "<script" not in text
    assert " style=" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
