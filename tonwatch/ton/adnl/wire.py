"""The ADNL-TCP wire without I/O: handshake, encrypted frames, four messages.

A connection starts with 256 bytes from the client (see `open_session`) and an
empty frame from the server. After that both sides send frames

    length (4, little-endian) | nonce (32) | payload | sha256(nonce + payload) (32)

under AES-256-CTR, one key stream for each direction. `length` counts all that
follows it. The payload is empty or one of four TL messages.

Source: the node's ``adnl/adnl-ext-connection.cpp`` and ``ton_api.tl``.
"""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from nacl.bindings import crypto_scalarmult
from pytoniq_core.crypto.ciphers import Client, Server, create_aes_ctr_cipher

from tonwatch.ton.errors import ProtocolError, Reason

HANDSHAKE_SIZE: Final = 256
MAX_FRAME: Final = 16 * 1024 * 1024
"""Default limit of a frame, bytes; the node has the same."""

_FRAME_OVERHEAD: Final = 64

QUERY: Final = bytes.fromhex("7af98bb4")
ANSWER: Final = bytes.fromhex("1684ac0f")
PING: Final = bytes.fromhex("9a2b084d")
PONG: Final = bytes.fromhex("03fb69dc")


class Cipher(Protocol):
    """One direction's AES-CTR key stream."""

    def encrypt(self, data: bytes) -> bytes: ...
    def decrypt(self, data: bytes) -> bytes: ...


class Message(NamedTuple):
    """An ADNL message: its constructor (wire order), its id, and what it carries.

    `id` has 32 bytes for QUERY and ANSWER, 8 for PING and PONG; `body` is empty
    for the latter two.
    """

    constructor: bytes
    id: bytes
    body: bytes = b""

    def encode(self) -> bytes:
        if self.constructor in (QUERY, ANSWER):
            return self.constructor + self.id + tl_bytes(self.body)
        return self.constructor + self.id


class Session:
    """One end of an encrypted connection: encrypts outgoing and decrypts incoming frames."""

    def __init__(self, outgoing: Cipher, incoming: Cipher, max_frame: int = MAX_FRAME) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._max_frame = max_frame
        self._buffer = bytearray()

    def seal(self, *payloads: bytes) -> bytes:
        """The next frames to send, one for each payload.

        Frames must be sent in the order they were sealed.
        """
        frames: list[bytes] = []
        nonces = secrets.token_bytes(32 * len(payloads))
        for index, payload in enumerate(payloads):
            body = nonces[32 * index : 32 * index + 32] + payload
            length = (len(body) + 32).to_bytes(4, "little")
            frames += (length, body, hashlib.sha256(body).digest())
        return self._outgoing.encrypt(b"".join(frames))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take received bytes and yield the payload of every frame they complete.

        Raises:
            ProtocolError: the length is impossible or over `max_frame`, or the
                checksum is wrong. Key streams and framing are lost by then.
        """
        self._buffer += self._incoming.decrypt(data)
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "little")
            if length < _FRAME_OVERHEAD:
                raise ProtocolError(f"frame announces {length} bytes, less than its own overhead")
            if length > self._max_frame:
                raise ProtocolError(
                    f"frame announces {length} bytes, the limit is {self._max_frame}",
                    Reason.ANSWER_TOO_LARGE,
                )
            if len(self._buffer) < 4 + length:
                return
            frame = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            if hashlib.sha256(frame[:-32]).digest() != frame[-32:]:
                raise ProtocolError("frame checksum is wrong")
            yield frame[32:-32]


def open_session(server_key: bytes, max_frame: int = MAX_FRAME) -> tuple[bytes, Session]:
    """Start a connection as its client.

    Args:
        server_key: the liteserver's ed25519 public key, 32 bytes.
        max_frame: longest frame to accept, bytes.

    Returns:
        The 256 bytes of the handshake, and its session.

    Raises:
        ValueError: the key is not a point of the curve.
    """
    server = parse_key(server_key)
    client = Client(Client.generate_ed25519_private_key())
    # pytoniq's own get_shared_key is pure Python and takes 4 ms; libsodium takes 0.1 ms.
    shared = crypto_scalarmult(client.x25519_private.encode(), server.x25519_public.encode())
    streams = secrets.token_bytes(160)
    digest = hashlib.sha256(streams).digest()
    packet = (
        server.get_key_id()
        + client.ed25519_public.encode()
        + digest
        + _handshake_cipher(shared, digest).encrypt(streams)
    )
    incoming, outgoing = _streams(streams)
    return packet, Session(outgoing, incoming, max_frame)


def accept_session(packet: bytes, server: Client, max_frame: int = MAX_FRAME) -> Session:
    """Answer a handshake as the server whose private key is `server`.

    Raises:
        ProtocolError: the packet is for another key or was damaged.
    """
    if len(packet) != HANDSHAKE_SIZE or packet[:32] != server.get_key_id():
        raise ProtocolError("handshake for another key")
    try:
        peer = parse_key(packet[32:64])
        shared = crypto_scalarmult(server.x25519_private.encode(), peer.x25519_public.encode())
    except (ValueError, RuntimeError) as error:
        raise ProtocolError("handshake with an impossible client key") from error
    digest = packet[64:96]
    streams = _handshake_cipher(shared, digest).decrypt(packet[96:])
    if hashlib.sha256(streams).digest() != digest:
        raise ProtocolError("handshake checksum is wrong")
    outgoing, incoming = _streams(streams)
    return Session(outgoing, incoming, max_frame)


def parse_key(key: bytes) -> Server:
    """A liteserver's public key, checked to be usable.

    Raises:
        ValueError: not 32 bytes, or not a point of the curve.
    """
    try:
        return Server("", 0, key)
    except Exception as error:
        # PyNaCl raises TypeError, ValueError or its own RuntimeError, by version.
        raise ValueError("not an ed25519 public key") from error


def parse_message(payload: bytes) -> Message | None:
    """Read a frame's payload; None where it is empty or an unknown message."""
    constructor = payload[:4]
    if constructor in (QUERY, ANSWER) and len(payload) >= 40:
        body, end = read_tl_bytes(payload, 36)
        if end == len(payload):
            return Message(constructor, payload[4:36], body)
    elif constructor in (PING, PONG) and len(payload) == 12:
        return Message(constructor, payload[4:])
    return None


def tl_bytes(data: bytes) -> bytes:
    """Encode TL `bytes`: length, data, zeros up to a multiple of four."""
    if len(data) < 254:
        encoded = bytes([len(data)]) + data
    else:
        encoded = b"\xfe" + len(data).to_bytes(3, "little") + data
    return encoded + bytes(-len(encoded) % 4)


def read_tl_bytes(data: bytes, start: int) -> tuple[bytes, int]:
    """Decode TL `bytes` at `start`; returns them and the offset behind their padding.

    The offset is larger than ``len(data)`` where the bytes were cut short.
    """
    if data[start : start + 1] == b"\xfe":
        length, begin = int.from_bytes(data[start + 1 : start + 4], "little"), start + 4
    else:
        length, begin = int.from_bytes(data[start : start + 1], "little"), start + 1
    end = begin + length
    return data[begin:end], end + (start - end) % 4


def _streams(block: bytes) -> tuple[Cipher, Cipher]:
    """The key streams in the handshake's 160 bytes: server to client, client to server."""
    return (
        create_aes_ctr_cipher(block[:32], block[64:80]),
        create_aes_ctr_cipher(block[32:64], block[80:96]),
    )


def _handshake_cipher(shared: bytes, digest: bytes) -> Cipher:
    cipher: Cipher = create_aes_ctr_cipher(shared[:16] + digest[16:], digest[:4] + shared[20:])
    return cipher


# The first cipher loads its library from disk: on import, not during the first handshake.
_streams(bytes(160))
