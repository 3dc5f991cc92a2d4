"""The wire without I/O: handshake, frames, messages, TL bytes."""

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.crypto.ciphers import Client, Server, create_aes_ctr_cipher, get_shared_key
from pytoniq_core.tl.generator import TlGenerator

from tests.ton.peers import IDENTITY, OTHER_KEY, SERVER_KEY
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message, Session
from tonwatch.ton.errors import ProtocolError, Reason

IDENTITY_POINT = (1).to_bytes(32, "little")
"""The neutral element of the curve: a well-formed key that leads to no secret."""


def sessions(max_frame: int = wire.MAX_FRAME) -> tuple[Session, Session]:
    """Both ends of a connection: client and server."""
    packet, client = wire.open_session(SERVER_KEY, max_frame)
    return client, wire.accept_session(packet, IDENTITY, max_frame)


def clear_session(max_frame: int) -> Session:
    """A session whose key stream is all zeros, so that a test chooses the decrypted bytes."""

    class Clear:
        def encrypt(self, data: bytes) -> bytes:
            return data

        decrypt = encrypt

    return Session(Clear(), Clear(), max_frame)


def frame(payload: bytes, nonce: bytes = bytes(32)) -> bytes:
    """A frame in the clear, written from the specification and not with tonwatch's code."""
    body = nonce + payload
    checksum = hashlib.sha256(body).digest()
    return (len(body) + 32).to_bytes(4, "little") + body + checksum


def split(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        yield data[start:end]


class TestConstants:
    @pytest.mark.parametrize(
        ("ours", "name"),
        [
            pytest.param(wire.QUERY, "adnl.message.query", id="query"),
            pytest.param(wire.ANSWER, "adnl.message.answer", id="answer"),
            pytest.param(wire.PING, "tcp.ping", id="ping"),
            pytest.param(wire.PONG, "tcp.pong", id="pong"),
        ],
    )
    def test_constructors_are_those_of_the_schema(self, ours: bytes, name: str) -> None:
        schema = TlGenerator.with_default_schemas().generate().get_by_name(name)
        assert ours == schema.little_id()


class TestHandshake:
    def test_both_sides_hold_the_same_key_streams(self) -> None:
        client, server = sessions()
        assert list(server.feed(client.seal(b"question"))) == [b"question"]
        assert list(client.feed(server.seal(b"answer"))) == [b"answer"]

    def test_has_256_bytes_and_starts_with_the_servers_key_id(self) -> None:
        packet, _ = wire.open_session(SERVER_KEY)
        assert len(packet) == wire.HANDSHAKE_SIZE == 256
        assert packet[:32] == hashlib.sha256(b"\xc6\xb4\x13\x48" + SERVER_KEY).digest()

    def test_each_has_its_own_keys(self) -> None:
        first, _ = wire.open_session(SERVER_KEY)
        second, _ = wire.open_session(SERVER_KEY)
        assert first[32:64] != second[32:64]
        assert first[96:] != second[96:]

    @pytest.mark.parametrize(
        "key",
        [
            pytest.param(b"", id="empty"),
            pytest.param(bytes(31), id="31 bytes"),
            pytest.param(bytes(33), id="33 bytes"),
            pytest.param(b"\xff" * 32, id="not a point"),
            pytest.param(bytes(32), id="small order"),
            pytest.param(IDENTITY_POINT, id="neutral element"),
        ],
    )
    def test_impossible_server_key(self, key: bytes) -> None:
        with pytest.raises(ValueError, match="not an ed25519 public key"):
            wire.open_session(key)

    @pytest.mark.parametrize(
        ("start", "replacement", "says"),
        [
            pytest.param(0, bytes(32), "another key", id="key id"),
            pytest.param(32, b"\xff" * 32, "impossible client key", id="client key not a point"),
            pytest.param(32, IDENTITY_POINT, "impossible client key", id="client key neutral"),
            pytest.param(32, OTHER_KEY, "checksum", id="another client key"),
            pytest.param(64, bytes(32), "checksum", id="digest"),
            pytest.param(96, bytes(160), "checksum", id="key streams"),
        ],
    )
    def test_damaged_packet(self, start: int, replacement: bytes, says: str) -> None:
        packet, _ = wire.open_session(SERVER_KEY)
        damaged = packet[:start] + replacement + packet[start + len(replacement) :]
        with pytest.raises(ProtocolError, match=says):
            wire.accept_session(damaged, IDENTITY)

    def test_for_another_server(self) -> None:
        packet, _ = wire.open_session(OTHER_KEY)
        with pytest.raises(ProtocolError, match="another key"):
            wire.accept_session(packet, IDENTITY)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_refused(self, packet: bytes) -> None:
        with pytest.raises(ProtocolError):
            wire.accept_session(packet, IDENTITY)

    def test_agrees_with_pytoniq(self) -> None:
        """A server built from pytoniq's ciphers reads our handshake and first frame."""
        packet, client = wire.open_session(SERVER_KEY)
        peer = Client(bytes(range(32)))
        theirs = Server("", 0, packet[32:64])
        shared = get_shared_key(peer.x25519_private.encode(), theirs.x25519_public.encode())
        digest = packet[64:96]
        cipher = create_aes_ctr_cipher(shared[:16] + digest[16:], digest[:4] + shared[20:])
        streams = cipher.decrypt(packet[96:])
        assert hashlib.sha256(streams).digest() == digest
        incoming = create_aes_ctr_cipher(streams[32:64], streams[80:96])
        opened = incoming.decrypt(client.seal(b"hello"))
        assert opened == frame(b"hello", nonce=opened[4:36])


class TestFrames:
    @given(
        payloads=st.lists(st.binary(max_size=400), max_size=6),
        cuts=st.lists(st.integers(0, 5000), max_size=40),
    )
    def test_any_split_gives_the_same_payloads(
        self, payloads: list[bytes], cuts: list[int]
    ) -> None:
        client, server = sessions()
        stream = b"".join(server.seal(payload) for payload in payloads)
        got = [payload for chunk in split(stream, cuts) for payload in client.feed(chunk)]
        assert got == payloads

    @given(
        chunks=st.lists(
            st.one_of(
                st.binary(max_size=300),
                st.binary(max_size=100).map(frame),
                st.integers(0, 400).map(lambda length: length.to_bytes(4, "little")),
            ),
            max_size=20,
        )
    )
    def test_any_bytes_end_in_a_protocol_error_or_wait_for_more(self, chunks: list[bytes]) -> None:
        max_frame = 256
        session = clear_session(max_frame)
        for chunk in chunks:
            try:
                for payload in session.feed(chunk):
                    assert len(payload) <= max_frame - 64
            except ProtocolError:
                return
            assert len(session._buffer) < 4 + max_frame

    @given(st.binary(min_size=4, max_size=2000))
    def test_garbage_on_an_encrypted_connection(self, data: bytes) -> None:
        client, _ = sessions(max_frame=1024)
        # Either it decrypts to an impossible length, or less than a frame is kept.
        try:
            assert list(client.feed(data)) == []
        except ProtocolError:
            return
        assert len(client._buffer) <= 4 + 1024

    @pytest.mark.parametrize("length", [0, 1, 63])
    def test_length_below_the_overhead(self, length: int) -> None:
        session = clear_session(1024)
        with pytest.raises(ProtocolError, match="less than its own overhead") as caught:
            list(session.feed(length.to_bytes(4, "little")))
        assert caught.value.reason is Reason.PROTOCOL_ERROR

    @pytest.mark.parametrize("length", [1025, wire.MAX_FRAME, 2**32 - 1])
    def test_length_above_the_limit(self, length: int) -> None:
        session = clear_session(1024)
        with pytest.raises(ProtocolError, match="the limit is 1024") as caught:
            list(session.feed(length.to_bytes(4, "little")))
        assert caught.value.reason is Reason.ANSWER_TOO_LARGE

    def test_length_at_the_limit(self) -> None:
        payload = bytes(1024 - 64)
        assert list(clear_session(1024).feed(frame(payload))) == [payload]

    def test_default_limit_is_16_mib(self) -> None:
        client, server = sessions()
        payload = bytes(wire.MAX_FRAME - 64)
        assert list(client.feed(server.seal(payload))) == [payload]
        with pytest.raises(ProtocolError, match="limit"):
            list(client.feed(server.seal(payload + b"!")))

    @pytest.mark.parametrize("position", [4, 36, -1], ids=["nonce", "payload", "checksum"])
    def test_changed_byte(self, position: int) -> None:
        damaged = bytearray(frame(b"payload"))
        damaged[position] ^= 1
        with pytest.raises(ProtocolError, match="checksum"):
            list(clear_session(1024).feed(bytes(damaged)))

    def test_good_frames_before_a_bad_one_are_yielded(self) -> None:
        payloads = clear_session(1024).feed(frame(b"good") + bytes(4))
        assert next(payloads) == b"good"
        with pytest.raises(ProtocolError):
            next(payloads)

    def test_nonces_differ(self) -> None:
        session = clear_session(1024)
        assert session.seal(b"")[4:36] != session.seal(b"")[4:36]


class TestMessages:
    @given(
        constructor=st.sampled_from([wire.QUERY, wire.ANSWER]),
        id_=st.binary(min_size=32, max_size=32),
        body=st.binary(max_size=600),
    )
    def test_round_trip_with_body(self, constructor: bytes, id_: bytes, body: bytes) -> None:
        message = Message(constructor, id_, body)
        assert len(message.encode()) % 4 == 0
        assert wire.parse_message(message.encode()) == message

    @pytest.mark.parametrize("constructor", [wire.PING, wire.PONG], ids=["ping", "pong"])
    def test_round_trip_without_body(self, constructor: bytes) -> None:
        message = Message(constructor, b"8 bytes!")
        assert wire.parse_message(message.encode()) == message

    @given(
        st.one_of(
            st.binary(max_size=200),
            st.tuples(
                st.sampled_from([wire.QUERY, wire.ANSWER, wire.PING, wire.PONG]),
                st.binary(max_size=300),
            ).map(b"".join),
        )
    )
    def test_any_bytes_are_a_message_or_none(self, payload: bytes) -> None:
        message = wire.parse_message(payload)
        if message is not None:
            assert len(message.id) in {8, 32}

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="empty"),
            pytest.param(wire.ANSWER, id="constructor alone"),
            pytest.param(wire.ANSWER + bytes(32), id="no body"),
            pytest.param(wire.ANSWER + bytes(32) + b"\x04abc", id="body cut short"),
            pytest.param(wire.ANSWER + bytes(32) + b"\xfe\xff\xff\xff", id="body of 16 MiB cut"),
            pytest.param(wire.ANSWER + bytes(32) + b"\x03abc" + bytes(4), id="trailing bytes"),
            pytest.param(wire.PONG + bytes(7), id="short pong"),
            pytest.param(wire.PONG + bytes(9), id="long pong"),
            pytest.param(b"\x00\x00\x00\x00" + bytes(8), id="unknown constructor"),
        ],
    )
    def test_no_message(self, payload: bytes) -> None:
        assert wire.parse_message(payload) is None


class TestTlBytes:
    @given(st.binary(max_size=1000), st.binary(max_size=8), st.binary(max_size=8))
    def test_round_trip(self, data: bytes, before: bytes, after: bytes) -> None:
        encoded = wire.tl_bytes(data)
        assert len(encoded) % 4 == 0
        stream = before + encoded + after
        assert wire.read_tl_bytes(stream, len(before)) == (data, len(before) + len(encoded))

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 253, 254, 255, 256, 2**24 - 1])
    def test_sizes_at_the_edges(self, size: int) -> None:
        encoded = wire.tl_bytes(bytes(size))
        assert wire.read_tl_bytes(encoded, 0) == (bytes(size), len(encoded))

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"\x01", id="one byte missing"),
            pytest.param(b"\x01a", id="padding missing"),
            pytest.param(b"\xfe\x01", id="length cut"),
            pytest.param(b"\xfe\xff\xff\xffabcd", id="long and cut"),
        ],
    )
    def test_cut_short_ends_behind_the_data(self, data: bytes) -> None:
        _, end = wire.read_tl_bytes(data, 0)
        assert end > len(data)
