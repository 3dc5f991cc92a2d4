"""Accounts of the simulated chain whose contracts do something."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tonwatch.simulator.chain.accounts import SimAccount, state_init
from tonwatch.simulator.chain.execution import Executed, Outcome
from tonwatch.simulator.chain.get_methods import Answer
from tonwatch.simulator.chain.messages import Letter
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
