"""Highload wallet v3; the queries that it keeps are left out: simulated wallets have none."""

from typing import Final

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.wallets.common import (
    DEFAULT_SUBWALLET,
    DEFAULT_TIMEOUT,
    SEND_MODE,
    Signer,
    Storage,
    code_cell,
    end_parse,
    is_signed,
    throw_if,
)
from tonwatch.ton.cells.cell import Cell, Slice, cell

CODE: Final = code_cell(
    "te6ccgECEAEAAigAART/APSkE/S88sgLAQIBIAINAgFIAwQAeNAg10vAAQHAYLCRW+EB0NMDAXGwkVvg+kAw+C"
    "jHBbORMODTHwGCEK5C5aS6nYBA1yHXTPgqAe1V+wTgMAIBIAUKAgJzBgcAEa3OdqJoa4X/wAIBIAgJABqrtu1E"
    "0IEBItch1ws/ABiqO+1E0IMH1yHXCx8CASALDAAbuabu1E0IEBYtch1wsVgA5bi/Ltou37IasJAoQJsO1E0IEB"
    "INch9AT0BNM/0xXRBY4b+CMloVIQuZ8ybfgjBaoAFaESuZIwbd6SMDPikjAz4lIwgA30D2+hntAh1yHXCgCVXw"
    "N/2zHgkTDiWYAN9A9voZzQAdch1woAk3/bMeCRW+JwgB9vLUgwjXGNEh+QDtRNDT/9Mf9AT0BNM/0xXR+CMhoV"
    "IguY4SM234IySqAKESuZJtMt5Y+CMB3lQWdfkQ8qEG0NMf1NMH0wzTCdM/0xXRUWi68qJRWrrypvgjKqFSULzy"
    "owT4I7vyo1MEgA30D2+hmdAk1yHXCgDyZJEw4g4B/lMJgA30D2+hjhPQUATXGNIAAfJkyFjPFs+DAc8WjhAwyC"
    "TPQM+DhAlQBaGlFM9A4vgAyUA5gA30FwTIy/8Tyx/0ABL0ABLLPxLLFcntVPgPIdDTAAHyZdMCAXGwkl8D4PpA"
    "AdcLAcAA8qX6QDH6ADH0AfoAMfoAMYBg1yHTAAEPACDyZdIAAZPUMdGRMOJysfsA"
)

_QUERIES: Final = 1023
"""Queries that share one cell."""


def data(storage: Storage) -> Cell:
    """The wallet's storage."""
    owner = storage.subwallet.to_bytes(4, "big")
    return cell(storage.key + owner, tail=f"00{storage.last_clean:064b}{storage.timeout:022b}")


def accept(stored: Cell, body: Cell, now: int) -> None:
    """The checks before ``accept_message``, in the contract's action."""
    message = Slice(body)
    signed = message.ref()
    signature = message.take(64)
    end_parse(message)
    fields = Slice(stored)
    key, stored_subwallet = fields.take(32), fields.uint(32)
    fields.maybe_ref()
    fields.maybe_ref()
    fields.uint(64)
    stored_timeout = fields.uint(22)
    end_parse(fields)
    throw_if(33, not is_signed(key, signed, signature))
    asked = Slice(signed)
    subwallet = asked.uint(32)
    asked.ref()
    asked.uint(8 + 13)
    query, created_at, timeout = asked.uint(10), asked.uint(64), asked.uint(22)
    end_parse(asked)
    throw_if(34, subwallet != stored_subwallet)
    throw_if(38, timeout != stored_timeout)
    throw_if(35, created_at <= now - timeout)
    throw_if(35, created_at > now)
    throw_if(8, query >= _QUERIES)  # its bit overflows the cell


def signed_body(signer: Signer, messages: tuple[Cell, ...]) -> Cell:
    """The body of an external message that makes the wallet send one message at most."""
    builder = CellBuilder().uint(DEFAULT_SUBWALLET, 32).ref(messages[0] if messages else cell())
    shift, bit = divmod(signer.number, _QUERIES)
    builder.uint(SEND_MODE, 8).uint(shift, 13).uint(bit, 10)
    # The block's time may be a little behind the owner's.
    builder.uint(signer.now - 5, 64).uint(DEFAULT_TIMEOUT, 22)
    signed = builder.cell()
    return CellBuilder().take(signer.sign(signed)).ref(signed).cell()
