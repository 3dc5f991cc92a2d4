"""What a simulated chain and its servers need of the accounts and contracts on the chain."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.archive import SimTransaction
from tonwatch.simulator.chain.block_layout import BlockId, ValueFlow
from tonwatch.simulator.chain.get_methods import GetMethodResult
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import MethodResult
from tonwatch.ton.contracts.transactions import TransactionId


class BlockResult(NamedTuple):
    """What the transactions of a block change.

    Attributes:
        accounts: after the block.
        end_lt: logical time after its last transaction.
        flow: its value flow.
    """

    accounts: Accounts
    end_lt: int
    flow: ValueFlow


class WorldProtocol(Protocol):
    """The accounts of the basechain, their contracts and their transactions.

    Attributes:
        accounts: after the last block.
    """

    accounts: Accounts

    def execute_block(self, start_lt: int, now: int) -> BlockResult | None:
        """Execute the transactions of the next block; None where it has none.

        Args:
            start_lt: logical time of the block.
            now: its time, Unix seconds.
        """

    def block_created(self, block: BlockId) -> None:
        """Archive the last executed block's transactions under the id of the block."""

    def rewind(self, accounts: Accounts, seqno: int) -> None:
        """Forget what happened after the basechain block `seqno`.

        Args:
            accounts: after that block.
            seqno: of it.
        """

    def add_external_message(self, accounts: Accounts, boc: bytes, now: float) -> None:
        """Put an external message into the mempool if its contract accepts it.

        Args:
            accounts: as the asked node has them.
            boc: the message as a bag of cells.
            now: Unix seconds.

        Raises:
            Rejected: the contract does not accept it, it is no message, or it is a duplicate; the
                text is the node's.
        """

    def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[SimTransaction]:
        """Up to `count` transactions of an account, from `last` on to older ones.

        Raises:
            KeyError: there is none at that logical time, or it is not kept any more.
            ValueError: that transaction has another hash.
        """

    def run_method(
        self, accounts: Accounts, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        """The result of a contract's get method; exit code 11 for one that it does not have."""

    def run_method_id(
        self, account: SimAccount | None, method: int, arguments: Sequence[int | Cell]
    ) -> GetMethodResult:
        """As `run_method`, with the method's number and typed results."""
