"""Accounts of the simulated chain whose contracts do something."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tonwatch.simulator.chain.accounts import SimAccount, state_init
from tonwatch.simulator.chain.execution import Executed, Outcome
from tonwatch.simulator.chain.get_methods import Answer
from tonwatch.simulator.chain.messages import Letter
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.ton.accounts import AccountStatus
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell


class Resident(ABC):
    """A contract.

    Args:
        code, data: what it starts with; they make its address.
        balance: nanocoins at the start.

    Attributes:
        address: where it lives.
        first: its account at the start.
    """

    def __init__(self, code: Cell, data: Cell, balance: int) -> None:
        self.address = Address(0, state_init(code, data).hash)
        self.first = SimAccount(
            address=self.address,
            status=AccountStatus.ACTIVE,
            balance=balance,
            code=code,
            data=data,
        )

    @abstractmethod
    def react(self, account: SimAccount, letter: Letter) -> Outcome:
        """What the contract makes of a message from another account."""

    def note(self, letter: Letter, outcome: Outcome, executed: Executed) -> None:  # noqa: B027
        """Book what has happened, where there are books."""

    @abstractmethod
    def answer(self, account: SimAccount, method: int, arguments: Sequence[int | Cell]) -> Answer:
        """What a get method of it answers, by number."""


class Actor(Resident, Breakable):
    """A contract that can have a fault.

    Attributes:
        shows: the fault that the chain already shows; the next block catches up with `fault`.
        waiting: gets this contract whenever its fault changes.
    """

    shows: Fault | None = None
    waiting: "dict[Actor, None]"

    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        self.change(self.check(fault, value))

    async def clear_fault(self) -> None:
        self.change(None)

    def change(self, fault: ActiveFault | None) -> None:
        """Have another fault from the next block on."""
        self.fault = fault
        self.waiting[self] = None
