"""/incidents over real HTTP: filters, Grafana's annotations, and a record that cannot be read."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.serve.conftest import Client, served
from tests.serve.scene import Scene
from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.serve.incidents import MOST, VALID
from tonwatch.state.store import DiskHangs
from tonwatch.system.executors import Busy
from tonwatch.ton.networks import ZEROSTATES

MAINNET: Final = ZEROSTATES["mainnet"]

DOWN: Final = Incident(
    id="finding:node_down:node::9e3f5ac1:1800000000500",
    network=MAINNET,
    kind=IncidentKind.FINDING,
    cause="node_down",
    target="node",
    since=1_800_000_000.5,
    seen=1_800_000_060.0,
    until=1_800_000_060.0,
    sentence="node does not answer.",
    impact="Nothing can be read.",
    evidence=("node: down", "other: ok"),
)
LOW: Final = Incident(
    id="finding:wallet_low::hot:9e3f5ac1:1800000100000",
    network=MAINNET,
    kind=IncidentKind.FINDING,
    cause="wallet_low",
    account="hot",
    others=("warm",),
    since=1_800_000_100.0,
    seen=1_800_000_130.0,
    sentence='hot is low: 12 of 250 TON </script> "ü"',
)
CUT_OFF: Final = Incident(
    id="diagnosis:gone:::9e3f5ac1:1700000000000",
    network=MAINNET,
    kind=IncidentKind.DIAGNOSIS,
    cause="cause_of_another_version",
    since=1_700_000_000.0,
    seen=1_700_000_005.0,
    until=1_700_000_005.0,
    cut_off=True,
)
WELL: Final = Incident(
    id="diagnosis:healthy:::9e3f5ac1:1700000005000",
    network=MAINNET,
    kind=IncidentKind.DIAGNOSIS,
    cause="healthy",
    since=1_700_000_005.0,
    seen=1_700_000_009.0,
    until=1_700_000_009.0,
)


@dataclass
class Recorded:
    """A record that notes what it is asked."""

    incidents_of: list[Incident] = field(default_factory=lambda: [LOW, DOWN, WELL, CUT_OFF])
    asked: list[IncidentQuery] = field(default_factory=list)
    failure: Exception | None = None

    async def incidents(self, query: IncidentQuery) -> list[Incident]:
        self.asked.append(query)
        if self.failure is not None:
            raise self.failure
        return self.incidents_of


@pytest.fixture
def record() -> Recorded:
    return Recorded()


@pytest.fixture
async def client(scene: Scene, record: Recorded) -> AsyncIterator[Client]:
    async with served(scene, record) as made:
        yield made


async def test_the_document(client: Client) -> None:
    response = await client.get("/incidents")
    assert response.status == 200
    assert response.content_type == "application/json"
    low, down, _, cut_off = json.loads(await response.text())["incidents"]
    assert down == {
        "id": DOWN.id,
        "kind": "finding",
        "cause": "node_down",
        "since": "2027-01-15T08:00:00Z",
        "until": "2027-01-15T08:01:00Z",
        "seen": "2027-01-15T08:01:00Z",
        "cut_off": False,
        "target": "node",
        "account": None,
        "others": [],
        "primary": True,
        "sentence": "node does not answer.",
        "impact": "Nothing can be read.",
        "runbook": "runbooks/TonwatchNodeDown.md",
        "evidence": ["node: down", "other: ok"],
    }
    assert (low["until"], low["account"], low["others"]) == (None, "hot", ["warm"])
    assert low["sentence"] == LOW.sentence
    assert (cut_off["cut_off"], cut_off["runbook"]) == (True, None)


async def test_annotations(client: Client, scene: Scene) -> None:
    """What lasts ends now; that all is well is none."""
    response = await client.get("/incidents?kind=all&format=annotations")
    assert json.loads(await response.text()) == [
        {
            "time": 1_800_000_100_000,
            "timeEnd": max(1_800_000_100_000, round(scene.clock.wall() * 1000)),
            "title": "wallet_low",
            "text": LOW.sentence,
            "tags": "wallet_low,hot",
        },
        {
            "time": 1_800_000_000_500,
            "timeEnd": 1_800_000_060_000,
            "title": "node_down",
            "text": DOWN.sentence,
            "tags": "node_down,node",
        },
        {
            "time": 1_700_000_000_000,
            "timeEnd": 1_700_000_005_000,
            "title": "cause_of_another_version",
            "text": "",
            "tags": "cause_of_another_version",
        },
    ]


def asked(**fields: Any) -> IncidentQuery:
    values: dict[str, Any] = {"network": MAINNET, "kind": IncidentKind.FINDING}
    return IncidentQuery(**values | fields)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", asked()),
        ("limit=7", asked(limit=7)),
        ("kind=all", asked(kind=None)),
        ("kind=diagnosis", asked(kind=IncidentKind.DIAGNOSIS)),
        ("cause=node_down&target=node", asked(cause="node_down", target="node")),
        ("wallet=hot", asked(account="hot")),
        ("from=1800000000", asked(begin=1_800_000_000.0)),
        ("from=1800000000000&to=1800000060500", asked(begin=1.8e9, end=1_800_000_060.5)),
        ("from=2027-01-15T08:00:00Z", asked(begin=1_800_000_000.0)),
        ("from=2027-01-15T10:00:00%2B02:00", asked(begin=1_800_000_000.0)),
        ("from=2027-01-15T10:00:00+02:00", asked(begin=1_800_000_000.0)),
        ("to=2027-01-15", asked(end=1_799_971_200.0)),
    ],
)
async def test_queries(
    client: Client, record: Recorded, query: str, expected: IncidentQuery
) -> None:
    response = await client.get(f"/incidents?{query}")
    assert response.status == 200
    assert record.asked == [expected]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limit=0", "limit: Input should be greater than or equal to 1"),
        (f"limit={MOST + 1}", f"limit: Input should be less than or equal to {MOST}"),
        ("from=yesterday", "from: Invalid isoformat string: 'yesterday'"),
        ("from=nan", "from: Input should be a finite number"),
        ("to=", "to: Invalid isoformat string: ''"),
        ("kind=alert", "kind: Input should be 'finding', 'diagnosis' or 'all'"),
        ("format=xml", "format: Input should be 'json' or 'annotations'"),
        ("account=hot", "'account' is no parameter"),
        ("begin=1", "'begin' is no parameter"),
        ("cause=a&cause=b", "cause is given more than once"),
    ],
)
async def test_an_invalid_query_gets_the_valid_parameters(
    client: Client, record: Recorded, query: str, problem: str
) -> None:
    response = await client.get(f"/incidents?{query}")
    assert response.status == 400
    assert await response.text() == f"{problem}; {VALID}\n"
    assert record.asked == []


async def test_none(client: Client, record: Recorded) -> None:
    record.incidents_of = []
    assert await (await client.get("/incidents")).json() == {"incidents": []}
    assert await (await client.get("/incidents?format=annotations")).json() == []


async def test_a_record_that_cannot_be_read(client: Client, record: Recorded) -> None:
    record.failure = DiskHangs("the disk does not answer")
    response = await client.get("/incidents")
    assert response.status == 503
    assert await response.text() == "the record cannot be read: the disk does not answer\n"


async def test_too_many_readers(client: Client, record: Recorded) -> None:
    record.failure = Busy("too often")
    response = await client.get("/incidents")
    assert (response.status, await response.text()) == (503, "busy; try again in 5 s\n")
    assert response.headers["Retry-After"] == "5"


async def test_large_answers_are_compressed(client: Client, record: Recorded) -> None:
    record.incidents_of = [DOWN] * 100
    response = await client.get("/incidents", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert len((await response.json())["incidents"]) == 100
