"""A target, as data: its name, kind, role and probes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tonwatch.samples.sample import Probe
from tonwatch.ton.errors import Reason

Category = Literal["node", "provider"]
"""Who operates it: the user, or a provider."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target.

    Attributes:
        name: as configured.
        kind: such as ``liteserver``.
        category: causes are named after it.
        role: whether readiness counts it.
        local: it is on this machine, reached without a network.
        operator: targets with the same are one source where sources are counted; its name where
            it has no other.
        reasons: its probes, and how each can end.
    """

    name: str
    kind: str
    category: Category
    role: Literal["primary", "reference"]
    local: bool = False
    operator: str = ""
    reasons: Mapping[Probe, tuple[Reason, ...]] = field(default_factory=dict, hash=False)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Its probes."""
        return tuple(self.reasons)
