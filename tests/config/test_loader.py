"""Loading the configuration: what is accepted, and the messages for mistakes."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nacl.signing import SigningKey

from tests.configs import load
from tonwatch.config.loader import ConfigError, schema
from tonwatch.config.models import Config
from tonwatch.targets import registry
from tonwatch.ton.networks import ZEROSTATES

KEY = "n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk="
KEYS = [
    base64.b64encode(bytes(SigningKey(bytes([number]) * 32).verify_key)).decode()
    for number in range(9)
]
SERVER = {"name": "node", "host": "127.0.0.1", "port": 40001, "key": KEY}
PROVIDER = {"name": "toncenter", "kind": "toncenter-v2", "url": "https://toncenter.com/api/v2"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("TONWATCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], Config]:
    """Loads a configuration given as data or as YAML text."""

    def read(content: Any) -> Config:
        file = tmp_path / "tonwatch.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return load(file)

    return read


def global_config(tmp_path: Path, zerostate: bytes = ZEROSTATES["mainnet"], count: int = 3) -> Path:
    file = tmp_path / "global.config.json"
    servers = [
        {"ip": -2018135749 + number, "port": 53312, "id": {"@type": "pub.ed25519", "key": key}}
        for number, key in enumerate(KEYS[:count])
    ]
    zero_state = {"root_hash": base64.b64encode(zerostate).decode()}
    file.write_text(json.dumps({"liteservers": servers, "validator": {"zero_state": zero_state}}))
    return file


class TestAccepted:
    def test_a_complete_file(self, read: Any) -> None:
        config = read({"liteservers": [SERVER], "providers": [PROVIDER]})
        assert [server.name for server in config.liteservers] == ["node"]
        assert config.liteservers[0].role == "primary"
        assert config.zerostate == ZEROSTATES["mainnet"]

    @pytest.mark.parametrize(
        ("text", "seconds"), [("500ms", 0.5), ("15s", 15.0), ("2m", 120.0), ("1.5h", 5400.0)]
    )
    def test_durations(self, read: Any, text: str, seconds: float) -> None:
        config = read({"probe": {"connect_interval": text}})
        assert config.probe.connect_interval == seconds

    @pytest.mark.parametrize("key", [KEY, base64.b64decode(KEY).hex()])
    def test_keys_in_base64_and_hex(self, read: Any, key: str) -> None:
        assert read({"liteservers": [SERVER | {"key": key}]}).liteservers[0].key == key

    @pytest.mark.parametrize("coin", ["TON", "Gram", "g", "G" * 10])
    def test_a_coin(self, read: Any, coin: str) -> None:
        assert read({}).coin == "TON"
        assert read({"coin": coin}).coin == coin

    def test_a_network_by_its_zerostate(self, read: Any) -> None:
        assert read({"network": "ab" * 32}).zerostate == bytes.fromhex("ab" * 32)

    def test_an_empty_file_is_the_defaults(self, read: Any) -> None:
        assert read("") == Config()

    def test_global_config(self, read: Any, tmp_path: Path) -> None:
        source = {"global_config": str(global_config(tmp_path)), "count": 2}
        servers = read({"liteservers": [SERVER, source]}).liteservers
        assert [server.name for server in servers] == ["node", "public-1", "public-2"]
        assert [server.role for server in servers] == ["primary", "reference", "reference"]
        assert (servers[1].host, servers[1].port) == ("135.181.177.59", 53312)

    def test_environment_over_file(self, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_SERVE__PORT", "9800")
        config = read({"serve": {"port": 1, "host": "127.0.0.1"}})
        assert (config.serve.port, config.serve.host) == (9800, "127.0.0.1")

    def test_lists_in_the_environment_are_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_LITESERVERS", json.dumps([SERVER]))
        assert load(None).liteservers[0].name == "node"

    def test_service_links_of_kubernetes_are_not_settings(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for service in ("TONWATCH", "TONWATCH_NODE"):
            for name, text in {
                "PORT": "tcp://10.0.0.1:9717",
                "SERVICE_HOST": "10.0.0.1",
                "SERVICE_PORT": "9717",
                "SERVICE_PORT_HTTP": "9717",
                "PORT_9717_TCP": "tcp://10.0.0.1:9717",
                "PORT_9717_TCP_ADDR": "10.0.0.1",
                "PORT_9717_TCP_PROTO": "tcp",
            }.items():
                monkeypatch.setenv(f"{service}_{name}", text)
        assert load(None) == Config()

    def test_a_setting_that_is_misspelt_is_no_service_link(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TONWATCH_SERVE_PORT", "9717")
        with pytest.raises(ConfigError, match="TONWATCH_SERVE_PORT: unknown setting"):
            load(None)


class TestMistakes:
    """Each message names the place and what to do."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            pytest.param(
                {"liteservers": [SERVER | {"prot": 1}]},
                ["liteservers[0].prot: unknown key", "did you mean port?"],
                id="unknown key",
            ),
            pytest.param(
                {"treshholds": {}},
                ["treshholds: unknown key; did you mean thresholds?"],
                id="unknown section",
            ),
            pytest.param(
                {"probe": {"intervall": "5s"}}, ["probe.intervall", "interval?"], id="in a section"
            ),
            pytest.param(
                {"liteservers": [{"name": "node", "host": "h", "key": KEY}]},
                ["liteservers[0].port: missing"],
                id="missing",
            ),
            pytest.param(
                {"liteservers": [SERVER | {"port": 70000}]}, ["liteservers[0].port"], id="bad port"
            ),
            pytest.param(
                {"liteservers": [SERVER | {"key": "abc"}]},
                ["liteservers[0].key", "base64"],
                id="key is no base64",
            ),
            pytest.param(
                {"liteservers": [SERVER | {"key": base64.b64encode(bytes(31)).decode()}]},
                ["31 bytes", "has 32"],
                id="key too short",
            ),
            pytest.param(
                {"liteservers": [SERVER | {"key": base64.b64encode(b"\x02" + bytes(31)).decode()}]},
                ["liteservers[0].key", "not an ed25519 public key"],
                id="key is not a curve point",
            ),
            pytest.param(
                {"liteservers": [{k: v for k, v in SERVER.items() if k != "key"}]},
                ["liteservers[0]", "exactly one of key and key_file"],
                id="no key",
            ),
            pytest.param(
                {"liteservers": [SERVER], "providers": [PROVIDER | {"name": "node"}]},
                ["providers[0] and liteservers[0] are both named 'node'", "rename"],
                id="duplicate name",
            ),
            pytest.param(
                {"liteservers": [SERVER | {"name": "My Node"}]},
                ["liteservers[0].name", "lower-case"],
                id="bad name",
            ),
            pytest.param({"network": "main"}, ["network", "mainnet, testnet"], id="bad network"),
            pytest.param({"coin": ""}, ["coin", "1 to 10 letters"], id="coin without a name"),
            pytest.param({"coin": "G" * 11}, ["coin", "1 to 10 letters"], id="long coin"),
            pytest.param({"coin": "<b>"}, ["coin", "1 to 10 letters"], id="coin not of letters"),
            pytest.param({"coin": "TON\n"}, ["coin", "1 to 10 letters"], id="coin and line break"),
            pytest.param(
                {"probe": {"interval": 5}}, ["probe.interval", "such as 5s"], id="no unit"
            ),
            pytest.param(
                {"probe": {"timeout": "6s"}}, ["timeout must be shorter"], id="timeout too long"
            ),
            pytest.param(
                {"thresholds": {"lag_warn": "30s"}},
                ["lag_warn must not be above lag_unready"],
                id="thresholds out of order",
            ),
            pytest.param(
                {"providers": [PROVIDER | {"url": "toncenter.com"}]},
                ["providers[0].url"],
                id="url without scheme",
            ),
            pytest.param(
                {"providers": [PROVIDER | {"kind": "toncenter"}]},
                ["providers[0].kind", "toncenter-v2"],
                id="bad kind",
            ),
            pytest.param("liteservers: [", ["tonwatch.yaml:1", "not YAML"], id="not YAML"),
            pytest.param("- a\n- b\n", ["must be a mapping"], id="a list"),
            pytest.param("on: 1\n", ["must be a mapping"], id="a key that is no text"),
            pytest.param(
                "wallets: []\nserve: {}\nwallets: []",
                ["tonwatch.yaml:3: wallets: this key is written twice, first on line 1"],
                id="a key twice",
            ),
            pytest.param("serve: " + "[" * 100_000, ["more than 50 levels"], id="brackets"),
            pytest.param(
                {"liteservers": [SERVER | {"host": "127.0.0.1:40001"}]},
                ["tonwatch.yaml:2: liteservers[0].host: write the host alone"],
                id="host and port in one",
            ),
            pytest.param(
                {"serve": {"host": "a..b"}}, ["serve.host: neither a host's name"], id="no host"
            ),
            pytest.param({"state_dir": ""}, ["state_dir: write a path"], id="no directory"),
            pytest.param({"state_dir": "a\0b"}, ["state_dir: write a path"], id="no path"),
            pytest.param(
                'state_dir: "/a\\ud800b"', ["state_dir: no file can have this name"], id="no name"
            ),
            *(
                pytest.param(
                    f"wallets: [{{name: hot, address: '0:{'0' * 64}', minimum: {amount}}}]",
                    ["wallets[0].minimum: an amount has at most 40 digits"],
                    id=f"{amount} coins",
                )
                for amount in ("1e999999", "'1e999999999'", "1e-99999", "0e999999999")
            ),
        ],
    )
    def test_message(self, read: Any, content: Any, words: list[str]) -> None:
        with pytest.raises(ConfigError) as caught:
            read(content)
        assert [word for word in words if word not in str(caught.value)] == []

    def test_the_line_is_named(self, read: Any) -> None:
        with pytest.raises(ConfigError, match=r"tonwatch\.yaml:4: liteservers\[0\]\.port"):
            read("liteservers:\n  - name: node\n    host: h\n    port: x\n    key: " + KEY)

    def test_all_mistakes_are_named_at_once(self, read: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            read({"network": "x", "serve": {"port": -1}, "probe": {"interval": 1}})
        assert len(str(caught.value).splitlines()) == 3

    def test_a_secret_in_the_url_is_not_repeated(self, read: Any) -> None:
        with pytest.raises(ConfigError, match="api_key_file") as caught:
            read({"providers": [PROVIDER | {"url": "https://x.example/api?api_key=hunter2"}]})
        assert "hunter2" not in str(caught.value)

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file"):
            load(tmp_path / "nothing.yaml")

    def test_unknown_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_SERV__PORT", "1")
        with pytest.raises(ConfigError, match=r"TONWATCH_SERV__PORT: .*did you mean serve"):
            load(None)

    def test_variable_that_is_no_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_LITESERVERS", "[{")
        with pytest.raises(ConfigError, match="JSON"):
            load(None)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            pytest.param(
                json.dumps([SERVER]).replace('"port"', '"name": "x", "port"'),
                ["environment TONWATCH_LITESERVERS:1: [0].name: this key", "first on line 1"],
                id="a key twice",
            ),
            pytest.param("[" * 100_000, ["more than 50 levels deep"], id="brackets"),
        ],
    )
    def test_variable_whose_json_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
    ) -> None:
        monkeypatch.setenv("TONWATCH_LITESERVERS", text)
        with pytest.raises(ConfigError) as caught:
            load(None)
        assert [word for word in words if word not in str(caught.value)] == []

    def test_a_section_in_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_SERVE", '{"port": 1, "port": 2}')
        with pytest.raises(ConfigError, match=r"TONWATCH_SERVE:1: port: this key is written twice"):
            load(None)

    def test_a_variable_in_two_spellings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_SERVE__PORT", "1")
        monkeypatch.setenv("tonwatch_serve__port", "2")
        with pytest.raises(ConfigError) as caught:
            load(None)
        assert "TONWATCH_SERVE__PORT and tonwatch_serve__port: one setting" in str(caught.value)

    def test_no_line_of_the_file_is_blamed_for_a_variable(
        self, read: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TONWATCH_LITESERVERS", json.dumps([SERVER, SERVER | {"name": "b"}]))
        monkeypatch.setenv("TONWATCH_SERVE__PORT", "99999")
        with pytest.raises(ConfigError, match=r"^serve\.port: ") as caught:
            read({"serve": {"port": 1}, "log": {"level": "loud"}})
        assert "tonwatch.yaml:2: log.level" in str(caught.value)
        monkeypatch.setenv("TONWATCH_SERVE__PORT", "1")
        with pytest.raises(ConfigError, match=r"^liteservers\[0\] and liteservers\[1\] are one"):
            read({"liteservers": [SERVER, SERVER | {"name": "b"}]})

    def test_an_empty_variable_is_no_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TONWATCH_STATE_DIR", "")
        with pytest.raises(ConfigError, match="state_dir: write a path"):
            load(None)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param({"count": 9}, "has 3 liteservers, fewer than count: 9", id="too few"),
            pytest.param({"global_config": "/nothing.json"}, "No such file", id="no file"),
        ],
    )
    def test_global_config(self, read: Any, tmp_path: Path, change: Any, words: str) -> None:
        source = {"global_config": str(global_config(tmp_path))} | change
        with pytest.raises(ConfigError, match=words):
            read({"liteservers": [source]})

    def test_global_config_of_another_network(self, read: Any, tmp_path: Path) -> None:
        file = global_config(tmp_path, ZEROSTATES["testnet"])
        with pytest.raises(ConfigError, match="is of the network with zerostate 823f81f3"):
            read({"liteservers": [{"global_config": str(file)}]})


def test_the_schema_names_every_section() -> None:
    assert set(schema(registry.sections())["properties"]) == set(Config.model_fields)
