"""What a simulated chain and its servers need of the accounts and contracts on the chain."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.archive import SimTransaction
from tonwatch.simulator.chain.block_layout import BlockId, Flow
from tonwatch.simulator.chain.get_methods import Answer
from tonwatch.ton.accounts import MethodResult
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell
from tonwatch.ton.transactions import TransactionId


class Change(NamedTuple):
    """What the transactions of a block change.

    Attributes:
        accounts: after the block.
        end_lt: logical time after its last transaction.
        flow: its value flow.
    """

    accounts: Accounts
    end_lt: int
    flow: Flow


class WorldProtocol(Protocol):
    """The accounts of the basechain, their contracts and their transactions.

    Attributes:
        accounts: after the last block.
    """

    accounts: Accounts

    def step(self, start_lt: int, now: int) -> Change | None:
        """Execute the transactions of the next block; None where it has none.

        Args:
            start_lt: logical time of the block.
            now: its time, Unix seconds.
        """

    def included(self, block: BlockId) -> None:
        """Keep the last step's transactions under the id of their block."""

    def receive(self, accounts: Accounts, message: bytes, now: float) -> None:
        """Take an external message if the contract that it is for accepts it.

        Args:
            accounts: as the node has them that is asked.
            message: a bag of cells.
            now: Unix seconds.

        Raises:
            Rejected: it does not, or is no message, or was taken before; the text is the node's.
        """

    def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[SimTransaction]:
        """Up to `count` transactions of an account, from `last` on to older ones.

        Raises:
            KeyError: it has none at that logical time, or it is forgotten.
            ValueError: that transaction has another hash.
        """

    def run_method(
        self, accounts: Accounts, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        """The result of a contract's get method; exit code 11 for one that it does not have."""

    def ask(
        self, account: SimAccount | None, method: int, arguments: Sequence[int | Cell]
    ) -> Answer:
        """As `run_method`, with the method's number and typed results."""
