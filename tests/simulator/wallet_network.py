"""A chain with wallets on a fake clock, and totals counted from its transactions."""

from collections.abc import Sequence

from tests.simulator.small_network import Clock
from tonwatch.simulator.chain.accounts import Accounts
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.contracts.contract import BreakableContract
from tonwatch.simulator.contracts.expected_totals import NATIVE, ExpectedTotals
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import INITIAL_BALANCE, INITIAL_JETTONS, Wallet
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.world.world import World
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.jettons import MoveKind, read_bounced, read_move
from tonwatch.ton.contracts.transactions import Transaction, parse_transaction

WALLETS = ("payroll", "refunds", "prizes", "rewards", "legacy", "batches")
"""One of each kind."""


class WalletNetwork:
    def __init__(
        self,
        wallets: Sequence[str] = WALLETS,
        contracts: Sequence[str] = (),
        payouts_per_minute: float = 0.0,
        seed: str = "network",
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
        """Produce the blocks of that time."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += self.chain.interval
            self.chain.advance()

    def wallet(self, name: str = "payroll") -> Wallet:
        return next(wallet for wallet in self.world.wallets if wallet.name == name)

    def set_fault(self, contract: BreakableContract, fault: Fault | None) -> None:
        contract.change_faults(*([contract.check(fault)] if fault is not None else []))

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


def expected_balances(network: WalletNetwork, name: str) -> tuple[int, int]:
    """Both balances as they follow from the expected totals."""
    native, jettons = (
        network.world.expected_totals[name][NATIVE],
        network.world.expected_totals[name][USDT],
    )
    coins = (
        INITIAL_BALANCE
        + native.received_amount
        + native.bounced_amount
        - native.sent_amount
        - native.fees_amount
    )
    return (
        coins,
        INITIAL_JETTONS + jettons.received_amount + jettons.bounced_amount - jettons.sent_amount,
    )


def count_native(transactions: Sequence[Transaction], own_jettons: Address) -> ExpectedTotals:
    """Totals of a wallet's own transactions."""
    totals = _common(transactions)
    for each in transactions:
        for sent in each.messages_out:
            totals.sent_amount += sent.value
            move = read_move(sent.body)
            own = sent.destination == own_jettons and move and move.kind == MoveKind.TRANSFER
            totals.sent_messages += not own
        incoming = each.message_in
        if incoming is not None and incoming.source is not None:
            if incoming.bounced:
                totals.bounced_amount += incoming.value
            else:
                totals.received_amount += incoming.value
    return totals


def count_jettons(transactions: Sequence[Transaction]) -> ExpectedTotals:
    """Totals of its jetton wallet's transactions."""
    totals = _common(transactions)
    for each in transactions:
        incoming = each.message_in
        if incoming is None or not (each.compute_ok and each.action_ok):
            continue
        move = (read_bounced if incoming.bounced else read_move)(incoming.body)
        match move.kind if move else None:
            case MoveKind.TRANSFER if move:
                totals.sent_amount += move.amount
                totals.sent_messages += 1
            case MoveKind.INTERNAL_TRANSFER if move and incoming.bounced:
                totals.bounced_amount += move.amount
            case MoveKind.INTERNAL_TRANSFER if move:
                totals.received_amount += move.amount
    return totals


def _common(transactions: Sequence[Transaction]) -> ExpectedTotals:
    totals = ExpectedTotals()
    for each in transactions:
        totals.transactions += 1
        totals.fees_amount += each.fees
        totals.skipped_messages += each.skipped_messages
        totals.bounced_messages += each.message_in is not None and each.message_in.bounced
        if each.skipped is not None:
            totals.compute_skipped[each.skipped] += 1
        elif not each.compute_ok:
            assert each.exit_code is not None
            totals.failed_transactions["compute", each.exit_code] += 1
        elif each.action_code is not None and not each.action_ok:
            totals.failed_transactions["action", each.action_code] += 1
    return totals
