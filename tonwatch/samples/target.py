"""What is watched, as data: a target says itself what can be expected of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tonwatch.samples.sample import Probe
from tonwatch.ton.errors import Reason

Category = Literal["node", "provider"]
"""Who can mend it: whoever runs the node, or a provider of whom we are a client."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is watched.

    Attributes:
        name: as configured.
        kind: such as ``liteserver``.
        category: causes are named after it.
        role: whether readiness counts it.
        local: it is on this machine: reaching it takes no network.
        reasons: the probes that are made of it, and how each can end.
    """

    name: str
    kind: str
    category: Category
    role: Literal["primary", "reference"]
    local: bool = False
    reasons: Mapping[Probe, tuple[Reason, ...]] = field(default_factory=dict, hash=False)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The probes that are made of it."""
        return tuple(self.reasons)
