"""The example for Alertmanager: it is valid, alerts go to the right team, and an alert inhibits
only those that it explains.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import yaml

from tests.e2e.monitoring import free_ports
from tests.programs import Version, program, versions
from tests.shipped import accepted

CONFIG = Path(__file__).parents[2] / "alerts" / "alertmanager.yaml"

NODE = {"job": "tonwatch", "instance": "sidecar:9717", "target": "node-1"}
BALANCE = {"job": "tonwatch", "instance": "sidecar:9717", "wallet": "hot", "asset": "native"}
WALLET = {"job": "tonwatch", "instance": "sidecar:9717", "wallet": "hot"}
INSTANCE = {"job": "tonwatch", "instance": "sidecar:9717"}
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
    ("ChainStalled", INSTANCE, NODES, "critical"),
    ("ChainRolledBack", INSTANCE, NODES, "critical"),
    ("AllLagging", INSTANCE, NODES, "critical"),
    ("SourcesDisagree", INSTANCE, NODES, "warning"),
    ("AccountsFailing", NODE, NODES, "critical"),
    ("NodeDisproved", NODE, NODES, "critical"),
    ("NodeThrottled", NODE, NODES, "warning"),
    ("ProviderShardLagging", NODE, NODES, "critical"),
    ("MessagesQueued", INSTANCE, NODES, "critical"),
    ("ChainSlow", INSTANCE, NODES, "warning"),
    ("LocalResources", INSTANCE, PLATFORM, "critical"),
    ("EgressLossy", INSTANCE, PLATFORM, "warning"),
    ("StateDirFailing", INSTANCE, PLATFORM, "warning"),
    ("WriteProbeIdle", WALLET, PAYOUTS, "warning"),
    ("EgressBroken", INSTANCE, PLATFORM, "critical"),
    ("LocalClockSkewed", INSTANCE, PLATFORM, "warning"),
    ("Absent", {"job": "tonwatch"}, PLATFORM, "critical"),
    ("Hanging", INSTANCE, PLATFORM, "critical"),
    ("InternalErrors", INSTANCE, PLATFORM, "warning"),
    ("ProbesOverrunning", NODE, PLATFORM, "warning"),
    ("NoData", NODE, PLATFORM, "warning"),
    ("WalletLow", BALANCE, PAYOUTS, "critical"),
    ("WalletRunwayShort", BALANCE, PAYOUTS, "warning"),
    ("WalletRunwayCritical", BALANCE, PAYOUTS, "critical"),
    ("WalletFrozen", BALANCE, PAYOUTS, "critical"),
    ("WalletReadFailing", BALANCE, PAYOUTS, "warning"),
    ("PayoutsFailing", BALANCE, PAYOUTS, "critical"),
    ("PayoutsStopped", BALANCE, PAYOUTS, "warning"),
    ("PayoutsUnaccounted", BALANCE | {"measure": "coins"}, PAYOUTS, "critical"),
    ("PayoutHelperDown", {"job": "payout-helper"}, PAYOUTS, "critical"),
    ("PayoutHelperErrors", {"job": "payout-helper"}, PAYOUTS, "warning"),
    ("ContractChanged", INSTANCE | {"contract": "escrow"}, PAYOUTS, "critical"),
    ("WalletApiDown", {"job": "wallet-api"}, PLATFORM, "critical"),
    ("WalletApiErrors", {"job": "wallet-api", "http_route": "/send"}, PLATFORM, "critical"),
    ("WalletApiSlow", {"job": "wallet-api"}, PLATFORM, "warning"),
    ("AnalyticsApiErrors", {"job": "analytics-api"}, PLATFORM, "warning"),
    ("AnalyticsLag", {"job": "analytics-api"}, PLATFORM, "critical"),
    # The label `team` takes precedence over what the alert is about.
    ("NodeDown", NODE | {"team": "platform"}, PLATFORM, "critical"),
    ("WalletLow", BALANCE | {"team": "ton-nodes"}, NODES, "warning"),
    ("WalletApiDown", {"job": "wallet-api", "team": "payouts"}, PAYOUTS, "critical"),
    ("Absent", {"job": "tonwatch", "team": "ton-nodes"}, NODES, "critical"),
    # A team that has no route of its own.
    ("NodeDown", NODE | {"team": "somebody"}, NODES, "critical"),
]


def receivers_of(labels: dict[str, str]) -> list[str]:
    written = (f"{name}={value}" for name, value in labels.items())
    test = ("config", "routes", "test", f"--config.file={CONFIG}")
    return accepted(program("amtool"), *test, *written).stdout.split()


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


@pytest.mark.parametrize("version", versions("amtool"), ids=str)
def test_it_is_valid(version: Version) -> None:
    result = accepted(version.path(), "check-config", CONFIG)
    # Newer versions warn of matchers that older ones read differently.
    assert "warn" not in (result.stdout + result.stderr).lower()


@pytest.mark.parametrize(
    ("name", "labels", "team", "severity"),
    ROUTES,
    ids=[
        f"{name}-{severity}{'-team-' + labels['team'] if 'team' in labels else ''}"
        for name, labels, _, severity in ROUTES
    ],
)
def test_receivers(name: str, labels: dict[str, str], team: str, severity: str) -> None:
    place = "pager" if severity == "critical" else "chat"
    receivers = receivers_of({"alertname": f"Tonwatch{name}", "severity": severity} | labels)
    assert receivers == [f"{team}-{place}"]


@pytest.mark.parametrize("labels", [NODE, BALANCE, NODE | {"team": "payouts"}])
def test_information_calls_nobody(labels: dict[str, str]) -> None:
    named = {"alertname": "TonwatchNodeCatchingUp", "severity": "info"}
    assert receivers_of(named | labels) == ["notes"]


def test_the_watchdog_goes_to_the_dead_mans_switch_alone() -> None:
    labels = {"alertname": "TonwatchWatchdog", "severity": "info", "team": "platform"}
    assert receivers_of(labels) == ["dead-mans-switch"]


def test_alerts_of_other_systems_are_not_lost() -> None:
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
"""Seconds in which it starts, and has processed the alerts sent to it."""

Alert = tuple[str, str, dict[str, str]]
"""Name, severity, and what it is about."""

LOCAL = NODE | {"local": "true"}
PUBLIC = INSTANCE | {"target": "public-1", "local": "false"}
PROVIDER = INSTANCE | {"target": "toncenter", "local": "false"}
PEER = PUBLIC | {"target": "public-2"}
ELSEWHERE = PUBLIC | {"instance": "other:9717"}
USDT = BALANCE | {"asset": "usdt"}
COLD = BALANCE | {"wallet": "cold"}
CONTRACT = INSTANCE | {"contract": "escrow"}
WALLET_API = {"job": "wallet-api", "service": "wallet-api"}
ANALYTICS = {"job": "analytics-api", "service": "analytics-api"}
HELPER = {"job": "payout-helper", "service": "payout-helper"}
PAYING = {name: BALANCE[name] for name in ("wallet", "asset")}
QUEUE = {"job": "payout-helper"} | PAYING

RESOURCES: Alert = ("LocalResources", "critical", INSTANCE)
EGRESS: Alert = ("EgressBroken", "critical", INSTANCE)
LOSSY: Alert = ("EgressLossy", "warning", INSTANCE)
ALL_LAG: Alert = ("AllLagging", "critical", INSTANCE)
NO_ACCOUNTS: Alert = ("AccountsFailing", "critical", PUBLIC)
STALL: Alert = ("ChainStalled", "critical", INSTANCE)
DOWN: Alert = ("NodeDown", "critical", PUBLIC)
FORKED: Alert = ("NodeForked", "critical", PUBLIC)
STALLED: Alert = ("NodeStalled", "critical", PUBLIC)
ELSEWHERE_NETWORK: Alert = ("WrongNetwork", "critical", PUBLIC)
FALSE_PROOF: Alert = ("ProofInvalid", "critical", PUBLIC)
NO_WRITES: Alert = ("WritePathBroken", "critical", PUBLIC)
LAG: Alert = ("LagCritical", "critical", PUBLIC)
UNAVAILABLE: Alert = ("NodeAvailabilityBurn", "critical", PUBLIC)
OUTDATED: Alert = ("NodeFreshnessBurn", "critical", PUBLIC)
FROZEN: Alert = ("WalletFrozen", "critical", WALLET)
LOW: Alert = ("WalletLow", "critical", BALANCE)
API_DOWN: Alert = ("WalletApiDown", "critical", WALLET_API)
ANALYTICS_DOWN: Alert = ("AnalyticsApiDown", "critical", ANALYTICS)
HELPER_DOWN: Alert = ("PayoutHelperDown", "critical", HELPER)
MISSING: Alert = ("PayoutsUnaccounted", "critical", BALANCE | {"measure": "coins"})

MONEY: list[Alert] = [
    LOW,
    FROZEN,
    ("WalletRunwayShort", "warning", BALANCE),
    ("WalletRunwayCritical", "critical", BALANCE),
    ("WalletReadFailing", "warning", BALANCE),
    ("ContractChanged", "critical", CONTRACT),
    ("PayoutsFailing", "critical", WALLET),
    ("PayoutsBouncing", "warning", WALLET),
    ("PayoutsBacklog", "warning", WALLET),
    ("PayoutsGap", "info", BALANCE),
    MISSING,
    ("PayoutsUnexplained", "critical", BALANCE | {"measure": "payouts"}),
    ("PayoutHelperErrors", "critical", HELPER | PAYING),
    ("PayoutQueueStuck", "critical", QUEUE),
    HELPER_DOWN,
]
"""All of it but that nothing is paid."""

FACTS: list[Alert] = [
    *(("NodeForked", "critical", about) for about in (LOCAL, PUBLIC)),
    ("ProviderForked", "warning", PROVIDER),
    ("ProviderDisproved", "critical", PROVIDER),
    ("ProviderUnauthorized", "critical", PROVIDER),
    ("ProviderThrottled", "warning", PROVIDER),
    *(("WrongNetwork", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("ProofInvalid", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("WritePathBroken", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("NodeNotSynced", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("NodeShardLagging", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("NodeClockSkewed", "warning", about) for about in (LOCAL, PUBLIC)),
    *(("NoData", "critical", about) for about in (LOCAL, PUBLIC)),
    *(("AccountsFailing", "critical", about) for about in (LOCAL, PUBLIC)),
    ("NodeDisproved", "critical", PUBLIC),
    ("ProviderShardLagging", "critical", PROVIDER),
    ("ChainRolledBack", "critical", INSTANCE),
    ("MessagesQueued", "critical", INSTANCE),
    ("SourcesDisagree", "critical", INSTANCE),
    ("LocalClockSkewed", "critical", INSTANCE),
    ("Hanging", "critical", INSTANCE),
    ("Absent", "critical", INSTANCE),
    ("InternalErrors", "warning", INSTANCE),
    ("ProbesOverrunning", "warning", INSTANCE | {"target": "public-1"}),
    ("Watchdog", "info", INSTANCE),
    # Users see it, whatever the cause.
    ("WalletApiErrors", "critical", WALLET_API),
    API_DOWN,
    ("AnalyticsLag", "critical", {"job": "analytics-api", "instance": "a:80"}),
]
"""Alerts that neither a broken egress nor a stalled chain explains."""

OF_A_LOCAL_TARGET: list[Alert] = [
    (name, severity, LOCAL)
    for name, severity in (
        ("NodeDown", "critical"),
        ("NodeDown", "warning"),
        ("NodeStalled", "critical"),
        ("NodeLagging", "warning"),
        ("NodeCatchingUp", "warning"),
        ("NodeFlapping", "warning"),
        ("NodeSlow", "warning"),
        ("LagCritical", "critical"),
        ("NodeAvailabilityBurn", "critical"),
        ("NodeAvailabilityBurn", "warning"),
        ("NodeFreshnessBurn", "critical"),
        ("ProviderDown", "critical"),
        ("ProviderAvailabilityBurn", "critical"),
    )
]

INHIBITS: list[tuple[Alert, Alert]] = [
    # No target outside can be reached.
    (EGRESS, DOWN),
    (EGRESS, ("NodeDown", "warning", PEER)),
    (EGRESS, ("ProviderDown", "critical", PROVIDER)),
    (EGRESS, ("NodeFlapping", "warning", PUBLIC)),
    (EGRESS, ("ProviderFlapping", "info", PROVIDER)),
    (EGRESS, UNAVAILABLE),
    (EGRESS, ("ProviderAvailabilityBurn", "warning", PROVIDER)),
    # tonwatch cannot probe.
    (RESOURCES, ("NoData", "critical", PUBLIC)),
    (RESOURCES, ("NoData", "critical", LOCAL)),
    # Answers are lost on the way.
    (LOSSY, ("NodeFlapping", "warning", PUBLIC)),
    (LOSSY, ("ProviderFlapping", "info", PROVIDER)),
    # Everything lags.
    (ALL_LAG, LAG),
    (ALL_LAG, ("NodeLagging", "warning", LOCAL)),
    (ALL_LAG, ("ProviderLagging", "warning", PROVIDER)),
    (ALL_LAG, UNAVAILABLE),
    (ALL_LAG, OUTDATED),
    *(
        (STALL, (name, "critical", about))
        for about in (LOCAL, PUBLIC)
        for name in ("NodeStalled", "LagCritical", "NodeAvailabilityBurn", "NodeFreshnessBurn")
    ),
    (STALL, ("NodeLagging", "warning", LOCAL)),
    (STALL, ("NodeCatchingUp", "warning", LOCAL)),
    (STALL, ("ProviderStalled", "critical", PROVIDER)),
    (STALL, ("ProviderFreshnessBurn", "critical", PROVIDER)),
    (STALL, ("PayoutsStopped", "critical", WALLET)),
    # A target that does not answer.
    (DOWN, ("NodeSlow", "warning", PUBLIC)),
    (DOWN, ("NodeFlapping", "warning", PUBLIC)),
    (DOWN, NO_WRITES),
    (DOWN, NO_ACCOUNTS),
    (DOWN, LAG),
    (("NodeNotSynced", "critical", LOCAL), ("NodeLagging", "warning", LOCAL)),
    (("ProviderUnauthorized", "critical", PROVIDER), ("WritePathBroken", "critical", PROVIDER)),
    # One that lags because it is stalled, or is on another chain, or makes false claims.
    (STALLED, LAG),
    (FORKED, LAG),
    (ELSEWHERE_NETWORK, LAG),
    (FALSE_PROOF, ("NodeShardLagging", "critical", PUBLIC)),
    (("ProviderDisproved", "critical", PROVIDER), ("ProviderLagging", "warning", PROVIDER)),
    (("NodeDisproved", "critical", PUBLIC), LAG),
    # There is no such wallet.
    (FORKED, NO_WRITES),
    (ELSEWHERE_NETWORK, NO_WRITES),
    # Its error budget, once there is an alert for it.
    (DOWN, UNAVAILABLE),
    (LAG, ("NodeAvailabilityBurn", "warning", PUBLIC)),
    (LAG, OUTDATED),
    (STALLED, OUTDATED),
    (("NodeShardLagging", "critical", PUBLIC), UNAVAILABLE),
    (FORKED, UNAVAILABLE),
    (NO_ACCOUNTS, UNAVAILABLE),
    (("ProviderShardLagging", "critical", PUBLIC), UNAVAILABLE),
    # Wallets.
    (FROZEN, LOW),
    (FROZEN, ("WalletRunwayCritical", "critical", BALANCE)),
    (FROZEN, ("PayoutsFailing", "critical", WALLET)),
    (FROZEN, ("PayoutsStopped", "critical", WALLET)),
    (LOW, ("WalletRunwayShort", "warning", BALANCE)),
    (("WalletRunwayCritical", "critical", BALANCE), ("WalletRunwayShort", "warning", BALANCE)),
    # Services.
    (API_DOWN, ("WalletApiErrors", "critical", WALLET_API)),
    (API_DOWN, ("WalletApiSlow", "warning", WALLET_API)),
    (API_DOWN, ("WalletApiTrafficDrop", "warning", WALLET_API)),
    (ANALYTICS_DOWN, ("AnalyticsApiErrors", "critical", ANALYTICS)),
    (ANALYTICS_DOWN, ("AnalyticsApiSlow", "warning", ANALYTICS)),
    (ANALYTICS_DOWN, ("AnalyticsLag", "critical", {"job": "analytics-api", "instance": "a:80"})),
    (HELPER_DOWN, ("PayoutQueueStuck", "critical", QUEUE)),
    # The worse of two rules of one name; a sum and a number that are too small are one loss.
    (("WalletApiErrors", "critical", WALLET_API), ("WalletApiErrors", "warning", WALLET_API)),
    (MISSING, ("PayoutsUnaccounted", "warning", BALANCE | {"measure": "coins"})),
    (MISSING, ("PayoutsUnaccounted", "warning", BALANCE | {"measure": "payouts"})),
]

DOES_NOT_INHIBIT: list[tuple[Alert, Alert]] = [
    # Independent causes, of local targets and of others; and losses that only the chain shows.
    *((source, alert) for source in (EGRESS, STALL) for alert in (*MONEY, *FACTS)),
    *((EGRESS, alert) for alert in OF_A_LOCAL_TARGET),
    (EGRESS, ("PayoutsStopped", "critical", WALLET)),
    # What is not known may be wrong, and a lossy way out stops nothing.
    *((RESOURCES, alert) for alert in (DOWN, LAG, LOW, FORKED, EGRESS)),
    *((LOSSY, alert) for alert in (DOWN, LAG, UNAVAILABLE, ("NodeFlapping", "warning", LOCAL))),
    *((ALL_LAG, alert) for alert in (STALLED, FORKED, NO_ACCOUNTS, NO_WRITES, LOW, STALL)),
    (NO_ACCOUNTS, NO_WRITES),
    # An unreachable target does not lag: one that lags answers.
    (EGRESS, LAG),
    (EGRESS, STALLED),
    (EGRESS, OUTDATED),
    (EGRESS, ("ProviderFreshnessBurn", "critical", PROVIDER)),
    # A rule of an older tonwatch, which does not say what is local.
    (EGRESS, ("NodeDown", "critical", NODE)),
    (EGRESS, STALL),
    (STALL, EGRESS),
    *((STALL, ("NodeDown", "critical", about)) for about in (LOCAL, PUBLIC)),
    (STALL, ("ProviderDown", "critical", PROVIDER)),
    (STALL, ("NodeFlapping", "warning", PUBLIC)),
    (EGRESS, ("NodeDown", "critical", ELSEWHERE)),
    (EGRESS, ("NodeDown", "critical", PUBLIC | {"job": "another"})),
    (STALL, ("NodeStalled", "critical", ELSEWHERE)),
    # Another target, another tonwatch.
    (DOWN, ("NodeSlow", "warning", PEER)),
    (DOWN, ("NodeSlow", "warning", ELSEWHERE)),
    (DOWN, ("NodeDown", "warning", PEER)),
    (DOWN, ("NodeAvailabilityBurn", "critical", PEER)),
    (STALLED, ("LagCritical", "critical", PEER)),
    (FORKED, ("WritePathBroken", "critical", PEER)),
    (LAG, ("NodeFreshnessBurn", "critical", ELSEWHERE)),
    # Each says what the other does not.
    (DOWN, ELSEWHERE_NETWORK),
    (ELSEWHERE_NETWORK, DOWN),
    (DOWN, FALSE_PROOF),
    (DOWN, FORKED),
    (FORKED, FALSE_PROOF),
    (DOWN, ("WalletReadFailing", "warning", BALANCE)),
    (DOWN, ("PayoutsFailing", "critical", WALLET)),
    (UNAVAILABLE, OUTDATED),
    # A wrong clock may be why a node is stalled, but does not explain a fork.
    *((source, ("NodeClockSkewed", "warning", PUBLIC)) for source in (DOWN, STALLED, FORKED)),
    # One that is stalled, or makes false claims, answers in time and accepts messages.
    (STALLED, NO_WRITES),
    (FALSE_PROOF, NO_WRITES),
    (STALLED, ("NodeSlow", "warning", PUBLIC)),
    (FORKED, ("NodeFlapping", "warning", PUBLIC)),
    # One that rejects messages is fresh and answers; one that is down has no blocks to lag with.
    (NO_WRITES, UNAVAILABLE),
    (NO_WRITES, OUTDATED),
    (("NoData", "critical", PUBLIC), UNAVAILABLE),
    (DOWN, OUTDATED),
    (("NodeShardLagging", "critical", PUBLIC), OUTDATED),
    # A warning in the chat inhibits no page.
    (
        ("ProviderThrottled", "warning", PROVIDER),
        ("ProviderAvailabilityBurn", "critical", PROVIDER),
    ),
    (("NodeFlapping", "warning", PUBLIC), UNAVAILABLE),
    # Low is not empty: payouts fail for other reasons as well.
    (LOW, ("WalletRunwayCritical", "critical", BALANCE)),
    (LOW, ("WalletRunwayShort", "warning", USDT)),
    (LOW, ("PayoutsFailing", "critical", WALLET)),
    (LOW, ("PayoutsStopped", "critical", WALLET)),
    (LOW, ("PayoutHelperErrors", "critical", HELPER | PAYING)),
    (LOW, ("WalletLow", "critical", USDT)),
    (LOW, ("WalletRunwayShort", "warning", BALANCE | {"instance": "other:9717"})),
    (FROZEN, ("WalletLow", "critical", COLD)),
    (FROZEN, ("WalletLow", "critical", USDT)),
    (FROZEN, ("WalletRunwayCritical", "critical", USDT)),
    (FROZEN, ("PayoutsBouncing", "warning", WALLET)),
    (FROZEN, ("PayoutsFailing", "critical", WALLET | {"wallet": "cold"})),
    (FROZEN, ("PayoutsUnexplained", "critical", BALANCE | {"measure": "payouts"})),
    (FROZEN, MISSING),
    (MISSING, ("PayoutsUnexplained", "critical", BALANCE | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", USDT | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", COLD | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", BALANCE | {"instance": "other:9717"})),
    # That no wallet pays may have another reason, and so may what is missing, or failed
    # before.
    (HELPER_DOWN, ("PayoutsStopped", "critical", WALLET)),
    (HELPER_DOWN, MISSING),
    (HELPER_DOWN, ("PayoutHelperErrors", "critical", HELPER | PAYING)),
    (HELPER_DOWN, ("PayoutQueueStuck", "critical", QUEUE | {"job": "another"})),
    (API_DOWN, ("AnalyticsApiErrors", "critical", ANALYTICS)),
    (API_DOWN, ("WalletApiErrors", "critical", WALLET_API | {"job": "another"})),
]

APART: list[tuple[tuple[Alert, Alert], str]] = [
    (pair, label)
    for pair in INHIBITS
    for label in ("cluster", "job", "instance", "target", "wallet", "asset")
    if label == "cluster" or all(label in about for _, _, about in pair)
]
"""Pairs that inhibit, and a label by which cause and effect differ here."""


def described(pair: tuple[Alert, Alert]) -> str:
    return "-".join(
        f"{name}-{severity}-{'-'.join(about.values())}" for name, severity, about in pair
    )


def sent(alert: Alert, cluster: str) -> dict[str, Any]:
    name, severity, about = alert
    labels = {"alertname": f"Tonwatch{name}", "severity": severity, "cluster": cluster}
    return {"labels": labels | about}


def requested(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    # Without a proxy.
    directly = build_opener(ProxyHandler({}))
    request = Request(url, data, {"Content-Type": "application/json"})
    with directly.open(request, timeout=WITHIN) as answer:
        return json.loads(answer.read() or "null")


def becomes_true(holds: Callable[[], bool]) -> bool:
    """Whether `holds` becomes true within WITHIN."""
    deadline = time.monotonic() + WITHIN
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


@contextmanager
def running(path: str, home: Path) -> Iterator[str]:
    """An Alertmanager with the shipped routes that notifies nobody; yields its API's base URL."""
    quiet = config() | {"receivers": [{"name": each["name"]} for each in config()["receivers"]]}
    (home / "config.yaml").write_text(yaml.safe_dump(quiet))
    place = f"127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen(
        [
            *(path, "--config.file=config.yaml", "--storage.path=data"),
            *(f"--web.listen-address={place}", "--cluster.listen-address="),
        ],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{place}/api/v2"

    def answers() -> bool:
        with suppress(URLError):
            return bool(requested(f"{url}/status"))
        return False

    try:
        assert becomes_true(answers), "it does not answer"
        yield url
    finally:
        process.terminate()
        process.wait(WITHIN)


of_one_alertmanager = pytest.mark.xdist_group("alertmanager")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(program("alertmanager"), tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


def inhibited_clusters(alertmanager: str) -> Collection[str]:
    """The clusters in which the second alert of a pair is inhibited: each pair has its own."""
    content = []
    for pair in (*INHIBITS, *DOES_NOT_INHIBIT):
        content += [sent(alert, repr(pair)) for alert in pair]
    for pair, label in APART:
        here = repr((pair, label))
        source, alert = (sent(each, here) for each in pair)
        alert["labels"][label] = here if label != "cluster" else f"not {here}"
        content += [source, alert]
    requested(f"{alertmanager}/alerts", content)
    # The alert sent last is processed last.
    requested(f"{alertmanager}/alerts", [sent(alert, "last") for alert in INHIBITS[0]])

    def inhibited_now() -> set[str]:
        return {
            each["labels"]["cluster"]
            for each in requested(f"{alertmanager}/alerts")
            if each["status"]["inhibitedBy"]
        }

    assert becomes_true(lambda: "last" in inhibited_now()), "it inhibits nothing"
    return inhibited_now() - {"last"}


@pytest.fixture(scope="module")
def inhibited(alertmanager: str) -> Collection[str]:
    return inhibited_clusters(alertmanager)


@of_one_alertmanager
def test_an_explaining_alert_inhibits(
    inhibited: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair in INHIBITS:
        with subtests.test(described(pair)):
            assert repr(pair) in inhibited


@of_one_alertmanager
def test_an_unrelated_alert_does_not_inhibit(
    inhibited: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair in DOES_NOT_INHIBIT:
        with subtests.test(described(pair)):
            assert repr(pair) not in inhibited


@of_one_alertmanager
def test_alerts_of_other_instances_do_not_inhibit(
    inhibited: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair, label in APART:
        with subtests.test(f"other {label}: {described(pair)}"):
            here = repr((pair, label))
            assert not {here, f"not {here}"} & {*inhibited}


@pytest.mark.parametrize("version", versions("alertmanager")[1:], ids=str)
def test_other_versions_inhibit_the_same(version: Version, tmp_path: Path) -> None:
    with running(version.path(), tmp_path) as url:
        assert inhibited_clusters(url) == {repr(pair) for pair in INHIBITS}


@of_one_alertmanager
@pytest.mark.parametrize(
    ("together", "receiver"),
    [
        pytest.param(
            [
                LOW,
                ("WalletLow", "critical", BALANCE | {"instance": "other:9717"}),
                ("PayoutsFailing", "critical", WALLET),
                ("PayoutHelperErrors", "critical", HELPER | PAYING),
                ("PayoutQueueStuck", "critical", {"job": "payout-helper"} | PAYING),
            ],
            "payouts-pager",
            id="all alerts of one wallet, from any instance",
        ),
        pytest.param(
            [("WalletReadFailing", "warning", each) for each in (BALANCE, USDT, COLD, CONTRACT)],
            "payouts-chat",
            id="all unreadable wallets",
        ),
    ],
)
def test_grouping(alertmanager: str, together: list[Alert], receiver: str) -> None:
    requested(f"{alertmanager}/alerts", [sent(alert, receiver) for alert in together])
    query = f"?receiver={receiver}&filter=cluster%3D{receiver}"

    def sizes() -> list[int]:
        return [len(group["alerts"]) for group in requested(f"{alertmanager}/alerts/groups{query}")]

    assert becomes_true(lambda: sum(sizes()) >= len(together))
    assert sizes() == [len(together)]
