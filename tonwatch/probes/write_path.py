"""Proves without a key and without cost that a target runs external messages.

A wallet is sent a message that it must refuse. The exit code of the wallet's own check shows
that the target ran the message on the wallet's current state.
"""

import re
import secrets
from collections.abc import Callable
from typing import Final

from tonwatch.probes.source import Source
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts import wallets
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason, TonError

_NOT_RUN: Final = re.compile(r"rejected by account\b|before smart-contract execution")
"""What nodes say where the wallet's code was not run: it is frozen, or has no state or no gas.
Where the code was run they say ``rejected by transaction``, and the exit code."""


async def write_path(
    source: Source, wallet: Address, kind: WalletKind, *, wall: Callable[[], float]
) -> Sample | None:
    """Send the message; ``ok`` is the wallet's own refusal.

    None where the wallet's code was not run, for the wallet's own sake: that says nothing about
    the target.

    Args:
        source: where to send it.
        wallet: a deployed wallet.
        kind: its kind, by its code.
        wall: local clock, Unix seconds.
    """

    not_run = False
    with Recording(source.name, Probe.WRITE, wall) as probe:
        message = wallets.unacceptable_message(kind, wallet, secrets.token_bytes(64))
        try:
            await source.send_message(message)
        except TonError as error:
            if wallets.exit_code(error.detail) not in wallets.REJECTIONS[kind]:
                not_run = bool(_NOT_RUN.search(error.detail))
                raise
        else:
            raise TonError(
                Reason.BAD_ANSWER,
                "accepted a message that no wallet accepts: its answers to messages mean nothing",
            )
    return None if not_run else probe.sample
