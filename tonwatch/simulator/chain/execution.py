"""How a message becomes a transaction: its phases, fees and outbound messages.

What the contract does is given as an `Outcome`; the rest follows as in a node, with the fees of
the real basechain.

Source: the node's ``crypto/block/transaction.cpp``, and ``Transaction`` and
``TransactionDescr`` in its ``crypto/block/block.tlb``; prices are mainnet's of 2026.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tonwatch.simulator.chain import dictionary
from tonwatch.simulator.chain.accounts import SimAccount, Used, state_init, used_by
from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.messages import SimMessage, bounced_body
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId

GAS_PRICE: Final = 400
"""Nanocoins for a unit of gas."""

_LUMP, _BIT, _CELL = 400_000, 26_214_400, 2_621_440_000
"""Forward fee: nanocoins, and 65,536ths of them for each bit and cell below the first cell."""

_STORED_BIT, _STORED_CELL = 1, 500
"""Storage fee of a second, in 65,536ths of a nanocoin."""

_FIRST_PART: Final = 21_845
"""65,536ths of a forward fee that the sender's transaction collects."""

_GAS_LIMIT: Final = 1_000_000
_GAS_CREDIT: Final = 10_000
_OUT_OF_GAS: Final = -14
_NOT_ENOUGH_COINS: Final = 37

_STATUS: Final = {
    AccountStatus.UNINITIALIZED: 0b00,
    AccountStatus.FROZEN: 0b01,
    AccountStatus.ACTIVE: 0b10,
    AccountStatus.MISSING: 0b11,
}
_SKIPS: Final = {"no_state": 0b00, "no_gas": 0b10}


class SendAction(NamedTuple):
    """A message that a contract sends.

    Attributes:
        value: nanocoins; fees are paid on top.
        carry_value: mode 64: the value is that of the inbound message, less fees.
        ignore_errors: mode 2: the action is skipped where coins do not suffice.
    """

    destination: Address
    body: Cell
    value: int = 0
    bounce: bool = False
    carry_value: bool = False
    ignore_errors: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a contract does with a message.

    Attributes:
        gas: used.
        exit_code: of the compute phase; if it is not 0, all below is ignored.
        data, code: the new ones; None for no change.
        actions: the messages that it sends.
        action_code: result code of an action phase that fails; 0 for one that may succeed.
        jetton_change: ``sent``, ``received`` or ``returned``, and the amount by which a jetton
            balance changes; None where it does not.
    """

    gas: int
    exit_code: int = 0
    data: Cell | None = None
    code: Cell | None = None
    actions: tuple[SendAction, ...] = ()
    action_code: int = 0
    jetton_change: tuple[str, int] | None = None


class TransactionResult(NamedTuple):
    """A transaction and its effects.

    Attributes:
        cell: ``Transaction``.
        account: after it.
        messages: outbound ones, a bounced message included.
        total_fees: nanocoins, without the forward fees of `messages`.
        skipped: why the compute phase was skipped; None if it was not.
        exit_code: of the compute phase; None where it was skipped.
        action_code: result code of the action phase; None where there was none.
        unsent: actions that were skipped (mode 2).
    """

    cell: Cell
    account: SimAccount
    messages: tuple[SimMessage, ...]
    total_fees: int
    skipped: str | None
    exit_code: int | None
    action_code: int | None
    skipped_messages: int

    @property
    def succeeded(self) -> bool:
        """Compute phase and action phase have succeeded."""
        return self.exit_code == 0 and self.action_code == 0

    @property
    def fees(self) -> int:
        """Nanocoins that the account paid, with the forward fees of `messages`."""
        return self.total_fees + sum(message.forward_fee for message in self.messages)


def execute(
    account: SimAccount,
    message: SimMessage,
    outcome: Outcome,
    *,
    lt: int,
    now: int,
    freeze: bool = False,
) -> TransactionResult:
    """Execute `message`.

    Args:
        account: its destination; it can pay for an external message.
        outcome: what the contract does if it is run.
        lt: logical time, later than the message's and the account's own.
        now: Unix seconds.
        freeze: the storage phase freezes the account.
    """
    return _Execution(account, message, outcome, lt, now).run(freeze)


class _Execution:
    def __init__(
        self, account: SimAccount, message: SimMessage, outcome: Outcome, lt: int, now: int
    ) -> None:
        self.account, self.message, self.outcome = account, message, outcome
        self.lt, self.now = lt, now
        self.external = message.source is None
        self.balance = account.balance
        self.total_fees = 0
        self.status = account.status
        self.code, self.data = account.code, account.data
        self.frozen_hash = account.frozen_hash
        self.sent: list[SimMessage] = []
        self.skipped: str | None = None
        self.exit_code: int | None = None
        self.action_code: int | None = None
        self.skipped_messages = 0
        self.description = CellBuilder().uint(0, 4)

    def run(self, freeze: bool) -> TransactionResult:
        self.description.uint(not self.message.bounce and not self.external, 1)
        if self.external:
            self._pay(_forward_fee(_size(self.message)))
        self._store(freeze)
        self._credit()
        self._compute()
        action = self._act() if self.exit_code == 0 else None
        self.description.maybe_ref(action)
        aborted = self.exit_code != 0 or self.action_code != 0
        self.description.uint(aborted, 1)
        if self.exit_code != 0 and self.message.bounce:
            self._bounce()
        else:
            self.description.uint(0, 1)
        self.description.uint(0, 1)
        return self._finish()

    def _pay(self, fee: int) -> None:
        self.balance -= fee
        self.total_fees += fee

    def _store(self, freeze: bool) -> None:
        """``TrStoragePhase``."""
        used, since = self.account.used, self.account.last_paid
        seconds = max(self.now - since, 0) if since else 0
        rate = used.cells * _STORED_CELL + used.bits * _STORED_BIT
        fee = min(-(-rate * seconds >> 16), self.balance)
        self._pay(fee)
        self.description.uint(1, 1).coins(fee).uint(0, 1)
        if freeze:
            self.frozen_hash = state_init(self.code, self.data).hash
            self.status, self.code, self.data = AccountStatus.FROZEN, None, None
            self.description.uint(0b10, 2)
        else:
            self.description.uint(0, 1)

    def _credit(self) -> None:
        """``TrCreditPhase``."""
        if self.external:
            self.description.uint(0, 1)
            return
        self.balance += self.message.value
        self.description.uint(0b10, 2).currencies(self.message.value)

    def _compute(self) -> None:
        """``TrComputePhase``."""
        limit = _GAS_LIMIT if self.external else min(self.message.value // GAS_PRICE, _GAS_LIMIT)
        init = self.message.init if self.status is not AccountStatus.ACTIVE else None
        if limit == 0:
            self.skipped = "no_gas"
        elif self.status is not AccountStatus.ACTIVE and init is None:
            self.skipped = "no_state"
        if self.skipped is not None:
            self.description.uint(0, 1).uint(_SKIPS[self.skipped], 2)
            return
        gas, self.exit_code = self.outcome.gas, self.outcome.exit_code
        if gas > limit:
            gas, self.exit_code = limit, _OUT_OF_GAS
        self.gas_fee = gas * GAS_PRICE
        self._pay(self.gas_fee)
        if init is not None:
            self.status, (self.code, self.data) = AccountStatus.ACTIVE, init.refs
        more = CellBuilder().variable(gas, 3).variable(limit if not self.external else 0, 3)
        if self.external:
            more.uint(1, 1).variable(_GAS_CREDIT, 2)
        else:
            more.uint(0, 1)
        more.uint(0, 8).uint(self.exit_code, 32).uint(0, 1).uint(gas // 40, 32).take(bytes(64))
        success = self.exit_code == 0
        self.description.uint(1, 1).uint(success, 1).uint(init is not None, 1)
        self.description.uint(init is not None, 1).coins(self.gas_fee).ref(more.cell())

    def _act(self) -> Cell:
        """``TrActionPhase``; where it fails, only fees change the account."""
        outcome = self.outcome
        size, forward, first_parts = Used(0, 0), 0, 0
        left = self.balance
        messages: list[SimMessage] = []
        code = outcome.action_code
        for action in outcome.actions if not code else ():
            message = self._outgoing(action, len(messages))
            used = _size(message)
            fee = _forward_fee(used)
            first = fee * _FIRST_PART >> 16
            value = action.value
            cost = value + fee
            if action.carry_value:
                cost = self.message.value - self.gas_fee
                value = cost - fee
            if (value < 0 or cost > left) and action.ignore_errors:
                self.skipped_messages += 1
                continue
            if value < 0 or cost > left:
                code, messages = _NOT_ENOUGH_COINS, []
                break
            left -= cost
            messages.append(replace(message, value=value, forward_fee=fee - first))
            forward, first_parts = forward + fee, first_parts + first
            size = Used(size.cells + used.cells + 1, size.bits + used.bits)
        self.action_code = code
        spec = int(outcome.code is not None)
        if not code:
            self.balance, self.sent = left, messages
            self.total_fees += first_parts
            self.code, self.data = outcome.code or self.code, outcome.data or self.data
        else:
            forward = first_parts = self.skipped_messages = 0
            size = Used(0, 0)
        builder = (
            CellBuilder().uint(not code, 1).uint(1, 1).uint(code == _NOT_ENOUGH_COINS, 1).uint(0, 1)
        )
        for amount in (forward, first_parts):
            if amount:
                builder.uint(1, 1).coins(amount)
            else:
                builder.uint(0, 1)
        builder.uint(code, 32).uint(0, 1).uint(len(outcome.actions) + spec, 16)
        builder.uint(spec, 16).uint(self.skipped_messages, 16).uint(len(self.sent), 16).take(
            bytes(32)
        )
        return builder.variable(size.cells, 3).variable(size.bits, 3).cell()

    def _outgoing(self, action: SendAction, index: int) -> SimMessage:
        return SimMessage(
            source=self.account.address,
            destination=action.destination,
            body=action.body,
            value=action.value,
            bounce=action.bounce,
            lt=self.lt + 1 + index,
            time=self.now,
        )

    def _bounce(self) -> None:
        """``TrBouncePhase``: the message's value is returned, less fees."""
        assert self.message.source is not None
        message = self._outgoing(
            SendAction(self.message.source, bounced_body(self.message.body)), 0
        )
        size = _size(message)
        fee = _forward_fee(size)
        left = self.message.value - (self.gas_fee if self.exit_code is not None else 0)
        value = min(left, self.balance) - fee
        if value < 0:
            self.description.uint(0b101, 3)
        else:
            self.description.uint(0b11, 2)
        self.description.variable(size.cells, 3).variable(size.bits, 3)
        if value < 0:
            self.description.coins(fee)
            return
        first = fee * _FIRST_PART >> 16
        self.sent = [replace(message, value=value, bounced=True, forward_fee=fee - first)]
        self.balance -= value + fee
        self.total_fees += first
        self.description.coins(first).coins(fee - first)

    def _finish(self) -> TransactionResult:
        before = self.account
        after = replace(
            before,
            status=self.status,
            balance=self.balance,
            code=self.code,
            data=self.data,
            last_paid=self.now,
            end_lt=self.lt + 1 + len(self.sent),
            frozen_hash=self.frozen_hash,
        )
        messages = CellBuilder().maybe_ref(self.message.cell)
        out = [(index, message.cell) for index, message in enumerate(self.sent)]
        messages.maybe_ref(dictionary.hashmap(out, 15) if out else None)
        previous = before.last or TransactionId(0, bytes(32))
        update = CellBuilder().uint(0x72, 8).take(before.cell.hash).take(after.cell.hash).cell()
        builder = CellBuilder().uint(0b0111, 4).take(before.address.hash).uint(self.lt, 64)
        builder.take(previous.hash).uint(previous.lt, 64).uint(self.now, 32).uint(len(out), 15)
        builder.uint(_STATUS[before.status], 2).uint(_STATUS[after.status], 2)
        builder.ref(messages.cell()).currencies(self.total_fees)
        cell = builder.ref(update).ref(self.description.cell()).cell()
        return TransactionResult(
            cell,
            after.with_last(TransactionId(self.lt, cell.hash)),
            tuple(self.sent),
            self.total_fees,
            self.skipped,
            self.exit_code,
            self.action_code,
            self.skipped_messages,
        )


def _size(message: SimMessage) -> Used:
    """The size that a message is charged for: all but its first cell."""
    cells = bits = 0
    for ref in message.body.refs if message.inline else (message.body,):
        used = used_by(ref)
        cells, bits = cells + used.cells, bits + used.bits
    return Used(cells, bits)


def _forward_fee(size: Used) -> int:
    return _LUMP + (size.bits * _BIT + size.cells * _CELL + 0xFFFF >> 16)
