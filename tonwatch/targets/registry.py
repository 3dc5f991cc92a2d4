"""The registered kinds of targets. A further kind is a line here."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tonwatch.config.target import Entry, TargetSection
from tonwatch.targets.kind import Kind
from tonwatch.targets.liteserver.kind import LiteServerKind
from tonwatch.targets.toncenter_v2.kind import ToncenterV2Kind

Kinds = Sequence[type[Kind[Any]]]

KINDS: Final[Kinds] = (LiteServerKind, ToncenterV2Kind)


def sections(kinds: Kinds = KINDS) -> tuple[type[Entry], ...]:
    """The possible entries of the configuration's lists of targets."""
    return tuple(entry for kind in kinds for entry in (kind.section, *kind.entries))


def kind_of(section: TargetSection, kinds: Iterable[type[Kind[Any]]]) -> type[Kind[Any]]:
    """The kind of a target.

    Raises:
        LookupError: none of `kinds`.
    """
    for kind in kinds:
        if type(section) is kind.section:
            return kind
    raise LookupError(f"no kind of target is configured by {type(section).__name__}")
