"""Kinds of servers are in the registry; a further one changes nothing else."""

from typing import ClassVar

import aiohttp
import pytest
from aiohttp import web

from tonwatch.simulator.control import Control
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.scenarios.scenario import Network, Scenario, Server, Step, play
from tonwatch.simulator.servers.http_provider import HTTP_FAULTS, HttpProvider
from tonwatch.simulator.servers.registry import SECTIONS, SERVERS, ServerSpec, specs


class Toy(HttpProvider):
    """A provider that returns the newest seqno."""

    kind: ClassVar = "toy"
    supported_faults: ClassVar = HTTP_FAULTS
    prefix: ClassVar = "/toy/"

    def answer(self, request: web.BaseRequest, body: bytes) -> tuple[int, str]:
        assert body == b""
        if self.over_limit():
            return 429, "{}"
        return 200, f'{{"path": "{request.path}", "seqno": {self.answering_view().head.seqno}}}'


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVERS, Toy.kind, Toy)


SCENARIO = Scenario(
    network=Network(liteservers=0, providers=("provider-1", Server(name="own", kind="toy"))),
    steps=(Step(set={"own": "throttle"}),),
)


@pytest.mark.usefixtures("toy")
async def test_a_further_kind_is_configured_served_and_has_faults() -> None:
    simulator = SCENARIO.simulator(backfill=0, automatic=False)
    async with simulator, Control(simulator) as control, aiohttp.ClientSession() as session:
        entry = simulator.config()["providers"][1]
        assert (entry["name"], entry["kind"], entry["role"]) == ("own", "toy", "reference")
        async with session.get(f"{entry['url']}/head") as response:
            answer = await response.json()
            assert answer == {"path": "/toy/head", "seqno": simulator.chain.head.seqno}
        await play(SCENARIO, simulator)
        async with session.get(f"{entry['url']}/head") as response:
            assert response.status == 429
        async with session.get(f"{control.url}/targets") as response:
            listed = {each["name"]: each for each in (await response.json())["targets"]}
        assert listed["own"]["kind"] == "toy"
        assert listed["own"]["faults"] == [{"fault": "throttle", "value": 0}]
        assert set(listed["own"]["supported"]) == HTTP_FAULTS
        with pytest.raises(ValueError, match=r"own \(toy\) cannot not_synced"):
            await simulator.set_fault("own", Fault.NOT_SYNCED)


@pytest.mark.parametrize("kind", SERVERS)
def test_every_kind_is_in_a_section_that_configurations_have(kind: str) -> None:
    assert SERVERS[kind].section in SECTIONS
    assert SERVERS[kind].kind == kind


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_its_default_kind(section: str) -> None:
    stem, kind = SECTIONS[section]
    assert SERVERS[kind].section == section
    assert specs(section, 2) == [ServerSpec(f"{stem}-1", kind), ServerSpec(f"{stem}-2", kind)]


@pytest.mark.parametrize(
    ("section", "kind", "known"),
    [
        ("providers", "liteserver", "toncenter-v2"),
        ("liteservers", "toncenter-v2", "liteserver"),
        ("providers", "toy", "toncenter-v2"),
    ],
)
def test_a_kind_that_is_not_there(section: str, kind: str, known: str) -> None:
    message = f"own: no kind '{kind}' in {section}; kinds are: {known}"
    with pytest.raises(ValueError, match=message):
        Simulator(**{section: [ServerSpec("own", kind)]})  # type: ignore[arg-type]  # by its name
