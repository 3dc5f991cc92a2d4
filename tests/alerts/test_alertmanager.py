"""The example for Alertmanager: it is valid, everybody is told what is theirs, and what explains
something else silences that and no more.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import yaml

from tests.e2e.monitoring import ALERTMANAGER, free_ports

CONFIG = Path(__file__).parents[2] / "alerts" / "alertmanager.yaml"

NODE = {"job": "tonwatch", "instance": "sidecar:9717", "target": "node-1"}
PURSE = {"job": "tonwatch", "instance": "sidecar:9717", "wallet": "hot", "asset": "native"}
WHOLE = {"job": "tonwatch", "instance": "sidecar:9717"}
NODES, PAYOUTS, PLATFORM = "ton-nodes", "payouts", "platform"

ROUTES: list[tuple[str, dict[str, str], str, str]] = [
    ("NodeDown", NODE, NODES, "critical"),
    ("NodeDown", NODE, NODES, "warning"),
    ("NodeLagging", NODE, NODES, "warning"),
    ("LagCritical", NODE, NODES, "critical"),
    ("ProviderDown", NODE, NODES, "warning"),
    ("WrongNetwork", NODE, NODES, "critical"),
    ("WritePathBroken", NODE, NODES, "critical"),
    ("NodeAvailabilityBurn", NODE, NODES, "critical"),
    ("ProviderFreshnessBurn", NODE, NODES, "warning"),
    ("ChainStalled", WHOLE, NODES, "critical"),
    ("SourcesDisagree", WHOLE, NODES, "warning"),
    ("EgressBroken", WHOLE, PLATFORM, "critical"),
    ("LocalClockSkewed", WHOLE, PLATFORM, "warning"),
    ("Absent", {"job": "tonwatch"}, PLATFORM, "critical"),
    ("Hanging", WHOLE, PLATFORM, "critical"),
    ("InternalErrors", WHOLE, PLATFORM, "warning"),
    ("ProbesOverrunning", NODE, PLATFORM, "warning"),
    ("NoData", NODE, PLATFORM, "warning"),
    ("WalletLow", PURSE, PAYOUTS, "critical"),
    ("WalletRunwayShort", PURSE, PAYOUTS, "warning"),
    ("WalletRunwayCritical", PURSE, PAYOUTS, "critical"),
    ("WalletFrozen", PURSE, PAYOUTS, "critical"),
    ("WalletUnread", PURSE, PAYOUTS, "warning"),
    ("PayoutsFailing", PURSE, PAYOUTS, "critical"),
    ("PayoutsStopped", PURSE, PAYOUTS, "warning"),
    ("PayoutsUnaccounted", PURSE | {"measure": "coins"}, PAYOUTS, "critical"),
    ("PayoutHelperDown", {"job": "payout-helper"}, PAYOUTS, "critical"),
    ("PayoutHelperErrors", {"job": "payout-helper"}, PAYOUTS, "warning"),
    ("ContractChanged", WHOLE | {"contract": "escrow"}, PAYOUTS, "critical"),
    ("WalletApiDown", {"job": "wallet-api"}, PLATFORM, "critical"),
    ("WalletApiErrors", {"job": "wallet-api", "http_route": "/send"}, PLATFORM, "critical"),
    ("WalletApiSlow", {"job": "wallet-api"}, PLATFORM, "warning"),
    ("AnalyticsApiErrors", {"job": "analytics-api"}, PLATFORM, "warning"),
    ("AnalyticsLag", {"job": "analytics-api"}, PLATFORM, "critical"),
    # The label `team` goes before what the alert is about.
    ("NodeDown", NODE | {"team": "platform"}, PLATFORM, "critical"),
    ("WalletLow", PURSE | {"team": "ton-nodes"}, NODES, "warning"),
    ("WalletApiDown", {"job": "wallet-api", "team": "payouts"}, PAYOUTS, "critical"),
    ("Absent", {"job": "tonwatch", "team": "ton-nodes"}, NODES, "critical"),
    # A team that has no route of its own.
    ("NodeDown", NODE | {"team": "somebody"}, NODES, "critical"),
]


def amtool(*arguments: str) -> str:
    """What it prints; a test that needs it is skipped where it is not installed."""
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed: apt install prometheus-alertmanager")
    ended = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def receivers_of(labels: dict[str, str]) -> list[str]:
    written = (f"{name}={value}" for name, value in labels.items())
    told = amtool("config", "routes", "test", f"--config.file={CONFIG}", *written)
    return told.split()


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return content


def routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """This route and all below it."""
    yield route
    for below in route.get("routes", ()):
        yield from routes(below)


def webhooks() -> Iterator[dict[str, Any]]:
    for receiver in config()["receivers"]:
        yield from receiver["webhook_configs"]


def test_it_is_valid() -> None:
    amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("name", "labels", "team", "severity"),
    ROUTES,
    ids=[
        f"{name}-{severity}{'-team-' + labels['team'] if 'team' in labels else ''}"
        for name, labels, _, severity in ROUTES
    ],
)
def test_who_is_told(name: str, labels: dict[str, str], team: str, severity: str) -> None:
    place = "pager" if severity == "critical" else "chat"
    told = receivers_of({"alertname": f"Tonwatch{name}", "severity": severity} | labels)
    assert told == [f"{team}-{place}"]


@pytest.mark.parametrize("labels", [NODE, PURSE, NODE | {"team": "payouts"}])
def test_nobody_is_called_for_information(labels: dict[str, str]) -> None:
    named = {"alertname": "TonwatchNodeCatchingUp", "severity": "info"}
    assert receivers_of(named | labels) == ["notes"]


def test_the_watchdog_goes_to_the_switch_alone() -> None:
    labels = {"alertname": "TonwatchWatchdog", "severity": "info", "team": "platform"}
    assert receivers_of(labels) == ["dead-mans-switch"]


def test_alerts_of_others_are_not_lost() -> None:
    assert receivers_of({"alertname": "DiskFull", "severity": "critical"}) == ["ton-nodes-chat"]


def test_every_receiver_is_used() -> None:
    used = {route["receiver"] for route in routes(config()["route"]) if "receiver" in route}
    assert used == {receiver["name"] for receiver in config()["receivers"]}


def test_pages_are_never_muted() -> None:
    muted = [route for route in routes(config()["route"]) if "mute_time_intervals" in route]
    assert muted
    assert all(route["matchers"] == ['severity="warning"'] for route in muted)


def test_secrets_stay_in_files() -> None:
    for webhook in webhooks():
        assert set(webhook["http_config"]["authorization"]) == {"credentials_file"}
        assert re.fullmatch(r"https://[a-z.-]+\.example/[a-z/-]+", webhook["url"])


WITHIN: Final = 30.0
"""Seconds in which it starts, and knows what it has been told."""

Alert = tuple[str, str, dict[str, str]]
"""Name, severity, and what it is about."""

PEER = NODE | {"target": "node-2"}
ELSEWHERE = NODE | {"instance": "other:9717"}
PROVIDER = NODE | {"target": "toncenter"}
USDT = PURSE | {"asset": "usdt"}
COLD = PURSE | {"wallet": "cold"}
WALLET = {name: PURSE[name] for name in ("job", "instance", "wallet")}
CONTRACT = WHOLE | {"contract": "escrow"}
WALLET_API = {"job": "wallet-api", "service": "wallet-api"}
ANALYTICS = {"job": "analytics-api", "service": "analytics-api"}
HELPER = {"job": "payout-helper", "service": "payout-helper"}
PAYING = {name: PURSE[name] for name in ("wallet", "asset")}

EGRESS: Alert = ("EgressBroken", "critical", WHOLE)
STALL: Alert = ("ChainStalled", "critical", WHOLE)
DOWN: Alert = ("NodeDown", "critical", NODE)
LAG: Alert = ("LagCritical", "critical", NODE)
FROZEN: Alert = ("WalletFrozen", "critical", WALLET)
LOW: Alert = ("WalletLow", "critical", PURSE)
API_DOWN: Alert = ("WalletApiDown", "critical", WALLET_API)
ANALYTICS_DOWN: Alert = ("AnalyticsApiDown", "critical", ANALYTICS)
HELPER_DOWN: Alert = ("PayoutHelperDown", "critical", HELPER)
MISSING: Alert = ("PayoutsUnaccounted", "critical", PURSE | {"measure": "coins"})

SILENCES: list[tuple[Alert, Alert]] = [
    # Nothing outside can be judged.
    (EGRESS, DOWN),
    (EGRESS, ("ProviderDown", "critical", PROVIDER)),
    (EGRESS, LAG),
    (EGRESS, ("NoData", "critical", NODE)),
    (EGRESS, ("NodeAvailabilityBurn", "critical", NODE)),
    (EGRESS, ("WalletUnread", "warning", PURSE)),
    (EGRESS, ("PayoutsStopped", "critical", WALLET)),
    # Everything is late.
    (STALL, ("NodeStalled", "critical", NODE)),
    (STALL, ("ProviderFreshnessBurn", "critical", PROVIDER)),
    (STALL, ("WritePathBroken", "critical", NODE)),
    (STALL, ("PayoutsStopped", "critical", WALLET)),
    # A target that is down.
    (DOWN, ("NodeSlow", "warning", NODE)),
    (DOWN, ("WritePathBroken", "critical", NODE)),
    (("WrongNetwork", "critical", NODE), LAG),
    # Its budget, once somebody is called for it.
    (DOWN, ("NodeAvailabilityBurn", "critical", NODE)),
    (LAG, ("NodeAvailabilityBurn", "warning", NODE)),
    (LAG, ("NodeFreshnessBurn", "critical", NODE)),
    (("NodeShardLagging", "critical", NODE), ("NodeAvailabilityBurn", "critical", NODE)),
    # Wallets.
    (FROZEN, LOW),
    (FROZEN, ("PayoutsFailing", "critical", WALLET)),
    (LOW, ("WalletRunwayShort", "warning", PURSE)),
    (("WalletRunwayCritical", "critical", PURSE), ("WalletRunwayShort", "warning", PURSE)),
    # Services.
    (API_DOWN, ("WalletApiErrors", "critical", WALLET_API)),
    (API_DOWN, ("WalletApiSlow", "warning", WALLET_API)),
    (API_DOWN, ("WalletApiTrafficDrop", "warning", WALLET_API)),
    (ANALYTICS_DOWN, ("AnalyticsApiErrors", "critical", ANALYTICS)),
    (ANALYTICS_DOWN, ("AnalyticsApiSlow", "warning", ANALYTICS)),
    (ANALYTICS_DOWN, ("AnalyticsLag", "critical", {"job": "analytics-api", "instance": "a:80"})),
    (HELPER_DOWN, ("PayoutHelperErrors", "critical", HELPER | PAYING)),
    (HELPER_DOWN, ("PayoutQueueStuck", "critical", {"job": "payout-helper"} | PAYING)),
    # The worse of two rules of one name; a sum and a number that are too small are one loss.
    (("WalletApiErrors", "critical", WALLET_API), ("WalletApiErrors", "warning", WALLET_API)),
    (MISSING, ("PayoutsUnaccounted", "warning", PURSE | {"measure": "coins"})),
    (MISSING, ("PayoutsUnaccounted", "warning", PURSE | {"measure": "payouts"})),
]

LEAVES: list[tuple[Alert, Alert]] = [
    # What only the chain can tell of a wallet or a contract, and what is true of a target anyway.
    *(
        (source, alert)
        for source in (EGRESS, STALL)
        for alert in (
            LOW,
            FROZEN,
            ("WalletRunwayCritical", "critical", PURSE),
            ("ContractChanged", "critical", CONTRACT),
            ("PayoutsFailing", "critical", WALLET),
            ("PayoutsBouncing", "warning", WALLET),
            MISSING,
            ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"}),
            ("WrongNetwork", "critical", NODE),
            ("ProofInvalid", "critical", NODE),
            ("LocalClockSkewed", "critical", WHOLE),
            ("Hanging", "critical", WHOLE),
        )
    ),
    (EGRESS, STALL),
    (STALL, EGRESS),
    (EGRESS, ("Watchdog", "info", WHOLE)),
    (EGRESS, ("NodeDown", "critical", ELSEWHERE)),
    # Users see it, whoever is to blame.
    (EGRESS, ("WalletApiErrors", "critical", WALLET_API)),
    (EGRESS, HELPER_DOWN),
    # Another target, another tonwatch.
    (DOWN, ("NodeSlow", "warning", PEER)),
    (DOWN, ("NodeSlow", "warning", ELSEWHERE)),
    (DOWN, ("NodeDown", "warning", PEER)),
    (DOWN, ("NodeAvailabilityBurn", "critical", PEER)),
    # Each says what the other does not.
    (DOWN, ("WrongNetwork", "critical", NODE)),
    (("WrongNetwork", "critical", NODE), DOWN),
    (DOWN, ("ProofInvalid", "critical", NODE)),
    (DOWN, ("WalletUnread", "warning", PURSE)),
    (DOWN, ("PayoutsFailing", "critical", WALLET)),
    (("NodeAvailabilityBurn", "critical", NODE), ("NodeFreshnessBurn", "critical", NODE)),
    # What is told in the chat keeps no page back.
    (
        ("ProviderThrottled", "warning", PROVIDER),
        ("ProviderAvailabilityBurn", "critical", PROVIDER),
    ),
    (("NodeFlapping", "warning", NODE), ("NodeAvailabilityBurn", "critical", NODE)),
    # Being low is not being empty: payouts fail for other reasons as well.
    (LOW, ("WalletRunwayCritical", "critical", PURSE)),
    (LOW, ("WalletRunwayShort", "warning", USDT)),
    (LOW, ("PayoutsFailing", "critical", WALLET)),
    (LOW, ("PayoutsStopped", "critical", WALLET)),
    (LOW, ("PayoutHelperErrors", "critical", HELPER | PAYING)),
    (LOW, ("WalletLow", "critical", USDT)),
    (FROZEN, ("WalletLow", "critical", COLD)),
    (FROZEN, ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", USDT | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", COLD | {"measure": "payouts"})),
    # That no wallet is paid from may have another reason, and so may what is missing.
    (HELPER_DOWN, ("PayoutsStopped", "critical", WALLET)),
    (HELPER_DOWN, MISSING),
    (API_DOWN, ("AnalyticsApiErrors", "critical", ANALYTICS)),
    (API_DOWN, ("WalletApiErrors", "critical", WALLET_API | {"job": "another"})),
]

ELSEWHERE_TOO: list[tuple[Alert, Alert]] = [
    pair for pair in SILENCES if pair[0] in (EGRESS, DOWN, API_DOWN, HELPER_DOWN, MISSING, LOW)
]
"""Silenced in one cluster, and told where the cause is in another."""


def said(pair: tuple[Alert, Alert]) -> str:
    return "-".join(f"{name}-{'-'.join(about.values())}" for name, _, about in pair)


def sent(alert: Alert, cluster: str) -> dict[str, Any]:
    name, severity, about = alert
    told = {"alertname": f"Tonwatch{name}", "severity": severity, "cluster": cluster}
    return {"labels": told | about}


def asked(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    # No proxy has to do with it.
    directly = build_opener(ProxyHandler({}))
    request = Request(url, data, {"Content-Type": "application/json"})
    with directly.open(request, timeout=WITHIN) as told:
        return json.loads(told.read() or "null")


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it holds within a time in which it must."""
    deadline = time.monotonic() + WITHIN
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real one with our routes and inhibitions, which tells nobody; the base URL of its API."""
    program = shutil.which(ALERTMANAGER)
    if program is None:
        pytest.skip("Alertmanager is not installed: apt install prometheus-alertmanager")
    home = tmp_path_factory.mktemp("alertmanager")
    quiet = config() | {"receivers": [{"name": each["name"]} for each in config()["receivers"]]}
    (home / "config.yaml").write_text(yaml.safe_dump(quiet))
    place = f"127.0.0.1:{free_ports(1)[0]}"
    running = subprocess.Popen(
        [
            *(program, "--config.file=config.yaml", "--storage.path=data"),
            *(f"--web.listen-address={place}", "--cluster.listen-address="),
        ],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{place}/api/v2"

    def answers() -> bool:
        with suppress(URLError):
            return bool(asked(f"{url}/status"))
        return False

    try:
        assert soon(answers), "it does not answer"
        yield url
    finally:
        running.terminate()
        running.wait(WITHIN)


@pytest.fixture(scope="module")
def silenced(alertmanager: str) -> Collection[str]:
    """The clusters in which the second of a pair of alerts is silenced: each pair has its own."""
    pairs = [(here := f"{each!r}", here, each) for each in (*SILENCES, *LEAVES)]
    pairs += [(f"{each!r}", f"not {each!r}", each) for each in ELSEWHERE_TOO]
    # What is told last is known last.
    pairs.append(("last", "last", SILENCES[0]))
    content = [sent(source, here) for here, _, (source, _) in pairs]
    content += [sent(alert, there) for _, there, (_, alert) in pairs]
    asked(f"{alertmanager}/alerts", content)

    def inhibited() -> set[str]:
        return {
            each["labels"]["cluster"]
            for each in asked(f"{alertmanager}/alerts")
            if each["status"]["inhibitedBy"]
        }

    assert soon(lambda: "last" in inhibited()), "it silences nothing"
    return inhibited()


@pytest.mark.parametrize("pair", SILENCES, ids=said)
def test_what_explains_another_silences_it(
    silenced: Collection[str], pair: tuple[Alert, Alert]
) -> None:
    assert f"{pair!r}" in silenced


@pytest.mark.parametrize("pair", LEAVES, ids=said)
def test_what_does_not_explain_another_leaves_it(
    silenced: Collection[str], pair: tuple[Alert, Alert]
) -> None:
    assert f"{pair!r}" not in silenced


@pytest.mark.parametrize("pair", ELSEWHERE_TOO, ids=said)
def test_nothing_is_silenced_by_what_happens_in_another_cluster(
    silenced: Collection[str], pair: tuple[Alert, Alert]
) -> None:
    assert f"not {pair!r}" not in silenced


@pytest.mark.parametrize(
    ("together", "receiver"),
    [
        pytest.param(
            [
                LOW,
                ("WalletLow", "critical", PURSE | {"instance": "other:9717"}),
                ("PayoutsFailing", "critical", WALLET),
                ("PayoutHelperErrors", "critical", HELPER | PAYING),
                ("PayoutQueueStuck", "critical", {"job": "payout-helper"} | PAYING),
            ],
            "payouts-pager",
            id="all signs of one wallet, whoever sees them",
        ),
        pytest.param(
            [("WalletUnread", "warning", each) for each in (PURSE, USDT, COLD, CONTRACT)],
            "payouts-chat",
            id="all wallets that nobody can read",
        ),
    ],
)
def test_what_comes_in_one_message(alertmanager: str, together: list[Alert], receiver: str) -> None:
    asked(f"{alertmanager}/alerts", [sent(alert, receiver) for alert in together])
    query = f"?receiver={receiver}&filter=cluster%3D{receiver}"

    def sizes() -> list[int]:
        return [len(group["alerts"]) for group in asked(f"{alertmanager}/alerts/groups{query}")]

    assert soon(lambda: sum(sizes()) >= len(together))
    assert sizes() == [len(together)]
