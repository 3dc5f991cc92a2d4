"""Runs real Prometheus and Alertmanager, on free ports, in a directory of their own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from tests.e2e import shortened
from tests.e2e.webhook import TOKEN
from tests.programs import program

TICK: Final = "2s"
"""How often is scraped and judged: as often as two cores can bear with all rows at once."""

_STARTS_WITHIN: Final = 30.0
_ENDS_WITHIN: Final = 10.0
_GLANCE: Final = 1.0
"""Seconds."""

Labels = Mapping[str, str]


class Monitoring:
    """The two servers, once they run.

    Args:
        prometheus, alertmanager: their base URLs.
        targets: the file in which Prometheus finds what to scrape.
        session: to ask them with.
    """

    def __init__(
        self, prometheus: str, alertmanager: str, targets: Path, session: aiohttp.ClientSession
    ) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._targets = targets
        self._session = session
        self._scraped: dict[str, tuple[str, Labels]] = {}

    # What is scraped.

    def scrape(self, url: str, job: str, instance: str, **labels: str) -> None:
        """Scrape ``url`` from now on, as `instance` of `job`."""
        place = url.removeprefix("http://")
        self._scraped[instance] = place, {"job": job, "instance": instance, **labels}
        self._write()

    def forget(self, instance: str) -> None:
        """Stop scraping it: its series end, and its alerts with them."""
        self._scraped.pop(instance, None)
        self._write()

    def _write(self) -> None:
        found = [{"targets": [place], "labels": labels} for place, labels in self._scraped.values()]
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(found))
        written.replace(self._targets)

    # What they know.

    async def query(self, text: str) -> list[dict[str, Any]]:
        """What a query answers now, a sample for each series.

        Raises:
            ValueError: Prometheus does not take it; the text is its own.
        """
        return await self._ask("query", query=text)

    async def ever(self, text: str, start: float, end: float, step: float = 2.0) -> bool:
        """Whether a query has had any answer between two times, Unix seconds.

        Raises:
            ValueError: as `query`.
        """
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return bool(await self._ask("query_range", query=text, **times))

    async def alerts(self, instance: str) -> list[dict[str, Any]]:
        """What Alertmanager knows to be firing there, with its `status`."""
        url = f"{self._alertmanager}/api/v2/alerts"
        async with self._session.get(url, params={"filter": f'instance="{instance}"'}) as answer:
            answer.raise_for_status()
            alerts: list[dict[str, Any]] = await answer.json()
            return alerts

    async def until(self, text: str) -> None:
        """Wait until a query has an answer; the caller sets the deadline."""
        while not await self.query(text):
            await asyncio.sleep(_GLANCE)

    async def _ask(self, endpoint: str, **what: str) -> list[dict[str, Any]]:
        url = f"{self._prometheus}/api/v1/{endpoint}"
        async with self._session.post(url, data=what) as answer:
            answered = await answer.json()
        if answered["status"] != "success":
            raise ValueError(f"{what['query']}: {answered['error']}")
        result: list[dict[str, Any]] = answered["data"]["result"]
        return result


@asynccontextmanager
async def monitoring(home: Path, webhook: str) -> AsyncIterator[Monitoring]:
    """Both servers with the shipped rules and routes, cut short; they end with the block.

    Where one of them is not installed the test is skipped.

    Args:
        home: an empty directory.
        webhook: base URL of the notified webhook.
    """
    server, notifier = program("prometheus"), program("alertmanager")
    ports = free_ports(2)
    prometheus, alertmanager = (f"127.0.0.1:{port}" for port in ports)
    targets = home / "targets.json"
    targets.write_text("[]")
    secret = home / "token"
    secret.write_text(TOKEN)
    routing = shortened.alertmanager(webhook, secret)
    (home / "alertmanager.yaml").write_text(yaml.safe_dump(routing))
    for name, content in shortened.rule_files().items():
        (home / f"rules-{name}").write_text(yaml.safe_dump(content))
    (home / "prometheus.yaml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": TICK, "evaluation_interval": TICK},
                "rule_files": ["rules-*.yaml"],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
                "scrape_configs": [
                    {"job_name": "all", "file_sd_configs": [{"files": ["targets.json"]}]}
                ],
            }
        )
    )
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
        _running(
            home,
            notifier,
            "--config.file=alertmanager.yaml",
            "--storage.path=alertmanager",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ) as first,
        _running(
            home,
            server,
            "--config.file=prometheus.yaml",
            "--storage.tsdb.path=prometheus",
            f"--web.listen-address={prometheus}",
            "--rules.alert.resend-delay=5s",
        ) as second,
    ):
        for process, place in ((first, alertmanager), (second, prometheus)):
            await _ready(session, process, f"http://{place}/-/ready")
        yield Monitoring(f"http://{prometheus}", f"http://{alertmanager}", targets, session)


@asynccontextmanager
async def _running(
    home: Path, path: str, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with (home / f"{Path(path).name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            path, *arguments, cwd=home, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _ENDS_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(
    session: aiohttp.ClientSession, process: asyncio.subprocess.Process, url: str
) -> None:
    async with asyncio.timeout(_STARTS_WITHIN):
        while True:
            assert process.returncode is None, f"{url}: it has ended; see its log"
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(_GLANCE)


def free_ports(count: int) -> Sequence[int]:
    """Ports of the loopback interface that nobody listens on."""
    # Held together, so that they differ.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
