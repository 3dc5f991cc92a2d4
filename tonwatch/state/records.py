"""The record of incidents in the database."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.state.store import Retention

_COLUMNS: Final = (
    "id, network, kind, cause, since, seen, until, cut_off, target, account, others, is_primary,"
    " sentence, impact, evidence"
)


def write(connection: sqlite3.Connection, incidents: Iterable[Incident]) -> None:
    """Insert them, or what is new of them."""
    connection.executemany(
        f"INSERT OR REPLACE INTO incidents ({_COLUMNS}) VALUES"  # noqa: S608 - constant
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        map(_row, incidents),
    )


def cut_off(connection: sqlite3.Connection) -> None:
    """End those that lasted when tonwatch ended, with the time when they were last seen."""
    connection.execute("UPDATE incidents SET until = seen, cut_off = 1 WHERE until IS NULL")


def prune(connection: sqlite3.Connection, retention: Retention) -> None:
    """Delete what is not kept. Those that last are."""
    connection.execute("DELETE FROM incidents WHERE until < ?", (retention.since,))
    connection.execute(
        "DELETE FROM incidents WHERE until IS NOT NULL AND id IN"
        " (SELECT id FROM incidents ORDER BY since DESC LIMIT -1 OFFSET ?)",
        (retention.number,),
    )


def read(connection: sqlite3.Connection, query: IncidentQuery) -> list[Incident]:
    """Those of the record, the newest first; without what is damaged."""
    conditions: dict[str, object] = {"network = ?": query.network}
    if query.begin is not None:
        conditions["coalesce(until, seen) >= ?"] = query.begin
    if query.end is not None:
        conditions["since <= ?"] = query.end
    if query.kind is not None:
        conditions["kind = ?"] = query.kind
    if query.cause:
        conditions["cause = ?"] = query.cause
    if query.target:
        conditions["target = ?"] = query.target
    if query.account:
        conditions["instr(char(10) || account || char(10) || others || char(10), ?) > 0"] = (
            f"\n{query.account}\n"
        )
    where = " AND ".join(conditions) + (" AND until IS NOT NULL" if query.ended else "")
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM incidents WHERE {where}"  # noqa: S608 - only constants
        " ORDER BY since DESC, id LIMIT ?",
        (*conditions.values(), query.limit),
    )
    return [incident for row in rows if (incident := _incident(row)) is not None]


def _row(incident: Incident) -> tuple[object, ...]:
    texts = (incident.sentence, incident.impact, "\n".join(incident.evidence))
    return (
        incident.id,
        incident.network,
        incident.kind,
        incident.cause,
        incident.since,
        incident.seen,
        incident.until,
        incident.cut_off,
        incident.target,
        incident.account,
        "\n".join(incident.others),
        incident.primary,
        # What a server wrote may have what no encoding has.
        *(text.encode(errors="replace").decode() for text in texts),
    )


def _incident(row: Any) -> Incident | None:
    """An incident of its row; None where that is damaged."""
    ident, network, kind, cause, since, seen, until, *about = row
    off, target, account, others, primary, sentence, impact, evidence = about
    try:
        return Incident(
            id=str(ident),
            network=bytes(network),
            kind=IncidentKind(kind),
            cause=str(cause),
            since=float(since),
            seen=float(seen),
            until=None if until is None else float(until),
            cut_off=bool(off),
            target=str(target),
            account=str(account),
            others=tuple(str(others).split("\n")) if others else (),
            primary=bool(primary),
            sentence=str(sentence),
            impact=str(impact),
            evidence=tuple(str(evidence).split("\n")) if evidence else (),
        )
    except (ValueError, TypeError):
        return None
