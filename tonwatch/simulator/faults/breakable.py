"""What servers, wallets, contracts and the chain have in common: a name and faults."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from tonwatch.simulator.faults.fault import ActiveFault, Fault


class Breakable(ABC):
    """A target of faults: a server, a wallet, a contract or the chain of the simulated network.

    Args:
        name: what it is called in configs and over the control port.

    Attributes:
        kind: its kind's name.
        supported_faults: the faults that its kind declares.
        faults: the present ones.
    """

    kind: ClassVar[str]
    supported_faults: ClassVar[frozenset[Fault]]

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: tuple[ActiveFault, ...] = ()

    @property
    def supported(self) -> list[Fault]:
        """The faults that can be set, in the enum's order."""
        return [fault for fault in Fault if fault in self.supported_faults]

    def fault_value(self, fault: Fault) -> float | None:
        """The number of `fault` if it is among the present ones; None if not."""
        return next((active.value for active in self.faults if active.fault is fault), None)

    def has_fault(self, *faults: Fault) -> bool:
        """Whether one of these is among the present ones."""
        return any(active.fault in faults for active in self.faults)

    def check(self, fault: Fault, value: float | None = None) -> ActiveFault:
        """What `set_fault` would set.

        Raises:
            ValueError: the fault is not supported, or not with this number.
        """
        if fault not in self.supported:
            known = ", ".join(self.supported)
            raise ValueError(f"{self.name} ({self.kind}) cannot {fault}; it supports: {known}")
        return ActiveFault.of(fault, value)

    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        """Have this one fault; replaces all earlier ones.

        Raises:
            ValueError: as `check`.
            OSError: as `set_faults`.
        """
        await self.set_faults(self.check(fault, value))

    async def clear_faults(self) -> None:
        """End all faults.

        Raises:
            OSError: as `set_faults`.
        """
        await self.set_faults()

    @abstractmethod
    async def set_faults(self, *faults: ActiveFault) -> None:
        """Have these faults, which `check` has returned; replaces all earlier ones.

        Raises:
            ValueError: a fault is among them twice.
            OSError: the port was taken meanwhile, or cannot be made unreachable here.
        """


def distinct(faults: Sequence[ActiveFault]) -> tuple[ActiveFault, ...]:
    """The same faults.

    Raises:
        ValueError: one is among them twice.
    """
    names = [active.fault for active in faults]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is there twice")
    return tuple(faults)
