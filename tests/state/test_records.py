"""The record of incidents: what is asked for, and what is kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.state.sqlite import NAME, SqliteStore
from tonwatch.state.store import Changes, Retention

NETWORK: Final = bytes(range(32))


@pytest.fixture(params=["on disk", "in memory"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path if request.param == "on disk" else None)
    made.open()
    yield made
    made.close()


def incident(name: str, since: float, until: float | None = None, **fields: Any) -> Incident:
    values: dict[str, Any] = {
        "id": name,
        "network": NETWORK,
        "kind": IncidentKind.FINDING,
        "cause": "node_down",
        "since": since,
        "seen": since if until is None else until,
        "until": until,
    }
    return Incident(**values | fields)


WHOLE: Final = incident(
    "whole",
    10.5,
    20.25,
    cut_off=True,
    target="node",
    account="hot",
    others=("warm", "cold"),
    primary=False,
    sentence="node is down: 'quoted', and 1 line",
    impact="Nothing can be read.",
    evidence=("node down", "other ok"),
)


def found(store: SqliteStore, **query: Any) -> list[str]:
    asked = IncidentQuery(**{"network": NETWORK} | query)
    return [each.id for each in store.incidents(asked)]


@pytest.mark.parametrize("written", [WHOLE, incident("lasting", 1.0)], ids=lambda each: each.id)
def test_what_is_written_is_read(store: SqliteStore, written: Incident) -> None:
    store.write(Changes(incidents=[written]))
    assert store.incidents(IncidentQuery(network=NETWORK)) == [written]


def test_the_last_of_each_counts(store: SqliteStore) -> None:
    began = incident("one", 10.0)
    store.write(Changes(incidents=[began, replace(began, seen=20.0, sentence="worse")]))
    ended = replace(began, seen=30.0, until=30.0)
    store.write(Changes(incidents=[ended]))
    assert store.incidents(IncidentQuery(network=NETWORK)) == [ended]


def test_texts_that_no_encoding_has(store: SqliteStore) -> None:
    """A server may write anything, and it must not keep checkpoints from being saved."""
    store.write(Changes(incidents=[incident("one", 1.0, sentence="a\ud800b\0c")]))
    [read] = store.incidents(IncidentQuery(network=NETWORK))
    assert read.sentence == "a?b\0c"


RECORD: Final = [
    incident("down", 100.0, 200.0, target="node"),
    incident("slow", 150.0, 160.0, cause="node_slow", target="node"),
    incident("low", 250.0, cause="wallet_low", account="hot", others=("warm", "cold")),
    incident("named", 300.0, 400.0, kind=IncidentKind.DIAGNOSIS),
    incident("elsewhere", 300.0, 400.0, network=bytes(32)),
]

QUERIES: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "all, newest first": ({}, ["named", "low", "slow", "down"]),
    "of another network": ({"network": bytes(32)}, ["elsewhere"]),
    "the newest": ({"limit": 2}, ["named", "low"]),
    "that had begun": ({"end": 200.0}, ["slow", "down"]),
    "that lasted": ({"begin": 180.0, "end": 260.0}, ["low", "down"]),
    "that lasted when last seen": ({"begin": 250.0, "end": 299.0}, ["low"]),
    "findings": ({"kind": IncidentKind.FINDING}, ["low", "slow", "down"]),
    "diagnoses": ({"kind": IncidentKind.DIAGNOSIS}, ["named"]),
    "of a cause": ({"cause": "node_slow"}, ["slow"]),
    "of a target": ({"target": "node"}, ["slow", "down"]),
    "of part of a target's name": ({"target": "nod"}, []),
    "of a wallet": ({"account": "hot"}, ["low"]),
    "of a wallet among others": ({"account": "cold"}, ["low"]),
    "of part of a wallet's name": ({"account": "col"}, []),
    "that have ended": ({"ended": True}, ["named", "slow", "down"]),
    "several at once": ({"cause": "node_down", "target": "node", "begin": 100.0}, ["down"]),
}


@pytest.mark.parametrize(("query", "expected"), QUERIES.values(), ids=QUERIES.keys())
def test_queries(store: SqliteStore, query: dict[str, Any], expected: list[str]) -> None:
    store.write(Changes(incidents=RECORD))
    assert found(store, **query) == expected


RETENTIONS: Final[dict[str, tuple[Retention, list[str]]]] = {
    "all": (Retention(0.0, 100), ["named", "low", "slow", "down"]),
    "by time, but for those that last": (Retention(1000.0, 100), ["low"]),
    "to the second": (Retention(200.0, 100), ["named", "low", "down"]),
    "by number": (Retention(0.0, 3), ["named", "low"]),
    "by number, but for those that last": (Retention(0.0, 0), ["low"]),
}


@pytest.mark.parametrize(("retention", "left"), RETENTIONS.values(), ids=RETENTIONS.keys())
def test_retention(store: SqliteStore, retention: Retention, left: list[str]) -> None:
    """By number of all networks together: it is about room."""
    store.write(Changes(incidents=RECORD))
    store.write(Changes(retention=retention))
    assert found(store) == left


def test_those_that_last_end_with_the_process(tmp_path: Path) -> None:
    """At the next start, when they were last seen."""
    before = SqliteStore(tmp_path)
    lasting = incident("lasting", 10.0, seen=70.0)
    ended = incident("ended", 10.0, 20.0)
    before.write(Changes(incidents=[lasting, ended]))
    before.close()
    before.write(Changes())
    assert before.incidents(IncidentQuery(network=NETWORK))[1] == lasting, "it is the same process"
    before.close()
    after = SqliteStore(tmp_path)
    after.open()
    assert after.incidents(IncidentQuery(network=NETWORK)) == [
        ended,
        replace(lasting, until=70.0, cut_off=True),
    ]
    after.close()


def test_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.write(Changes(incidents=[WHOLE, incident("other", 1.0)]))
    store.close()
    content = (tmp_path / NAME).read_bytes()
    assert content.count(b"finding") == 2
    (tmp_path / NAME).write_bytes(content.replace(b"finding", b"f\xffnding", 1))
    assert len(found(store)) == 1
    store.close()
