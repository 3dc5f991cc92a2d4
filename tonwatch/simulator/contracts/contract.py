"""What all simulated contracts have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from tonwatch.simulator.chain.accounts import SimAccount, extra_currencies, state_init
from tonwatch.simulator.chain.execution import Outcome, TransactionResult
from tonwatch.simulator.chain.get_methods import GetMethodResult
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.faults.breakable import Breakable, distinct
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus


class Contract(ABC):
    """A contract of the basechain.

    Args:
        code, data: its initial ones; they make its address.
        balance: its initial one, nanocoins.
        currencies: amounts of extra currencies, by id.

    Attributes:
        address: of its account.
        initial: its account at the start.
    """

    def __init__(
        self, code: Cell, data: Cell, balance: int, currencies: Mapping[int, int] | None = None
    ) -> None:
        self.address = Address(0, state_init(code, data).hash)
        self.initial = SimAccount(
            address=self.address,
            status=AccountStatus.ACTIVE,
            balance=balance,
            code=code,
            data=data,
            currencies=extra_currencies(currencies or {}),
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
    """A contract that can have faults.

    Attributes:
        applied_faults: the faults that its account shows; the next block applies `faults`.
        fault_changes: the contracts whose faults have changed since the last block.
    """

    applied_faults: frozenset[Fault] = frozenset()
    fault_changes: "dict[BreakableContract, None]"

    async def set_faults(self, *faults: ActiveFault) -> None:
        self.change_faults(*faults)

    def change_faults(self, *faults: ActiveFault) -> None:
        """Have these faults from the next block on."""
        self.faults = distinct(faults)
        self.fault_changes[self] = None

    def rewind(self, account: SimAccount) -> None:
        """Go on from an earlier state; the next block applies the faults again."""
        self.applied_faults = self.faults_of(account)
        self.fault_changes[self] = None

    @abstractmethod
    def faults_of(self, account: SimAccount) -> frozenset[Fault]:
        """The faults that an account shows."""
