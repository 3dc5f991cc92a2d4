"""What all have in common that can be told to misbehave: a name, and a fault or none."""

from abc import ABC, abstractmethod
from typing import ClassVar

from tonwatch.simulator.faults.fault import ActiveFault, Fault


class Breakable(ABC):
    """A server, a wallet or a contract of the simulated network.

    Args:
        name: what it is called in configs and over the control port.

    Attributes:
        fault: what is wrong now; None for nothing.
    """

    kind: ClassVar[str]
    can: ClassVar[frozenset[Fault]]

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: ActiveFault | None = None

    @property
    def supported(self) -> list[Fault]:
        """The faults that can be set here, in the enum's order."""
        return [fault for fault in Fault if fault in self.can]

    def suffers(self, fault: Fault) -> float | None:
        """The number of `fault` if that is what is wrong now; None if not."""
        return self.fault.value if self.fault is not None and self.fault.fault is fault else None

    def check(self, fault: Fault, value: float | None = None) -> ActiveFault:
        """What `set_fault` would set.

        Raises:
            ValueError: not supported here, or not with this number.
        """
        if fault not in self.supported:
            known = ", ".join(self.supported)
            raise ValueError(f"{self.name} ({self.kind}) cannot {fault}; it supports: {known}")
        return ActiveFault.of(fault, value)

    @abstractmethod
    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        """Misbehave from now on; replaces an earlier fault.

        Raises:
            ValueError: as `check`.
        """

    @abstractmethod
    async def clear_fault(self) -> None:
        """Behave again."""
