"""A chain with wallets on a fake clock, and an accountant who knows only its transactions."""

from collections.abc import Sequence

from tests.simulator.lab import Clock
from tonwatch.simulator.chain.accounts import Accounts
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.contracts.contract import Actor
from tonwatch.simulator.contracts.expected_totals import NATIVE, Book
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import JETTONS_AT_START, START, Wallet
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.world.world import World
from tonwatch.ton.address import Address
from tonwatch.ton.jettons import MoveKind, read_bounced, read_move
from tonwatch.ton.transactions import Transaction, parse_transaction

WALLETS = ("payroll", "refunds", "prizes", "rewards", "legacy", "batches")
"""One of each kind."""


class Town:
    def __init__(
        self,
        wallets: Sequence[str] = WALLETS,
        contracts: Sequence[str] = (),
        payouts_per_minute: float = 0.0,
        seed: str = "town",
    ) -> None:
        self.clock = Clock()
        self.world = World(
            seed, wallets=wallets, contracts=contracts, payouts_per_minute=payouts_per_minute
        )
        self.chain = Chain(seed, self.world, clock=self.clock)

    @property
    def accounts(self) -> Accounts:
        return self.world.accounts

    def run(self, seconds: float) -> None:
        """Let the chain go on."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += self.chain.interval
            self.chain.advance()

    def wallet(self, name: str = "payroll") -> Wallet:
        return next(wallet for wallet in self.world.wallets if wallet.name == name)

    def suffer(self, actor: Actor, fault: Fault | None) -> None:
        actor.change(actor.check(fault) if fault is not None else None)

    def balance(self, wallet: Wallet) -> int:
        """Nanocoins."""
        account = self.accounts.get(wallet.address)
        assert account is not None
        return account.balance

    def jettons(self, wallet: Wallet) -> int:
        account = self.accounts.get(wallet.jettons.address)
        assert account is not None
        return wallet.jettons.balance(account)

    def history(self, address: Address) -> list[Transaction]:
        """All transactions of an account, the oldest first."""
        account = self.accounts.get(address)
        if account is None or account.last is None:
            return []
        kept = self.world.transactions(address, account.last, 1_000_000)
        return [parse_transaction(each.cell) for each in reversed(kept)]


def balance_of_books(town: Town, name: str) -> tuple[int, int]:
    """Both balances as they follow from the books."""
    native, jettons = town.world.books[name][NATIVE], town.world.books[name][USDT]
    coins = START + native.received + native.returned - native.sent - native.fees
    return coins, JETTONS_AT_START + jettons.received + jettons.returned - jettons.sent


def count_native(transactions: Sequence[Transaction], own_jettons: Address) -> Book:
    """What a wallet's own transactions come to."""
    book = _common(transactions)
    for each in transactions:
        for sent in each.messages_out:
            book.sent += sent.value
            move = read_move(sent.body)
            own = sent.destination == own_jettons and move and move.kind == MoveKind.TRANSFER
            book.messages_sent += not own
        incoming = each.message_in
        if incoming is not None and incoming.source is not None:
            if incoming.bounced:
                book.returned += incoming.value
            else:
                book.received += incoming.value
    return book


def count_jettons(transactions: Sequence[Transaction]) -> Book:
    """What its jetton wallet's transactions come to."""
    book = _common(transactions)
    for each in transactions:
        incoming = each.message_in
        if incoming is None or not (each.compute_ok and each.action_ok):
            continue
        move = (read_bounced if incoming.bounced else read_move)(incoming.body)
        match move.kind if move else None:
            case MoveKind.TRANSFER if move:
                book.sent += move.amount
                book.messages_sent += 1
            case MoveKind.INTERNAL_TRANSFER if move and incoming.bounced:
                book.returned += move.amount
            case MoveKind.INTERNAL_TRANSFER if move:
                book.received += move.amount
    return book


def _common(transactions: Sequence[Transaction]) -> Book:
    book = Book()
    for each in transactions:
        book.transactions += 1
        book.fees += each.fees
        book.unsent += each.unsent
        book.bounced += each.message_in is not None and each.message_in.bounced
        if each.skipped is not None:
            book.skipped[each.skipped] += 1
        elif not each.compute_ok:
            assert each.exit_code is not None
            book.failures["compute", each.exit_code] += 1
        elif each.action_code is not None and not each.action_ok:
            book.failures["action", each.action_code] += 1
    return book
