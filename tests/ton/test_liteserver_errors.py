"""What a liteserver's error means: code and text together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver_errors import classify, shard_client_seqno

R = Reason

ANY_TEXT = st.binary(max_size=200).map(lambda data: data.decode("latin-1"))


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        # History that this node no longer keeps: not an outage.
        (-400, "lt not in db", R.PRUNED),
        (651, "cannot find block (-1,8000000000000000) seqno=5: seqno not in db", R.PRUNED),
        (651, "cannot load state of block: state already gc'd", R.PRUNED),
        # The shard client is behind the masterchain.
        (651, "possibly out of sync: shard_client_seqno=100 ls_seqno=160", R.SHARD_LAG),
        (651, "block is not applied", R.SHARD_LAG),
        (651, "specified mc block is older than the reference", R.SHARD_LAG),
        # The block asked for does not exist yet.
        (651, "too big masterchain block seqno", R.NOT_READY),
        # The block asked for is not known at all.
        (651, "cannot load block (-1,8000000000000000,9):AB:CD : block is not in db", R.NOT_FOUND),
        (
            651,
            "cannot find block (-1,8000000000000000) seqno=9: ltdb: block not found",
            R.NOT_FOUND,
        ),
        (-400, "not in db", R.NOT_FOUND),
        # Too much asked of it.
        (0, "too many pending external message checks", R.OVERLOADED),
        (0, "too many external messages to address 0:AB", R.OVERLOADED),
        (653, "cancelled", R.OVERLOADED),
        # The sender's own error.
        (0, "cannot apply external message to current state : exitcode=33", R.MESSAGE_REJECTED),
        (0, "cannot apply external message : Failed to unpack account state", R.MESSAGE_REJECTED),
        (0, "duplicate message", R.MESSAGE_REJECTED),
        # Questions that this version does not know.
        (-400, "unsupported getMasterchainInfo mode", R.UNSUPPORTED),
        (0, "Unknown constructor found 0xdeadbeef", R.UNSUPPORTED),
        (602, "unknown query", R.UNSUPPORTED),
        (621, "protocol violation", R.UNSUPPORTED),
        # By code alone.
        (-503, "timeout", R.UPSTREAM_TIMEOUT),
        (652, "timeout", R.UPSTREAM_TIMEOUT),
        (651, "no such luck", R.NOT_READY),
        (601, "failure", R.SERVER_ERROR),
        (602, "error", R.SERVER_ERROR),
        (603, "warning", R.SERVER_ERROR),
        # Anything else.
        (-400, "transaction hash mismatch", R.SERVER_ERROR),
        (-400, "cannot request total state: possibly too large", R.SERVER_ERROR),
        (0, "Too much data to fetch", R.SERVER_ERROR),
        (0, "Not enough data to read", R.SERVER_ERROR),
        (12345, "", R.SERVER_ERROR),
    ],
)
def test_reason(code: int, text: str, reason: Reason) -> None:
    assert classify(code, text) is reason


def test_case_does_not_matter() -> None:
    assert classify(651, "Possibly Out Of Sync") is R.SHARD_LAG


@given(st.integers(-(2**31), 2**31 - 1), ANY_TEXT)
def test_any_error_has_a_reason_that_is_not_ok(code: int, text: str) -> None:
    assert classify(code, text) not in {R.OK, R.PROBE_FAILED}


@pytest.mark.parametrize(
    ("text", "seqno"),
    [
        ("possibly out of sync: shard_client_seqno=100 ls_seqno=160", 100),
        ("possibly out of sync: shard_client_seqno=4294967295 ls_seqno=1", 4294967295),
        ("possibly out of sync", None),
        ("shard_client_seqno=", None),
        ("shard_client_seqno=-5", None),
        ("", None),
    ],
)
def test_shard_client_seqno(text: str, seqno: int | None) -> None:
    assert shard_client_seqno(text) == seqno


@given(ANY_TEXT)
def test_shard_client_seqno_is_bounded(digits: str) -> None:
    seqno = shard_client_seqno(f"shard_client_seqno={digits}")
    assert seqno is None or 0 <= seqno < 10**10
