"""Accounts of the simulated chain whose contracts do something."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tonwatch.simulator.accounts import SimAccount, state_init
from tonwatch.simulator.execution import Executed, Outcome
from tonwatch.simulator.letters import Letter
from tonwatch.simulator.methods import Answer
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus


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
