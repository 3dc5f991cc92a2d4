"""What all simulated contracts have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tonwatch.simulator.chain.accounts import SimAccount, state_init
from tonwatch.simulator.chain.execution import Outcome, TransactionResult
from tonwatch.simulator.chain.get_methods import GetMethodResult
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus


class Contract(ABC):
    """A contract of the basechain.

    Args:
        code, data: its initial ones; they make its address.
        balance: its initial one, nanocoins.

    Attributes:
        address: of its account.
        initial: its account at the start.
    """

    def __init__(self, code: Cell, data: Cell, balance: int) -> None:
        self.address = Address(0, state_init(code, data).hash)
        self.initial = SimAccount(
            address=self.address,
            status=AccountStatus.ACTIVE,
            balance=balance,
            code=code,
            data=data,
        )

    @abstractmethod
    def receive_internal(self, account: SimAccount, message: SimMessage) -> Outcome:
        """What the contract does with a message from another account."""

    def count_transaction(  # noqa: B027 - most contracts count nothing
        self, message: SimMessage, outcome: Outcome, result: TransactionResult
    ) -> None:
        """Add a transaction to the contract's expected totals, if it has any."""

    @abstractmethod
    def run_get_method(
        self, account: SimAccount, method: int, arguments: Sequence[int | Cell]
    ) -> GetMethodResult:
        """Run the get method with that number."""


class BreakableContract(Contract, Breakable):
    """A contract that can have a fault.

    Attributes:
        applied_fault: the fault that its account shows; the next block applies `fault`.
        fault_changes: the contracts whose fault has changed since the last block.
    """

    applied_fault: Fault | None = None
    fault_changes: "dict[BreakableContract, None]"

    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        self.change_fault(self.check(fault, value))

    async def clear_fault(self) -> None:
        self.change_fault(None)

    def change_fault(self, fault: ActiveFault | None) -> None:
        """Have another fault, or none, from the next block on."""
        self.fault = fault
        self.fault_changes[self] = None
