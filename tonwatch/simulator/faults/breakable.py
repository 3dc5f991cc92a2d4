"""What servers, wallets and contracts have in common: a name and faults."""

from abc import ABC, abstractmethod
from typing import ClassVar

from tonwatch.simulator.faults.fault import ActiveFault, Fault


class Breakable(ABC):
    """A target of faults: a server, a wallet or a contract of the simulated network.

    Args:
        name: what it is called in configs and over the control port.

    Attributes:
        kind: its kind's name.
        supported_faults: the faults that its kind declares.
        fault: the present one; None for none.
    """

    kind: ClassVar[str]
    supported_faults: ClassVar[frozenset[Fault]]

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: ActiveFault | None = None

    @property
    def supported(self) -> list[Fault]:
        """The faults that can be set, in the enum's order."""
        return [fault for fault in Fault if fault in self.supported_faults]

    def fault_value(self, fault: Fault) -> float | None:
        """The number of `fault` if it is the present one; None if not."""
        return self.fault.value if self.fault is not None and self.fault.fault is fault else None

    def check(self, fault: Fault, value: float | None = None) -> ActiveFault:
        """What `set_fault` would set.

        Raises:
            ValueError: the fault is not supported, or not with this number.
        """
        if fault not in self.supported:
            known = ", ".join(self.supported)
            raise ValueError(f"{self.name} ({self.kind}) cannot {fault}; it supports: {known}")
        return ActiveFault.of(fault, value)

    @abstractmethod
    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        """Set the fault; replaces an earlier one.

        Raises:
            ValueError: as `check`.
        """

    @abstractmethod
    async def clear_fault(self) -> None:
        """End the fault."""
