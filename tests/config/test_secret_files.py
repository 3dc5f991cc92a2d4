"""Key and secret files: late, rotated, damaged, never shown."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.conftest import Clock
from tonwatch.config.secret_files import SecretFile, SecretFiles
from tonwatch.system import regular_file
from tonwatch.system.executors import Threads
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.targets.http_connection import read_api_key
from tonwatch.ton.adnl.keys import read_key_file
from tonwatch.ton.errors import ConnectError, Reason

KEY = bytes.fromhex("9f85439d2094b92a639c2c9493d7b740e39dea8d08b525986d39d6dd69e7f309")


def test_a_file_that_comes_late(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "key", read_api_key)
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
    file = SecretFile(tmp_path / "data" / "key", read_api_key)
    file.refresh()
    assert file.get() == "key-one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "data")
    file.refresh()
    assert file.get() == "key-two"


@pytest.mark.parametrize("damage", [b"", b"two words\nand lines", b"\xff\xfe"])
def test_a_damaged_rotation_keeps_the_last_good_value(tmp_path: Path, damage: bytes) -> None:
    file = SecretFile(tmp_path / "key", read_api_key)
    file.path.write_text("good")
    file.refresh()
    file.path.write_bytes(damage)
    file.refresh()
    assert file.get() == "good"


def test_an_error_is_logged_once_and_secrets_never(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "key", read_api_key)
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
    assert read_key_file(content) == KEY


@pytest.mark.parametrize("content", [b"", b"abc", bytes(36), b"\xff" * 32, bytes(100)])
def test_not_a_server_key(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        read_key_file(content)


class TestNotAFile:
    """Whatever is at the path, reading ends with an error that names it."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> SecretFile[str]:
        return SecretFile(tmp_path / "key", read_api_key)

    def trouble(self, file: SecretFile[str]) -> str:
        file.refresh()
        with pytest.raises(ConnectError) as caught:
            file.get()
        return caught.value.detail

    def test_a_named_pipe(self, file: SecretFile[str]) -> None:
        os.mkfifo(file.path)
        assert "a named pipe where a file is expected" in self.trouble(file)

    def test_a_device_without_an_end(self, file: SecretFile[str]) -> None:
        file.path.symlink_to("/dev/zero")
        assert "a device where a file is expected" in self.trouble(file)

    def test_a_directory(self, file: SecretFile[str]) -> None:
        file.path.mkdir()
        assert "a directory where a file is expected" in self.trouble(file)

    def test_a_socket(self, file: SecretFile[str]) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(file.path))
            assert str(file.path) in self.trouble(file)

    @pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
    def test_too_large(self, file: SecretFile[str], size: int) -> None:
        """It is not cut and used."""
        file.path.write_text("k" * size)
        assert "larger than 65536 bytes" in self.trouble(file)

    def test_it_leaves_no_file_open(self, file: SecretFile[str]) -> None:
        os.mkfifo(file.path)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            file.refresh()
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    def test_the_last_good_value_stays_in_use(self, file: SecretFile[str]) -> None:
        file.path.write_text("good")
        file.refresh()
        file.path.unlink()
        os.mkfifo(file.path)
        file.refresh()
        assert file.get() == "good"


class TestSecretFiles:
    """Files are read independently: one on a disk that hangs delays no other."""

    @pytest.fixture
    def gate(self) -> Iterator[threading.Event]:
        made = threading.Event()
        yield made
        made.set()

    @pytest.fixture
    def threads(self) -> Iterator[Threads]:
        made = Threads("secrets", 8)
        yield made
        made.shutdown()

    @pytest.fixture
    def errors(self, clock: Clock) -> InternalErrors:
        return InternalErrors(wall=clock.wall, monotonic=clock.monotonic)

    @pytest.fixture
    def fresh(self, threads: Threads, errors: InternalErrors) -> SecretFiles:
        return SecretFiles(threads, errors)

    @pytest.fixture
    def files(
        self,
        fresh: SecretFiles,
        tmp_path: Path,
        gate: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
    ) -> dict[str, SecretFile[str]]:
        """Three: one on a disk that hangs, one whose reader has a bug, one that is good."""
        made = {}
        for name in ("hangs", "bug", "good"):
            made[name] = fresh.open(tmp_path / name, read_api_key)
            made[name].path.write_text(f"key-{name}")
        self.reads: list[str] = []

        def read(path: Path, limit: int) -> bytes:
            self.reads.append(path.name)
            if path.name == "hangs":
                gate.wait()
            if path.name == "bug":
                raise RuntimeError("hunter2")
            return path.read_bytes()[:limit]

        monkeypatch.setattr(regular_file, "read", read)
        return made

    async def test_each_is_read_independently(
        self,
        fresh: SecretFiles,
        files: dict[str, SecretFile[str]],
        errors: InternalErrors,
        gate: threading.Event,
    ) -> None:
        with capture_logs() as lines:
            for _ in range(3):
                await fresh.refresh(0.05)
        assert files["good"].get() == "key-good"
        assert self.reads.count("good") == 3
        assert self.reads.count("hangs") == 1, "no second thread for what hangs already"
        assert errors.counts()[Component.SECRETS] == 3
        with pytest.raises(ConnectError, match="the disk does not answer"):
            files["hangs"].get()
        logged = [(line["event"], line.get("trouble")) for line in lines]
        assert logged.count(("secret file", "the disk does not answer")) == 1
        gate.set()
        await fresh.refresh(10.0)
        assert files["hangs"].get() == "key-hangs"

    async def test_shutdown_waits_for_none(
        self, fresh: SecretFiles, files: dict[str, SecretFile[str]]
    ) -> None:
        assert len(files) == 3
        keeping = asyncio.create_task(fresh.keep())
        await fresh.refresh(0.01)
        keeping.cancel()
        await asyncio.wait({keeping})
        fresh.close_all()
