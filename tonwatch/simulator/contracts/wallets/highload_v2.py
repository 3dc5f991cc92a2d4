"""Highload wallet v2; the queries that it keeps are left out: simulated wallets have none."""

from typing import Final

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.wallets.common import (
    DEFAULT_SUBWALLET,
    SEND_MODE,
    VALID_FOR,
    Signer,
    Storage,
    code_cell,
    end_parse,
    is_signed,
    signature_first,
    throw_if,
)
from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.contracts.transactions import rest

CODE: Final = code_cell(
    "te6ccgEBCQEA5QABFP8A9KQT9LzyyAsBAgEgAgcCAUgDBAAE0DACASAFBgAXvZznaiaGmvmOuF/8AEG+X5dqJo"
    "aY+Y6Z/p/5j6AmipEEAgegc30JjJLb/JXdHxQB6vKDCNcYINMf0z/4I6ofUyC58mPtRNDTH9M/0//0BNFTYIBA"
    "9A5voTHyYFFzuvKiB/kBVBCH+RDyowL0BNH4AH+OFiGAEPR4b6UgmALTB9QwAfsAkTLiAbPmW4MlochANIBA9E"
    "OK5jEByMsfE8s/y//0AMntVAgANCCAQPSWb6VsEiCUMFMDud4gkzM2AZJsIeKz"
)


def data(storage: Storage) -> Cell:
    """The wallet's storage."""
    last_clean = (storage.last_clean << 32).to_bytes(8, "big")
    return cell(storage.subwallet.to_bytes(4, "big") + last_clean + storage.key, tail="0")


def accept(stored: Cell, body: Cell, now: int) -> None:
    """The checks before ``accept_message``, in the contract's action."""
    message = Slice(body)
    signature = message.take(64)
    signed = rest(message)
    asked = Slice(signed)
    subwallet, query = asked.uint(32), asked.uint(64)
    throw_if(35, query < now << 32)
    fields = Slice(stored)
    stored_subwallet = fields.uint(32)
    fields.uint(64)
    key = fields.take(32)
    fields.maybe_ref()
    end_parse(fields)
    throw_if(34, subwallet != stored_subwallet)
    throw_if(35, not is_signed(key, signed, signature))
    asked.maybe_ref()
    end_parse(asked)


def signed_body(signer: Signer, messages: tuple[Cell, ...]) -> Cell:
    """The body of an external message that makes the wallet send one message at most."""
    builder = CellBuilder().uint(DEFAULT_SUBWALLET, 32).uint(signer.now + VALID_FOR, 32)
    builder.uint(signer.number, 32)
    actions = None
    if messages:
        # A dictionary with the key 0 of 16 bits: hml_same$11 0 and the length.
        actions = (
            CellBuilder().uint(0b110, 3).uint(16, 5).uint(SEND_MODE, 8).ref(messages[0]).cell()
        )
    return signature_first(signer, builder.maybe_ref(actions).cell())
