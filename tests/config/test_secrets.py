"""Key and secret files: late, rotated, damaged, never shown."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tonwatch.secrets import SecretFile, api_key, server_key
from tonwatch.ton.errors import ConnectError, Reason

KEY = bytes.fromhex("9f85439d2094b92a639c2c9493d7b740e39dea8d08b525986d39d6dd69e7f309")


def test_a_file_that_comes_late(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "key", api_key)
    file.refresh()
    with pytest.raises(ConnectError, match="No such file") as caught:
        file.get()
    assert caught.value.reason is Reason.KEY_UNAVAILABLE
    file.path.write_text("now-it-is-here\n")
    file.refresh()
    assert file.get() == "now-it-is-here"


def test_a_rotation_by_swapped_symlink(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(f"key-{name}")
    (tmp_path / "data").symlink_to("one")
    file = SecretFile(tmp_path / "data" / "key", api_key)
    file.refresh()
    assert file.get() == "key-one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "data")
    file.refresh()
    assert file.get() == "key-two"


@pytest.mark.parametrize("damage", [b"", b"two words\nand lines", b"\xff\xfe"])
def test_a_damaged_rotation_keeps_the_last_good_value(tmp_path: Path, damage: bytes) -> None:
    file = SecretFile(tmp_path / "key", api_key)
    file.path.write_text("good")
    file.refresh()
    file.path.write_bytes(damage)
    file.refresh()
    assert file.get() == "good"


def test_trouble_is_said_once_and_secrets_never(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "key", api_key)
    with capture_logs() as lines:
        file.path.write_text("first-secret")
        file.refresh()
        file.path.write_text("second-secret")
        file.refresh()
        file.path.write_text("broken secret")
        file.refresh()
        file.refresh()
    assert [line["log_level"] for line in lines] == ["info", "warning"]
    assert "secret" not in str([{k: v for k, v in x.items() if k != "event"} for x in lines])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(bytes.fromhex("c6b41348") + KEY, id="the node's own liteserver.pub"),
        pytest.param(KEY.hex().encode() + b"\n", id="hex"),
        pytest.param(b"n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk=", id="base64"),
    ],
)
def test_server_key(content: bytes) -> None:
    assert server_key(content) == KEY


@pytest.mark.parametrize("content", [b"", b"abc", bytes(36), b"\xff" * 32, bytes(100)])
def test_not_a_server_key(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        server_key(content)
