"""Wallet v5, revision 1."""

from typing import Final

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.wallets.common import (
    DEFAULT_SUBWALLET,
    SEND_MODE,
    VALID_FOR,
    Signer,
    Storage,
    code_cell,
    is_signed,
    throw_if,
)
from tonwatch.ton.cells.cell import Cell, Slice, cell

CODE: Final = code_cell(
    "te6ccgECFAEAAoEAART/APSkE/S88sgLAQIBIAINAgFIAwQC3NAg10nBIJFbj2Mg1wsfIIIQZXh0br0hghBzaW"
    "50vbCSXwPgghBleHRuuo60gCDXIQHQdNch+kAw+kT4KPpEMFi9kVvg7UTQgQFB1yH0BYMH9A5voTGRMOGAQNch"
    "cH/bPOAxINdJgQKAuZEw4HDiEA8CASAFDAIBIAYJAgFuBwgAGa3OdqJoQCDrkOuF/8AAGa8d9qJoQBDrkOuFj8"
    "ACAUgKCwAXsyX7UTQcdch1wsfgABGyYvtRNDXCgCAAGb5fD2omhAgKDrkPoCwBAvIOAR4g1wsfghBzaWduuvLg"
    "in8PAeaO8O2i7fshgwjXIgKDCNcjIIAg1yHTH9Mf0x/tRNDSANMfINMf0//XCgAK+QFAzPkQmiiUXwrbMeHywI"
    "ffArNQB7Dy0IRRJbry4IVQNrry4Ib4I7vy0IgikvgA3gGkf8jKAMsfAc8Wye1UIJL4D95w2zzYEAP27aLt+wL0"
    "BCFukmwhjkwCIdc5MHCUIccAs44tAdcoIHYeQ2wg10nACPLgkyDXSsAC8uCTINcdBscSwgBSMLDy0InXTNc5MA"
    "Gk6GwShAe78uCT10rAAPLgk+1V4tIAAcAAkVvg69csCBQgkXCWAdcsCBwS4lIQseMPINdKERITAJYB+kAB+kT4"
    "KPpEMFi68uCR7UTQgQFB1xj0BQSdf8jKAEAEgwf0U/Lgi44UA4MH9Fvy4Iwi1woAIW4Bs7Dy0JDiyFADzxYS9A"
    "DJ7VQAcjDXLAgkji0h8uCS0gDtRNDSAFETuvLQj1RQMJExnAGBAUDXIdcKAPLgjuLIygBYzxbJ7VST8sCN4gAQ"
    "k1vbMeHXTNA="
)

_SIGNED_EXTERNAL: Final = 0x7369676E
_SEND_MESSAGE: Final = 0x0EC3C86D


def data(storage: Storage) -> Cell:
    """The wallet's storage: signatures are allowed, no extensions."""
    number, owner = storage.seqno.to_bytes(4, "big"), storage.subwallet.to_bytes(4, "big")
    return cell(number + owner + storage.key, head="1", tail="0")


def accept(stored: Cell, body: Cell, now: int) -> None:
    """The checks before ``accept_message``, in the contract's action."""
    message = Slice(body)
    whole = message.left
    throw_if(138, message.uint(32) != _SIGNED_EXTERNAL)
    subwallet, valid_until, seqno = message.uint(32), message.uint(32), message.uint(32)
    # The signature covers all but the last 512 bits, which are the signature.
    without = Slice(body)
    bits = without.uint(whole - 512) if whole >= 512 else 0
    signature = without.take(64)
    signed = cell(b"", *body.refs, head=f"{bits:0{whole - 512}b}" if whole > 512 else "")
    fields = Slice(stored)
    allowed, stored_seqno, stored_subwallet = fields.bit(), fields.uint(32), fields.uint(32)
    key, extended = fields.take(32), fields.bit()
    throw_if(135, not is_signed(key, signed, signature))
    throw_if(132, not allowed and extended)
    throw_if(133, seqno != stored_seqno)
    throw_if(134, subwallet != stored_subwallet)
    throw_if(136, valid_until <= now)


def signed_body(signer: Signer, messages: tuple[Cell, ...]) -> Cell:
    """The body of an external message that makes the wallet send `messages`."""
    builder = CellBuilder().uint(_SIGNED_EXTERNAL, 32).uint(DEFAULT_SUBWALLET, 32)
    builder.uint(signer.now + VALID_FOR, 32).uint(signer.number, 32)
    actions = cell()
    for message in messages:
        action = CellBuilder().ref(actions).uint(_SEND_MESSAGE, 32).uint(SEND_MODE, 8)
        actions = action.ref(message).cell()
    builder.maybe_ref(actions if messages else None).uint(0, 1)
    signed = builder.cell()
    return CellBuilder().rest(signed).take(signer.sign(signed)).cell()
