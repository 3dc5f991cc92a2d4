"""Two targets of one operator are one source: who runs a provider, by its host."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.configs import KEY, configured
from tonwatch.config.operators import registered_domain
from tonwatch.targets.registry import KINDS, kind_of


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("toncenter.com", "toncenter.com"),
        ("testnet.toncenter.com", "toncenter.com"),
        ("API.TonCenter.com.", "toncenter.com"),
        ("rpc.ton.example.co.uk", "example.co.uk"),
        ("one.github.io", "one.github.io"),
        ("github.io", None),
        ("com", None),
        ("пример.испытание.рф", "xn--80akhbyknj4f.xn--p1ai"),
        ("a.b.unknowntld", "b.unknowntld"),
        ("localhost", None),
        ("provider", None),
        ("provider.local", None),
        ("provider.internal", None),
        ("provider.ton.svc", None),
        ("provider.ton.svc.cluster.local", None),
        ("192.0.2.1", None),
        ("127.1", None),
        ("2001:db8::1", None),
        ("[2001:db8::1]", None),
    ],
)
def test_registered_domain(host: str, domain: str | None) -> None:
    assert registered_domain(host) == domain


def operators(content: Any) -> list[str]:
    config = configured(content)
    return [kind_of(section, KINDS).target(section).operator for section in config.targets]


def provider(name: str, url: str, **how: Any) -> Any:
    return {"name": name, "kind": "toncenter-v2", "url": url, **how}


def test_by_kind() -> None:
    content = {
        "liteservers": [
            {"name": "node", "host": "node.example.com", "port": 1, "key": KEY},
            {"name": "ours", "host": "10.0.0.2", "port": 2, "key_file": "a", "operator": "us"},
        ],
        "providers": [
            provider("v2", "https://toncenter.com/api/v2"),
            provider("other", "https://mainnet.toncenter.com/api/v2"),
            provider("own", "https://ton.example.com/api/v2", operator="us"),
            provider("here", "http://127.0.0.1:8081"),
            provider("there", "http://[2001:db8::1]:8081"),
            provider("pod", "http://api.ton.svc.cluster.local"),
        ],
    }
    assert operators(content) == [
        *("node", "us", "toncenter.com", "toncenter.com", "us"),
        *("127.0.0.1:8081", "[2001:db8::1]:8081", "api.ton.svc.cluster.local:80"),
    ]


@pytest.mark.parametrize("written", ["", "Some One", "x" * 64, 5])
def test_names_of_operators_are_like_those_of_targets(written: Any) -> None:
    with pytest.raises(ValidationError, match="operator"):
        configured({"providers": [provider("it", "https://x.com", operator=written)]})
