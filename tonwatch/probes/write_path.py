"""Proves without a key and without cost that a target runs external messages.

A wallet is sent a message that it must refuse. The exit code of the wallet's own check shows
that the target ran the message on the wallet's current state.
"""

import secrets
from collections.abc import Callable

from tonwatch.probes.source import Source
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts import wallets
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason, TonError


async def write_path(
    source: Source, wallet: Address, kind: WalletKind, *, wall: Callable[[], float]
) -> Sample:
    """Send the message; ``ok`` is the wallet's own refusal.

    Args:
        source: where to send it.
        wallet: a deployed wallet.
        kind: its kind, by its code.
        wall: local clock, Unix seconds.
    """

    with Recording(source.name, Probe.WRITE, wall) as probe:
        message = wallets.unacceptable_message(kind, wallet, secrets.token_bytes(64))
        try:
            await source.send_message(message)
        except TonError as error:
            if wallets.exit_code(error.detail) not in wallets.REJECTIONS[kind]:
                raise
        else:
            raise TonError(
                Reason.BAD_ANSWER,
                "accepted a message that no wallet accepts: its answers to messages mean nothing",
            )
    return probe.sample
