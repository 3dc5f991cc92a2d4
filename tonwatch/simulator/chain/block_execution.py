"""The execution of one basechain block: its transactions and its value flow."""

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.archive import Archive, SimTransaction
from tonwatch.simulator.chain.block_layout import BlockId, ValueFlow
from tonwatch.simulator.chain.execution import Outcome, TransactionResult, execute
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.ton.address import Address


class BlockExecution:
    """A block whose transactions are result one after another.

    Args:
        accounts: before the block.
        lt: logical time of the first transaction.
        now: its time, Unix seconds.

    Attributes:
        lt: logical time after the last transaction.
        now: as above.
    """

    def __init__(self, accounts: Accounts, lt: int, now: int) -> None:
        self.lt = lt
        self.now = now
        self._accounts = accounts
        self._changed: dict[Address, SimAccount] = {}
        self._transactions: list[tuple[SimAccount, TransactionResult]] = []
        self._imported = self._exported = self._fees = 0

    def account(self, address: Address) -> SimAccount:
        """An account after the transactions so far; it must exist."""
        account = self._changed.get(address) or self._accounts.get(address)
        assert account is not None
        return account

    def execute(
        self, message: SimMessage, outcome: Outcome, *, freeze: bool = False
    ) -> TransactionResult:
        """Execute a message; see `execution.execute`."""
        account = self.account(message.destination)
        result = execute(account, message, outcome, lt=self.lt, now=self.now, freeze=freeze)
        self.lt += 1 + len(result.messages)
        self._changed[account.address] = result.account
        self._transactions.append((account, result))
        self._imported += message.value + message.forward_fee
        self._exported += sum(sent.value + sent.forward_fee for sent in result.messages)
        self._fees += result.total_fees + message.forward_fee
        return result

    def result(self) -> tuple[Accounts, ValueFlow]:
        """All accounts after the block, and its value flow."""
        accounts = self._accounts.put(*self._changed.values())
        sums = self._imported, self._exported, self._fees
        return accounts, ValueFlow(self._accounts.total, accounts.total, *sums)

    def archive(self, archive: Archive, block: BlockId) -> None:
        """Archive the transactions under the id of the block."""
        for before, result in self._transactions:
            id_ = result.account.last
            assert id_ is not None
            transaction = SimTransaction(result.cell, id_, before.last, self.now, block)
            archive.add(before.address, transaction)
