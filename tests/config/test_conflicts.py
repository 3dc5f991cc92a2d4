"""One server under two names would have two votes: it is refused, however it is written."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nacl.signing import SigningKey

from tests.configs import load
from tonwatch.config.loader import ConfigError
from tonwatch.config.models import Config
from tonwatch.ton.networks import ZEROSTATES

KEYS = [bytes(SigningKey(bytes([number]) * 32).verify_key) for number in range(6)]
# One of them with both characters in which base64 and base64url differ.
ODD = next(
    key
    for key in (bytes(SigningKey(bytes([number]) * 32).verify_key) for number in range(6, 256))
    if {"+", "/"} <= set(base64.b64encode(key).decode())
)


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


def server(number: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "name": f"node-{number}",
        "host": f"10.0.0.{number}",
        "port": 40000 + number,
        "key": base64_of(KEYS[number]),
    }
    return {key: value for key, value in (plain | changes).items() if value is not None}


def provider(number: int, url: str) -> dict[str, Any]:
    return {"name": f"provider-{number}", "kind": "toncenter-v2", "url": url}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Loads a configuration from the working directory."""
    monkeypatch.chdir(tmp_path)

    def read(**content: Any) -> Config:
        file = Path("tonwatch.yaml")
        file.write_text(yaml.safe_dump(content))
        return load(file)

    return read


@pytest.fixture
def public(tmp_path: Path) -> Callable[..., str]:
    """Writes a global.config.json that lists servers 1, 2 and 3, or others."""

    def write(*servers: dict[str, Any], name: str = "global.config.json") -> str:
        listed = servers or tuple(entry(number) for number in (1, 2, 3))
        zero_state = {"root_hash": base64_of(ZEROSTATES["mainnet"])}
        file = tmp_path / name
        content = {"liteservers": listed, "validator": {"zero_state": zero_state}}
        file.write_text(json.dumps(content, indent=1))
        return name

    return write


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """A server as a global.config.json lists it."""
    ip = int.from_bytes(bytes((10, 0, 0, number)), "big", signed=True)
    key = {"@type": "pub.ed25519", "key": base64_of(KEYS[number])}
    return {"ip": ip, "port": 40000 + number, "id": key} | changes


class TestLiteservers:
    @pytest.mark.parametrize(
        ("first", "second", "what"),
        [
            pytest.param(
                {"host": "node.example"}, {"host": "NODE.example."}, "host and port", id="case, dot"
            ),
            pytest.param(
                {"host": "127.0.0.1"},
                {"host": "localhost"},
                "host and port (127.0.0.1 40001 and localhost 40001)",
                id="loopback",
            ),
            pytest.param({"host": "localhost"}, {"host": "::1"}, "host and port", id="::1"),
            pytest.param({"host": "[::1]"}, {"host": "127.0.0.1"}, "host and port", id="[::1]"),
            pytest.param(
                {"host": "2001:db8::1"}, {"host": "2001:DB8:0::1"}, "host and port", id="IPv6"
            ),
            pytest.param(
                {"host": "10.1.1.1"}, {"host": "::ffff:10.1.1.1"}, "host and port", id="mapped"
            ),
            pytest.param(
                {"key": base64_of(ODD), "port": 1}, {"key": ODD.hex()}, "key", id="key in hex"
            ),
            pytest.param(
                {"key": base64.urlsafe_b64encode(ODD).decode(), "port": 1},
                {"key": base64_of(ODD)},
                "key",
                id="key in base64url",
            ),
            pytest.param(
                {"key": ODD.hex().upper(), "port": 1},
                {"key": ODD.hex()},
                "key",
                id="key in capitals",
            ),
            pytest.param(
                {"key": None, "key_file": "db/liteserver.pub", "port": 1},
                {"key": None, "key_file": "db/./x/../liteserver.pub"},
                "key_file",
                id="key_file",
            ),
        ],
    )
    def test_one_server_twice(self, read: Any, first: Any, second: Any, what: str) -> None:
        changes = {"port": 40001} | second
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[server(1, **first), server(2), server(3, **changes)])
        text = str(caught.value)
        assert f"liteservers[0] and liteservers[2] are one server, by the same {what}" in text
        assert text.endswith("keep one of them")
        assert len(text.splitlines()) == 1

    def test_the_line_is_named(self, read: Any) -> None:
        with pytest.raises(ConfigError, match=r"^tonwatch\.yaml:6: liteservers\[0\] and"):
            read(liteservers=[server(1), server(1, name="again")])

    def test_a_file_by_its_full_path_and_by_a_link(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("liteserver.pub")
        keys = [str(tmp_path / "liteserver.pub"), "link"]
        servers = [server(n, key=None, key_file=file) for n, file in enumerate(keys, start=1)]
        with pytest.raises(ConfigError, match="by the same key_file"):
            read(liteservers=servers)

    def test_a_third_that_shares_something_with_each(self, read: Any) -> None:
        third = server(3, host="10.0.0.1", port=40001, key=base64_of(KEYS[2]))
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[server(1), server(2), third])
        assert [line.partition(": ")[2][:42] for line in str(caught.value).splitlines()] == [
            "liteservers[0] and liteservers[2] are one ",
            "liteservers[1] and liteservers[2] are one ",
        ]

    @pytest.mark.parametrize(
        "second",
        [
            pytest.param({"host": "10.0.0.1"}, id="another port"),
            pytest.param({"port": 40001}, id="another host"),
            pytest.param({"host": "127.0.0.2", "port": 40001}, id="another loopback address"),
        ],
    )
    def test_two_servers(self, read: Any, second: Any) -> None:
        assert len(read(liteservers=[server(1), server(2, **second)]).liteservers) == 2


class TestProviders:
    @pytest.mark.parametrize(
        "url",
        [
            "https://ton.example/api/v2",
            "https://TON.example/api/v2",
            "https://ton.example./api/v2",
            "https://ton.example:443/api/v2",
            "https://ton.example/api/v2/",
            "https://ton.example//api//v2//",
            "https://ton.example/api/x/../v2",
            "https://ton.example/%61pi/v2",
            "http://ton.example/api/v2",
            "http://ton.example:80/api/v2",
        ],
    )
    def test_one_provider_twice(self, read: Any, url: str) -> None:
        providers = [provider(1, "https://ton.example/api/v2"), provider(2, url)]
        with pytest.raises(ConfigError, match=r"providers\[0\] and providers\[1\] are one server"):
            read(providers=providers)

    def test_both_urls_are_shown(self, read: Any) -> None:
        urls = ["http://localhost:8081/api/v2", "http://[::1]:8081/api/v2/"]
        with pytest.raises(ConfigError) as caught:
            read(providers=[provider(number, url) for number, url in enumerate(urls)])
        assert f"by the same URL ({urls[0]} and {urls[1]})" in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "https://ton.example/testnet/v2",
            "https://ton.example/API/v2",
            "https://ton.example:8443/api/v2",
            "https://other.example/api/v2",
        ],
    )
    def test_two_providers(self, read: Any, url: str) -> None:
        config = read(providers=[provider(1, "https://ton.example/api/v2"), provider(2, url)])
        assert len(config.providers) == 2


class TestGlobalConfig:
    def test_a_server_that_is_listed_by_itself_too(self, read: Any, public: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[server(2), {"global_config": public()}])
        assert str(caught.value) == (
            "tonwatch.yaml:6: liteservers[0] and liteservers[1] are one server, by the same"
            " host and port and the same key; under two names it would have two votes:"
            " liteservers[1] takes it as public-2 from global.config.json: remove liteservers[0],"
            " or lower liteservers[1].count to 1, or name a copy of that file without it"
        )

    def test_its_first_server(self, read: Any, public: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[{"global_config": public()}, server(1)])
        assert "count" not in str(caught.value)
        assert "remove liteservers[1], or name a copy" in str(caught.value)

    def test_a_server_after_the_first(self, read: Any, public: Any) -> None:
        config = read(liteservers=[server(3), {"global_config": public(), "count": 2}])
        assert len(config.liteservers) == 3

    def test_two_files(self, read: Any, public: Any) -> None:
        other = public(entry(4), entry(2), name="other.json")
        sources = [
            {"global_config": public()},
            {"global_config": other, "name": "other", "count": 2},
        ]
        with pytest.raises(ConfigError) as caught:
            read(liteservers=sources)
        text = str(caught.value)
        assert "liteservers[0] takes it as public-2 from global.config.json" in text
        assert "liteservers[1] takes it as other-2 from other.json" in text
        assert "lower liteservers[0].count to 1, or lower liteservers[1].count to 1" in text

    @pytest.mark.parametrize(
        "again",
        [
            pytest.param(entry(1), id="all of it"),
            pytest.param(entry(2, id={"key": KEYS[1].hex()}), id="the key"),
            pytest.param(entry(1, id={"key": base64_of(KEYS[4])}), id="host and port"),
        ],
    )
    def test_a_server_that_the_file_lists_twice_counts_once(
        self, read: Any, public: Any, again: Any
    ) -> None:
        file = public(entry(1), again, entry(3))
        config = read(liteservers=[{"global_config": file, "count": 2}])
        assert [(each.name, each.host) for each in config.liteservers] == [
            ("public-1", "10.0.0.1"),
            ("public-2", "10.0.0.3"),
        ]
        with pytest.raises(
            ConfigError, match="has 2 liteservers in 3 entries, fewer than count: 3"
        ):
            read(liteservers=[{"global_config": file}])

    def test_an_address_without_its_sign(self, read: Any, public: Any) -> None:
        file = public(entry(1, ip=int.from_bytes(bytes((200, 0, 0, 1)), "big")))
        config = read(liteservers=[{"global_config": file, "count": 1}])
        assert config.liteservers[0].host == "200.0.0.1"

    @pytest.mark.parametrize(
        ("listed", "words"),
        [
            ({"ip": None}, "liteservers[0]: neither ip nor hostname"),
            ({"hostname": "a..b"}, "liteservers[0].hostname: neither a host's name nor"),
            ({"port": 0}, "liteservers[0].port: "),
            ({"id": {}}, "liteservers[0].id.key: "),
            ({"id": {"key": "short"}}, "liteservers[0].id.key: not base64 or hex"),
            ({"id": "x"}, "liteservers[0].id: "),
        ],
    )
    def test_an_entry_that_makes_no_sense(
        self, read: Any, public: Any, listed: Any, words: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[{"global_config": public(entry(1, **listed)), "count": 1}])
        assert f"liteservers[0].global_config: global.config.json: {words}" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[]", "global.config.json: Input should be a valid dictionary"),
            ('{"liteservers": ["x"], "validator": {}}', "json: liteservers[0]: "),
            ("{", "global.config.json:1: not JSON"),
            ("[" * 100_000, "nested more than 50 levels deep"),
            (
                '{"liteservers": [],\n"liteservers": []}',
                "global.config.json:2: liteservers: this key is written twice, first on line 1",
            ),
        ],
    )
    def test_another_file(self, read: Any, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "global.config.json").write_text(text)
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[{"global_config": "global.config.json"}])
        assert words in str(caught.value)

    def test_a_name_too_long_for_the_number(self, read: Any, public: Any) -> None:
        with pytest.raises(ConfigError, match=r"liteservers\[0\]: name is too long"):
            read(liteservers=[{"global_config": public(), "name": "n" * 62}])


class TestOwnPort:
    """Listening on a target's address would fail, or probe tonwatch itself."""

    @pytest.mark.parametrize(
        ("listening", "target"),
        [
            ("0.0.0.0", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.2"),
            ("0.0.0.0", "localhost"),
            ("", "::1"),
            ("::", "::1"),
            ("127.0.0.1", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
        ],
    )
    def test_taken(self, read: Any, listening: str, target: str) -> None:
        serve = {"host": listening, "port": 40001}
        with pytest.raises(ConfigError) as caught:
            read(liteservers=[server(1, host=target)], serve=serve)
        assert "serve.port: liteservers[0] has port 40001 of this machine" in str(caught.value)

    def test_taken_by_a_provider(self, read: Any) -> None:
        with pytest.raises(ConfigError, match=r"serve.port: providers\[0\] has port 9717"):
            read(providers=[provider(1, "http://127.0.0.1:9717/api/v2")])

    @pytest.mark.parametrize(
        ("listening", "target"),
        [
            ("0.0.0.0", "10.0.0.1"),
            ("0.0.0.0", "::1"),
            ("127.0.0.1", "127.0.0.2"),
            ("10.0.0.1", "127.0.0.1"),
        ],
    )
    def test_free(self, read: Any, listening: str, target: str) -> None:
        read(
            liteservers=[server(1, host=target)],
            serve={"host": listening, "port": 40001},
        )
