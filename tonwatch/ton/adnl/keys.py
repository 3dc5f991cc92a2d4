"""Public keys of liteservers, in text and in the node's files."""

import base64
import binascii
import re
from typing import Final

from tonwatch.ton.adnl import wire

_FILE_START: Final = bytes.fromhex("c6b41348")
"""How the node's ``*.pub`` files start: the TL constructor pub.ed25519."""


def decode_key(text: str) -> bytes:
    """An ed25519 public key in base64 or hex.

    Raises:
        ValueError: neither, not 32 bytes, or not a point of the curve.
    """
    text = text.strip()
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", text):
            key = bytes.fromhex(text)
        else:
            key = base64.b64decode(
                text, altchars=b"-_" if set(text) & set("-_") else None, validate=True
            )
    except (binascii.Error, ValueError):
        raise ValueError("not base64 or hex; take `key` of the server's `id`") from None
    if len(key) != 32:
        raise ValueError(f"a key of {len(key)} bytes; an ed25519 public key has 32")
    wire.parse_key(key)
    return key


def read_key_file(content: bytes) -> bytes:
    """A liteserver's public key: the node's own ``liteserver.pub``, or base64 or hex in text.

    Raises:
        ValueError: none of these.
    """
    if len(content) == 36 and content.startswith(_FILE_START):
        return decode_key(content[4:].hex())
    try:
        return decode_key(content.decode("ascii"))
    except UnicodeDecodeError:
        raise ValueError("not a public key: neither the node's liteserver.pub nor text") from None
