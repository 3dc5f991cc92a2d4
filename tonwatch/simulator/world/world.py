"""The simulated contracts and what happens to them in each block.

There are wallets that make payouts, a jetton, and contracts that can change their code. All other
accounts only fill the shard, or are `ExternalAccounts`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from tonwatch.simulator.chain import accounts as trees
from tonwatch.simulator.chain.accounts import Accounts, SimAccount, state_init
from tonwatch.simulator.chain.archive import Archive, SimTransaction
from tonwatch.simulator.chain.block_execution import BlockExecution
from tonwatch.simulator.chain.block_layout import BlockId
from tonwatch.simulator.chain.execution import Outcome
from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.chain.get_methods import (
    NO_CONTRACT,
    UNKNOWN_METHOD,
    GetMethodResult,
    method_id,
)
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.chain.world_protocol import BlockResult
from tonwatch.simulator.contracts.contract import BreakableContract, Contract
from tonwatch.simulator.contracts.expected_totals import NATIVE, ExpectedTotals
from tonwatch.simulator.contracts.jetton import DECIMALS, JettonMaster
from tonwatch.simulator.contracts.upgradable import UpgradableContract
from tonwatch.simulator.contracts.wallets.wallet import (
    COIN,
    INITIAL_BALANCE,
    INITIAL_JETTONS,
    Payout,
    Wallet,
)
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.world.external_accounts import SMALL_AMOUNT, ExternalAccounts
from tonwatch.simulator.world.mempool import Mempool
from tonwatch.simulator.world.payout_schedule import PayoutSchedule
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus, MethodResult
from tonwatch.ton.contracts.transactions import TransactionId

MOST_PAYOUTS: Final = 60
"""Scheduled payouts of one wallet in a minute."""

REFILL_BELOW: Final = INITIAL_BALANCE // 2
REFILL_JETTONS_BELOW: Final = INITIAL_JETTONS // 2
"""Balances below which a wallet is sent more."""

_EXTRA_PAYMENT_CHANCE: Final = 0.05
"""How often a wallet that makes a scheduled payout is sent some coins."""

_MOST_QUEUED: Final = 10
"""Payouts that wait for blocks; no more are scheduled meanwhile."""

_MOST_SENT: Final = 4096
"""Blocks whose messages are kept for a chain that is rewound."""

_MOST_EXTERNAL_FEE: Final = COIN // 100
"""Nanocoins that an external message costs at most."""

_UNFREEZE_GAS: Final = 309

_NOT_RUN: Final = Outcome(gas=0)


class World:
    """All contracts of a chain; a `WorldProtocol`.

    Args:
        seed: of the network; decides addresses, amounts and recipients.
        wallets: their names.
        contracts: names of contracts besides wallets.
        payouts_per_minute: scheduled payouts of each wallet, in the chain's time.
        currencies: extra currencies that every wallet holds: smallest units by id.

    Attributes:
        wallets, contracts: as above.
        master: of the jetton; None where there are no wallets.
        accounts: after the last block.
        expected_totals: what a watcher should count, by the wallet's and the asset's name.
    """

    def __init__(
        self,
        seed: str = "",
        *,
        wallets: Sequence[str] = (),
        contracts: Sequence[str] = (),
        payouts_per_minute: float = 0.0,
        currencies: Mapping[int, int] | None = None,
    ) -> None:
        if not 0 <= payouts_per_minute <= MOST_PAYOUTS:
            raise ValueError(f"payouts_per_minute must be from 0 to {MOST_PAYOUTS}")
        supply = INITIAL_JETTONS * len(wallets) * 1_000
        master = JettonMaster(hashlib.sha256(f"jetton of {seed}".encode()).digest(), supply)
        self.wallets = [
            Wallet(name, number, seed, master, currencies) for number, name in enumerate(wallets)
        ]
        self.contracts = [UpgradableContract(name, seed) for name in contracts]
        self.master = master if self.wallets else None
        self.expected_totals: dict[str, dict[str, ExpectedTotals]] = {
            wallet.name: wallet.expected_totals for wallet in self.wallets
        }
        self._wallets_by_name = {wallet.name: wallet for wallet in self.wallets}
        self._by_address = {contract.address: contract for contract in self._all_contracts()}
        self.accounts = trees.EMPTY
        if self._by_address:
            initial = (contract.initial for contract in self._by_address.values())
            self.accounts = trees.filler_accounts().put(*initial)
        self._external_accounts = ExternalAccounts(seed)
        self._schedule = PayoutSchedule(self.wallets, payouts_per_minute, seed)
        self._mempool = Mempool({each.address: each.receive_external for each in self.wallets})
        self._internal: list[SimMessage] = []  # of the next block
        self._sent: dict[int, list[SimMessage]] = {}  # the same after older blocks, by seqno
        self._paying: dict[Wallet, None] = {}
        self._fault_changes: dict[BreakableContract, None] = {}
        for contract in self.breakable:
            contract.fault_changes = self._fault_changes
        self._archive = Archive()
        self._block = BlockExecution(self.accounts, 0, 0)

    @property
    def breakable(self) -> list[BreakableContract]:
        """The contracts that can have faults."""
        return [*self.wallets, *self.contracts]

    def _all_contracts(self) -> list[Contract]:
        jettons = [wallet.jettons for wallet in self.wallets]
        return [*self.breakable, *jettons, *([self.master] if self.master is not None else [])]

    # Messages in.

    def pay(self, wallet: str, amount: int, asset: str = NATIVE) -> None:
        """Queue a payout to an external account; each wallet makes one payout a block.

        Args:
            wallet: its name.
            amount: in smallest units; the payout fails if the wallet has less.
            asset: ``native`` or ``usdt``.

        Raises:
            ValueError: there is no such wallet or asset, or the amount is negative.
        """
        known = wallet in self._wallets_by_name and asset in self.expected_totals[wallet]
        if not known or amount < 0:
            raise ValueError(f"cannot pay {amount} {asset} from {wallet!r}")
        self._queue(self._wallets_by_name[wallet], Payout(amount, asset))

    def add_external_message(self, accounts: Accounts, boc: bytes, now: float) -> None:
        """As `WorldProtocol.add_external_message`."""
        self._mempool.add(accounts, boc, now)

    # Queries.

    def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[SimTransaction]:
        """As `WorldProtocol.transactions`."""
        return self._archive.read(address, last, count)

    def run_method(
        self, accounts: Accounts, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        """As `WorldProtocol.run_method`."""
        return self.run_method_id(accounts.get(address), method_id(method), arguments).untyped()

    def run_method_id(
        self, account: SimAccount | None, method: int, arguments: Sequence[int | Cell]
    ) -> GetMethodResult:
        """As `WorldProtocol.run_method_id`."""
        if account is None or account.status is not AccountStatus.ACTIVE:
            return GetMethodResult(NO_CONTRACT)
        contract = self._by_address.get(account.address)
        if contract is None:
            return GetMethodResult(UNKNOWN_METHOD)
        return contract.run_get_method(account, method, arguments)

    # Blocks.

    def execute_block(self, start_lt: int, now: int) -> BlockResult | None:
        """As `WorldProtocol.execute_block`."""
        empty = not (self._internal or self._mempool or self._paying or self._fault_changes)
        if empty and now < self._schedule.next:
            return None
        self._block = BlockExecution(self.accounts, start_lt + 1, now)
        internal, self._internal = self._internal, []
        for message in internal:
            self._execute(message)
        for contract in list(self._fault_changes):
            self._apply_faults(contract)
        self._fault_changes.clear()
        for message in self._mempool.take():
            self._execute_external(message)
        for wallet in self._schedule.due(now):
            self._queue_scheduled(wallet)
        for wallet in list(self._paying):
            self._pay(wallet)
        self.accounts, flow = self._block.result()
        return BlockResult(self.accounts, self._block.lt, flow)

    def block_created(self, block: BlockId) -> None:
        """As `WorldProtocol.block_created`."""
        self._block.archive(self._archive, block)
        if self._internal:
            self._sent[block.seqno] = list(self._internal)
            if len(self._sent) > _MOST_SENT:
                del self._sent[next(iter(self._sent))]

    def rewind(self, accounts: Accounts, seqno: int) -> None:
        """As `WorldProtocol.rewind`; faults are applied again, `expected_totals` stay."""
        self.accounts = accounts
        self._archive.rewind(seqno)
        self._mempool.clear()
        self._internal = list(self._sent.get(seqno, ()))
        self._sent = {of: sent for of, sent in self._sent.items() if of <= seqno}
        self._paying.clear()
        for contract in self.breakable:
            account = accounts.get(contract.address)
            if account is not None:
                contract.rewind(account)

    # Transactions of a block.

    def _execute(
        self, message: SimMessage, outcome: Outcome | None = None, *, freeze: bool = False
    ) -> None:
        """Execute a message; the messages that it causes are of the next block."""
        contract = self._by_address[message.destination]
        account = self._block.account(message.destination)
        if outcome is None:
            active = account.status is AccountStatus.ACTIVE
            outcome = contract.receive_internal(account, message) if active else _NOT_RUN
        result = self._block.execute(message, outcome, freeze=freeze)
        contract.count_transaction(message, outcome, result)
        for sent in result.messages:
            simulated = sent.destination in self._by_address
            next_one = sent if simulated else self._external_accounts.response(sent, contract)
            if next_one is not None:
                self._internal.append(next_one)

    def _execute_external(self, message: SimMessage) -> None:
        """Execute a message of the mempool unless its wallet does not accept it any more."""
        wallet = self._by_address[message.destination]
        account = self._block.account(message.destination)
        if not isinstance(wallet, Wallet) or not _takes_external(account):
            return
        with suppress(ContractThrew):
            outcome = wallet.receive_external(account, message.body, self._block.now)
            self._execute(message, outcome)

    def _apply_faults(self, contract: BreakableContract) -> None:
        """Change a contract's account as its new faults, and the ends of others, want."""
        before, after = contract.applied_faults, frozenset(each.fault for each in contract.faults)
        contract.applied_faults = after
        ended, begun = before - after, after - before
        if not ended and not begun:
            return
        if isinstance(contract, UpgradableContract):
            self._internal.append(self._coins(contract, SMALL_AMOUNT))
            return
        assert isinstance(contract, Wallet)
        account = self._block.account(contract.address)
        if Fault.FROZEN in ended:
            unfreeze = self._coins(contract, SMALL_AMOUNT, contract.init)
            self._execute(unfreeze, Outcome(gas=_UNFREEZE_GAS))
        if Fault.DRAIN in ended:
            self._internal.append(self._coins(contract, INITIAL_BALANCE))
        if Fault.FROZEN in begun:
            contract.init = state_init(account.code, account.data)
            contract.queue.clear()
            self._execute(self._coins(contract, SMALL_AMOUNT), freeze=True)
        elif Fault.DRAIN in begun:
            self._queue(contract, Payout(None, NATIVE))

    # Payouts.

    def _queue_scheduled(self, wallet: Wallet) -> None:
        account = self._block.account(wallet.address)
        payout = self._schedule.payout(wallet, account.balance)
        queued = len(wallet.queue)
        if payout is None or not _takes_external(account) or queued >= _MOST_QUEUED:
            return
        self._queue(wallet, payout)
        drained = Fault.DRAIN in wallet.applied_faults
        if not drained and wallet.random.random() < _EXTRA_PAYMENT_CHANCE:
            amount = wallet.random.randint(SMALL_AMOUNT, COIN)
            self._internal.append(self._coins(wallet, amount))

    def _queue(self, wallet: Wallet, payout: Payout) -> None:
        wallet.queue.append(payout)
        self._paying[wallet] = None

    def _pay(self, wallet: Wallet) -> None:
        """Make the oldest queued payout; drop all where no node would take the message."""
        account = self._block.account(wallet.address)
        if wallet.queue and _takes_external(account):
            payout = wallet.queue.popleft()
            self._execute(*wallet.pay(account, payout, self._block.now))
            self._refill(wallet)
        else:
            wallet.queue.clear()
        if not wallet.queue:
            del self._paying[wallet]

    def _refill(self, wallet: Wallet) -> None:
        """Send coins or jettons to a wallet that has little, unless its fault is just that."""
        if Fault.DRAIN in wallet.applied_faults:
            return
        balance = self._block.account(wallet.address).balance
        if balance < REFILL_BELOW:
            missing = INITIAL_BALANCE - balance + wallet.random.randrange(COIN)
            self._internal.append(self._coins(wallet, missing))
        jettons = wallet.jettons
        balance = jettons.balance(self._block.account(jettons.address))
        if balance < REFILL_JETTONS_BELOW:
            missing = INITIAL_JETTONS - balance + wallet.random.randrange(10**DECIMALS)
            lt, now = self._block.lt - 1, self._block.now
            sent = self._external_accounts.send_jettons(jettons, missing, lt, now)
            self._internal.append(sent)

    def _coins(self, contract: Contract, value: int, init: Cell | None = None) -> SimMessage:
        lt, now = self._block.lt - 1, self._block.now
        return self._external_accounts.send_coins(contract, value, lt, now, init)


def _takes_external(account: SimAccount) -> bool:
    """Whether the account can execute an external message, and pay for it."""
    return account.status is AccountStatus.ACTIVE and account.balance >= _MOST_EXTERNAL_FEE
