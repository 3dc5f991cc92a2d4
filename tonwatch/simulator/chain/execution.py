"""How a message becomes a transaction: phases, fees, and what is sent on.

What contracts decide comes in as an `Outcome`; all else follows from it as it does in a
node, with the fees of a real basechain.

Source: the node's ``crypto/block/transaction.cpp``, and ``Transaction`` and
``TransactionDescr`` in its ``crypto/block/block.tlb``; prices are mainnet's of 2026.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tonwatch.simulator.chain import dictionary
from tonwatch.simulator.chain.accounts import SimAccount, Used, state_init, used_by
from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.simulator.chain.messages import Letter, bounced_body
from tonwatch.ton.accounts import AccountStatus
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell
from tonwatch.ton.transactions import TransactionId

GAS_PRICE: Final = 400
"""Nanocoins for a unit of gas."""

_LUMP, _BIT, _CELL = 400_000, 26_214_400, 2_621_440_000
"""Of a message: nanocoins, and 65,536ths of them for each bit and cell below its first."""

_STORED_BIT, _STORED_CELL = 1, 500
"""For a second, in 65,536ths of a nanocoin."""

_FIRST_PART: Final = 21_845
"""65,536ths of a forward fee that its sender's transaction takes at once."""

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


class Order(NamedTuple):
    """A message that a contract sends.

    Attributes:
        value: nanocoins; its fees are paid on top.
        carry: the value is all that the incoming message brought, less fees, instead.
        lenient: mode 2: where coins lack for it, it is passed over.
    """

    destination: Address
    body: Cell
    value: int = 0
    bounce: bool = False
    carry: bool = False
    lenient: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a contract makes of a message.

    Attributes:
        gas: that it takes.
        exit_code: of its code; above 1 nothing else here counts.
        data, code: in place of what it has; None for no change.
        orders: what it sends.
        action_code: with which sending fails; 0 where it does not.
        moved: how a jetton balance changes, ``sent``, ``received`` or ``returned``, and by
            how much; None where it does not.
    """

    gas: int
    exit_code: int = 0
    data: Cell | None = None
    code: Cell | None = None
    orders: tuple[Order, ...] = ()
    action_code: int = 0
    moved: tuple[str, int] | None = None


class Executed(NamedTuple):
    """A transaction and what follows from it.

    Attributes:
        cell: ``Transaction``.
        account: as it is now.
        letters: what it sent, a bounced message included.
        total_fees: nanocoins, without the forward fees of `letters`.
        skipped: why nothing was computed, if so.
        exit_code: None where skipped.
        action_code: None where it did not come to that.
        unsent: orders that were passed over.
    """

    cell: Cell
    account: SimAccount
    letters: tuple[Letter, ...]
    total_fees: int
    skipped: str | None
    exit_code: int | None
    action_code: int | None
    unsent: int

    @property
    def succeeded(self) -> bool:
        """The contract did what it was asked to do."""
        return self.exit_code == 0 and self.action_code == 0

    @property
    def fees(self) -> int:
        """Nanocoins that it cost the account, with the forward fees of `letters`."""
        return self.total_fees + sum(letter.forward_fee for letter in self.letters)


def execute(
    account: SimAccount,
    letter: Letter,
    outcome: Outcome,
    *,
    lt: int,
    now: int,
    freeze: bool = False,
) -> Executed:
    """The transaction that `letter` causes.

    Args:
        account: to which it goes; it exists, and can pay for a message from outside.
        outcome: what its contract does if it is run.
        lt: logical time, later than the letter's and the account's own.
        now: Unix seconds.
        freeze: the account becomes frozen before anything is run.
    """
    return _Execution(account, letter, outcome, lt, now).run(freeze)


class _Execution:
    def __init__(
        self, account: SimAccount, letter: Letter, outcome: Outcome, lt: int, now: int
    ) -> None:
        self.account, self.letter, self.outcome = account, letter, outcome
        self.lt, self.now = lt, now
        self.external = letter.source is None
        self.balance = account.balance
        self.total_fees = 0
        self.status = account.status
        self.code, self.data = account.code, account.data
        self.frozen_hash = account.frozen_hash
        self.sent: list[Letter] = []
        self.skipped: str | None = None
        self.exit_code: int | None = None
        self.action_code: int | None = None
        self.unsent = 0
        self.description = Writer().uint(0, 4)

    def run(self, freeze: bool) -> Executed:
        self.description.uint(not self.letter.bounce and not self.external, 1)
        if self.external:
            self._pay(_forward_fee(_size(self.letter)))
        self._store(freeze)
        self._credit()
        self._compute()
        action = self._act() if self.exit_code == 0 else None
        self.description.maybe_ref(action)
        aborted = self.exit_code != 0 or self.action_code != 0
        self.description.uint(aborted, 1)
        if self.exit_code != 0 and self.letter.bounce:
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
        self.balance += self.letter.value
        self.description.uint(0b10, 2).currencies(self.letter.value)

    def _compute(self) -> None:
        """``TrComputePhase``."""
        limit = _GAS_LIMIT if self.external else min(self.letter.value // GAS_PRICE, _GAS_LIMIT)
        init = self.letter.init if self.status is not AccountStatus.ACTIVE else None
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
        more = Writer().variable(gas, 3).variable(limit if not self.external else 0, 3)
        if self.external:
            more.uint(1, 1).variable(_GAS_CREDIT, 2)
        else:
            more.uint(0, 1)
        more.uint(0, 8).uint(self.exit_code, 32).uint(0, 1).uint(gas // 40, 32).take(bytes(64))
        success = self.exit_code == 0
        self.description.uint(1, 1).uint(success, 1).uint(init is not None, 1)
        self.description.uint(init is not None, 1).coins(self.gas_fee).ref(more.cell())

    def _act(self) -> Cell:
        """``TrActionPhase``; where it fails, the account stays as it was but for the fees."""
        outcome = self.outcome
        size, forward, first_parts = Used(0, 0), 0, 0
        left = self.balance
        letters: list[Letter] = []
        code = outcome.action_code
        for order in outcome.orders if not code else ():
            letter = self._letter(order, len(letters))
            used = _size(letter)
            fee = _forward_fee(used)
            first = fee * _FIRST_PART >> 16
            value = order.value
            cost = value + fee
            if order.carry:
                cost = self.letter.value - self.gas_fee
                value = cost - fee
            if (value < 0 or cost > left) and order.lenient:
                self.unsent += 1
                continue
            if value < 0 or cost > left:
                code, letters = _NOT_ENOUGH_COINS, []
                break
            left -= cost
            letters.append(replace(letter, value=value, forward_fee=fee - first))
            forward, first_parts = forward + fee, first_parts + first
            size = Used(size.cells + used.cells + 1, size.bits + used.bits)
        self.action_code = code
        spec = int(outcome.code is not None)
        if not code:
            self.balance, self.sent = left, letters
            self.total_fees += first_parts
            self.code, self.data = outcome.code or self.code, outcome.data or self.data
        else:
            forward = first_parts = self.unsent = 0
            size = Used(0, 0)
        writer = Writer().uint(not code, 1).uint(1, 1).uint(code == _NOT_ENOUGH_COINS, 1).uint(0, 1)
        for amount in (forward, first_parts):
            if amount:
                writer.uint(1, 1).coins(amount)
            else:
                writer.uint(0, 1)
        writer.uint(code, 32).uint(0, 1).uint(len(outcome.orders) + spec, 16)
        writer.uint(spec, 16).uint(self.unsent, 16).uint(len(self.sent), 16).take(bytes(32))
        return writer.variable(size.cells, 3).variable(size.bits, 3).cell()

    def _letter(self, order: Order, index: int) -> Letter:
        return Letter(
            source=self.account.address,
            destination=order.destination,
            body=order.body,
            value=order.value,
            bounce=order.bounce,
            lt=self.lt + 1 + index,
            time=self.now,
        )

    def _bounce(self) -> None:
        """``TrBouncePhase``: what the message brought goes back, less fees."""
        assert self.letter.source is not None
        letter = self._letter(Order(self.letter.source, bounced_body(self.letter.body)), 0)
        size = _size(letter)
        fee = _forward_fee(size)
        left = self.letter.value - (self.gas_fee if self.exit_code is not None else 0)
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
        self.sent = [replace(letter, value=value, bounced=True, forward_fee=fee - first)]
        self.balance -= value + fee
        self.total_fees += first
        self.description.coins(first).coins(fee - first)

    def _finish(self) -> Executed:
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
        messages = Writer().maybe_ref(self.letter.cell)
        out = [(index, letter.cell) for index, letter in enumerate(self.sent)]
        messages.maybe_ref(dictionary.hashmap(out, 15) if out else None)
        previous = before.last or TransactionId(0, bytes(32))
        update = Writer().uint(0x72, 8).take(before.cell.hash).take(after.cell.hash).cell()
        writer = Writer().uint(0b0111, 4).take(before.address.hash).uint(self.lt, 64)
        writer.take(previous.hash).uint(previous.lt, 64).uint(self.now, 32).uint(len(out), 15)
        writer.uint(_STATUS[before.status], 2).uint(_STATUS[after.status], 2)
        writer.ref(messages.cell()).currencies(self.total_fees)
        cell = writer.ref(update).ref(self.description.cell()).cell()
        return Executed(
            cell,
            after.with_last(TransactionId(self.lt, cell.hash)),
            tuple(self.sent),
            self.total_fees,
            self.skipped,
            self.exit_code,
            self.action_code,
            self.unsent,
        )


def _size(letter: Letter) -> Used:
    """What is charged of a message: its first cell is free."""
    cells = bits = 0
    for ref in letter.body.refs if letter.inline else (letter.body,):
        used = used_by(ref)
        cells, bits = cells + used.cells, bits + used.bits
    return Used(cells, bits)


def _forward_fee(size: Used) -> int:
    return _LUMP + (size.bits * _BIT + size.cells * _CELL + 0xFFFF >> 16)
