"""Account addresses, in every form in use.

Raw is ``WORKCHAIN:HEX``; friendly are 36 bytes in base64 or base64url with a checksum and
two flags, of which one says that the address is for test networks only.

Source: TEP-2.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

_RAW: Final = re.compile(r"(-?\d{1,3}):([0-9a-fA-F]{64})")
_FRIENDLY: Final = re.compile(r"[A-Za-z0-9+/_-]{48}")
_BOUNCEABLE, _NOT_BOUNCEABLE, _TEST_ONLY = 0x11, 0x51, 0x80


class Address(NamedTuple):
    """An account's address: the workchain, -1 or 0, and 32 bytes."""

    workchain: int
    hash: bytes

    def __str__(self) -> str:
        """The raw form."""
        return f"{self.workchain}:{self.hash.hex()}"

    def friendly(self, *, test_only: bool = False) -> str:
        """The bounceable form in base64url."""
        tag = _BOUNCEABLE | (_TEST_ONLY if test_only else 0)
        data = bytes((tag, self.workchain & 0xFF)) + self.hash
        return base64.urlsafe_b64encode(data + _checksum(data)).decode()


class ParsedAddress(NamedTuple):
    """An address as written in text; `test_only` is its flag, False in the raw form."""

    address: Address
    test_only: bool


def parse(text: str) -> ParsedAddress:
    """Read an address in any form.

    Raises:
        ValueError: not an address; the text says why.
    """
    text = text.strip()
    if raw := _RAW.fullmatch(text):
        return ParsedAddress(_in_use(int(raw[1]), bytes.fromhex(raw[2])), test_only=False)
    if not _FRIENDLY.fullmatch(text):
        raise ValueError(
            "not an address: write 48 characters such as EQ..., or WORKCHAIN:64 hex digits"
        )
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise ValueError("not an address: it is not base64") from None
    if data[34:] != _checksum(data[:34]):
        raise ValueError("the address's checksum is wrong: a character is missing or mistyped")
    if data[0] & ~_TEST_ONLY not in {_BOUNCEABLE, _NOT_BOUNCEABLE}:
        raise ValueError("not an address: unknown first byte")
    workchain = int.from_bytes(data[1:2], "big", signed=True)
    return ParsedAddress(_in_use(workchain, data[2:34]), test_only=bool(data[0] & _TEST_ONLY))


def _in_use(workchain: int, hash_: bytes) -> Address:
    if workchain not in {-1, 0}:
        raise ValueError(f"workchain {workchain} does not exist: there are -1 and 0")
    return Address(workchain, hash_)


def _checksum(data: bytes) -> bytes:
    """CRC-16/XMODEM."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")
