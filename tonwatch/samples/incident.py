"""Incidents: diagnoses and findings with their begin and end, and what is asked of their record."""

from dataclasses import dataclass
from enum import StrEnum


class IncidentKind(StrEnum):
    """What it is about."""

    DIAGNOSIS = "diagnosis"
    """A cause was named for all that was wrong, or that nothing was."""

    FINDING = "finding"
    """Something was wrong, whether it was named or explained by something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A diagnosis or a finding from its begin on; times in Unix seconds.

    Attributes:
        id: identifies it for ever.
        network: root hash of the network's zerostate.
        cause: its name.
        target: that it is about; empty where it is about all targets or a wallet.
        account: the wallet or contract that it is about; empty elsewhere.
        others: names of the accounts with the same problem, where it stands for many.
        since: when it began.
        seen: when it was last seen.
        until: when it ended; None while it lasts.
        cut_off: it lasted when tonwatch ended; `until` is when it was last seen.
        sentence: the last one, and of the evidence likewise.
    """

    id: str
    network: bytes
    kind: IncidentKind
    cause: str
    since: float
    seen: float
    until: float | None = None
    cut_off: bool = False
    target: str = ""
    account: str = ""
    others: tuple[str, ...] = ()
    primary: bool = True
    sentence: str = ""
    impact: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentQuery:
    """Which incidents; None and empty texts mean all.

    Attributes:
        network: root hash of the network's zerostate.
        begin: those that lasted then or later, Unix seconds.
        end: those that had begun by then, Unix seconds.
        account: also those that stand for it and others.
        ended: only those that have ended.
        limit: how many, the newest.
    """

    network: bytes
    begin: float | None = None
    end: float | None = None
    kind: IncidentKind | None = None
    cause: str = ""
    target: str = ""
    account: str = ""
    ended: bool = False
    limit: int = 100
