"""What happens in one basechain block: transactions one after another, and their sums."""

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.archive import Archive, SimTransaction
from tonwatch.simulator.chain.block_layout import BlockId, Flow
from tonwatch.simulator.chain.execution import Executed, Outcome, execute
from tonwatch.simulator.chain.messages import Letter
from tonwatch.ton.address import Address


class Happening:
    """A block in the making.

    Args:
        accounts: before it.
        lt: logical time of the first transaction.
        now: its time, Unix seconds.

    Attributes:
        lt: logical time after all that has happened.
        now: this.
    """

    def __init__(self, accounts: Accounts, lt: int, now: int) -> None:
        self.lt = lt
        self.now = now
        self._accounts = accounts
        self._changed: dict[Address, SimAccount] = {}
        self._done: list[tuple[SimAccount, Executed]] = []
        self._imported = self._exported = self._fees = 0

    def account(self, address: Address) -> SimAccount:
        """An account as it is now; it must exist."""
        account = self._changed.get(address) or self._accounts.get(address)
        assert account is not None
        return account

    def execute(self, letter: Letter, outcome: Outcome, *, freeze: bool = False) -> Executed:
        """Carry out what a contract makes of a message; see `execution.execute`."""
        account = self.account(letter.destination)
        executed = execute(account, letter, outcome, lt=self.lt, now=self.now, freeze=freeze)
        self.lt += 1 + len(executed.letters)
        self._changed[account.address] = executed.account
        self._done.append((account, executed))
        self._imported += letter.value + letter.forward_fee
        self._exported += sum(sent.value + sent.forward_fee for sent in executed.letters)
        self._fees += executed.total_fees + letter.forward_fee
        return executed

    def after(self) -> tuple[Accounts, Flow]:
        """All accounts after the block, and what it has done with coins."""
        accounts = self._accounts.put(*self._changed.values())
        sums = self._imported, self._exported, self._fees
        return accounts, Flow(self._accounts.total, accounts.total, *sums)

    def keep(self, archive: Archive, block: BlockId) -> None:
        """Hand the transactions over, with the id that the block has got."""
        for before, executed in self._done:
            id_ = executed.account.last
            assert id_ is not None
            transaction = SimTransaction(executed.cell, id_, before.last, self.now, block)
            archive.add(before.address, transaction)
