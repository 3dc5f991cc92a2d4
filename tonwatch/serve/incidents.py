"""What /incidents answers: the record of incidents, also in the form of Grafana's annotations."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.serve.query import parsed
from tonwatch.watch.findings import Cause, runbook_of
from tonwatch.watch.sentences import rfc3339

MOST: Final = 1000
"""Incidents in one answer."""

VALID: Final = (
    "/incidents takes from=TIME, to=TIME, kind=finding|diagnosis|all, cause=, target=, wallet=,"
    f" limit= up to {MOST}, and format=json|annotations; a TIME is RFC 3339 or Unix time, in"
    " seconds or milliseconds"
)

_MILLISECONDS: Final = 100_000_000_000
"""Unix times from here on are in milliseconds: in seconds that is the year 5138."""

_NO_PROBLEM: Final = frozenset({Cause.STARTING, Cause.HEALTHY})


def _time(value: object) -> object:
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        # A plus sign in a query string is a space.
        at = datetime.fromisoformat(text.replace(" ", "+"))
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number >= _MILLISECONDS else number


_Time = Annotated[float, BeforeValidator(_time), Field(allow_inf_nan=False)]


class Question(BaseModel):
    """The query of /incidents.

    Attributes:
        begin: Unix seconds; those that lasted then or later.
        end: likewise; those that had begun by then.
        kind: findings, diagnoses or both.
        wallet: also of contracts, and those that stand for it and others.
        format: of the answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    begin: _Time | None = Field(None, alias="from")
    end: _Time | None = Field(None, alias="to")
    kind: Literal["finding", "diagnosis", "all"] = "finding"
    cause: str = ""
    target: str = ""
    wallet: str = ""
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    format: Literal["json", "annotations"] = "json"

    def query(self, network: bytes) -> IncidentQuery:
        """What is asked of the record.

        Args:
            network: root hash of the network's zerostate.
        """
        return IncidentQuery(
            network=network,
            begin=self.begin,
            end=self.end,
            kind=None if self.kind == "all" else IncidentKind(self.kind),
            cause=self.cause,
            target=self.target,
            account=self.wallet,
            limit=self.limit,
        )


def parse(query: Iterable[tuple[str, str]]) -> Question:
    """The question in a query string's names and values.

    Raises:
        ValueError: a name is unknown or given twice, or a value is invalid; names what is valid.
    """
    return parsed(Question, query, VALID)


def render(incidents: Sequence[Incident], question: Question, now: float) -> str:
    """The answer's body.

    Args:
        incidents: the newest first.
        question: for its format.
        now: where those that last end in annotations, Unix seconds.
    """
    if question.format == "annotations":
        annotations = [
            _annotation(each, now) for each in incidents if each.cause not in _NO_PROBLEM
        ]
        return _lines(annotations)
    content = _lines([_described(each) for each in incidents])
    return f'{{\n"incidents": {content.rstrip()}\n}}\n'


def _lines(values: Sequence[dict[str, Any]]) -> str:
    lines = ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    return f"[\n{lines}\n]\n" if values else "[]\n"


def _described(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "kind": incident.kind,
        "cause": incident.cause,
        "since": rfc3339(incident.since),
        "until": None if incident.until is None else rfc3339(incident.until),
        "seen": rfc3339(incident.seen),
        "cut_off": incident.cut_off,
        "target": incident.target or None,
        "account": incident.account or None,
        "others": incident.others,
        "primary": incident.primary,
        "sentence": incident.sentence,
        "impact": incident.impact or None,
        "runbook": runbook_of(incident.cause),
        "evidence": incident.evidence,
    }


def _annotation(incident: Incident, now: float) -> dict[str, Any]:
    """In the columns that Grafana knows: milliseconds, and tags with commas."""
    until = now if incident.until is None else incident.until
    names = (incident.cause, incident.target, incident.account)
    return {
        "time": round(incident.since * 1000),
        "timeEnd": round(max(until, incident.since) * 1000),
        "title": incident.cause,
        "text": incident.sentence,
        "tags": ",".join(name for name in names if name),
    }
