"""The simulated wallets' own books: what a watcher of the chain should come to, to the unit."""

from collections import Counter
from dataclasses import dataclass, field

from tonwatch.simulator.chain.execution import Executed
from tonwatch.simulator.chain.messages import Letter

NATIVE = "native"
"""The name of the asset that is not a jetton."""


@dataclass(kw_only=True)
class Book:
    """One wallet's sums of one asset, since the chain began.

    A balance changes by received + returned - sent, that of the native asset by fees too.

    Attributes:
        sent, received, returned: amounts in smallest units; what came back is not received.
        fees: nanocoins that the transactions of the asset's account cost.
        messages_sent: payouts; that of jettons is none of the native asset.
        unsent: messages that were passed over for a lack of coins.
        bounced: messages that came back.
        failures: how often, by phase (``compute`` or ``action``) and code.
        skipped: how often nothing was computed, by reason.
        transactions: of the asset's account: the wallet itself, or its jetton wallet.
    """

    sent: int = 0
    received: int = 0
    returned: int = 0
    fees: int = 0
    messages_sent: int = 0
    unsent: int = 0
    bounced: int = 0
    failures: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    transactions: int = 0

    def enter(self, letter: Letter, executed: Executed) -> None:
        """What every transaction says, whatever the asset."""
        self.transactions += 1
        self.fees += executed.fees
        self.unsent += executed.unsent
        self.bounced += letter.bounced
        if executed.skipped is not None:
            self.skipped[executed.skipped] += 1
        elif executed.exit_code:
            self.failures["compute", executed.exit_code] += 1
        elif executed.action_code:
            self.failures["action", executed.action_code] += 1
