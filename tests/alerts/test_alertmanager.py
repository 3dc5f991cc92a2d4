"""The example for Alertmanager: it is valid, everybody is told what is theirs, and what explains
something else silences that and no more.
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
    ("WalletReadFailing", PURSE, PAYOUTS, "warning"),
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
    said = accepted(version.path(), "check-config", CONFIG)
    # Newer ones warn of matchers that they read otherwise than older ones do.
    assert "warn" not in (said.stdout + said.stderr).lower()


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

LOCAL = NODE | {"local": "true"}
PUBLIC = WHOLE | {"target": "public-1", "local": "false"}
PROVIDER = WHOLE | {"target": "toncenter", "local": "false"}
PEER = PUBLIC | {"target": "public-2"}
ELSEWHERE = PUBLIC | {"instance": "other:9717"}
USDT = PURSE | {"asset": "usdt"}
COLD = PURSE | {"wallet": "cold"}
WALLET = {name: PURSE[name] for name in ("job", "instance", "wallet")}
CONTRACT = WHOLE | {"contract": "escrow"}
WALLET_API = {"job": "wallet-api", "service": "wallet-api"}
ANALYTICS = {"job": "analytics-api", "service": "analytics-api"}
HELPER = {"job": "payout-helper", "service": "payout-helper"}
PAYING = {name: PURSE[name] for name in ("wallet", "asset")}
QUEUE = {"job": "payout-helper"} | PAYING

EGRESS: Alert = ("EgressBroken", "critical", WHOLE)
STALL: Alert = ("ChainStalled", "critical", WHOLE)
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
LOW: Alert = ("WalletLow", "critical", PURSE)
API_DOWN: Alert = ("WalletApiDown", "critical", WALLET_API)
ANALYTICS_DOWN: Alert = ("AnalyticsApiDown", "critical", ANALYTICS)
HELPER_DOWN: Alert = ("PayoutHelperDown", "critical", HELPER)
MISSING: Alert = ("PayoutsUnaccounted", "critical", PURSE | {"measure": "coins"})

MONEY: list[Alert] = [
    LOW,
    FROZEN,
    ("WalletRunwayShort", "warning", PURSE),
    ("WalletRunwayCritical", "critical", PURSE),
    ("WalletReadFailing", "warning", PURSE),
    ("ContractChanged", "critical", CONTRACT),
    ("PayoutsFailing", "critical", WALLET),
    ("PayoutsBouncing", "warning", WALLET),
    ("PayoutsBacklog", "warning", WALLET),
    ("PayoutsGap", "info", PURSE),
    MISSING,
    ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"}),
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
    ("SourcesDisagree", "critical", WHOLE),
    ("LocalClockSkewed", "critical", WHOLE),
    ("Hanging", "critical", WHOLE),
    ("Absent", "critical", WHOLE),
    ("InternalErrors", "warning", WHOLE),
    ("ProbesOverrunning", "warning", WHOLE | {"target": "public-1"}),
    ("Watchdog", "info", WHOLE),
    # Users see it, whoever is to blame.
    ("WalletApiErrors", "critical", WALLET_API),
    API_DOWN,
    ("AnalyticsLag", "critical", {"job": "analytics-api", "instance": "a:80"}),
]
"""What is so whether or not anything outside can be reached, whatever the chain does."""

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

SILENCES: list[tuple[Alert, Alert]] = [
    # No target outside can be reached.
    (EGRESS, DOWN),
    (EGRESS, ("NodeDown", "warning", PEER)),
    (EGRESS, ("ProviderDown", "critical", PROVIDER)),
    (EGRESS, ("NodeFlapping", "warning", PUBLIC)),
    (EGRESS, ("ProviderFlapping", "info", PROVIDER)),
    (EGRESS, UNAVAILABLE),
    (EGRESS, ("ProviderAvailabilityBurn", "warning", PROVIDER)),
    # Everything is late.
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
    (DOWN, LAG),
    (("NodeNotSynced", "critical", LOCAL), ("NodeLagging", "warning", LOCAL)),
    (("ProviderUnauthorized", "critical", PROVIDER), ("WritePathBroken", "critical", PROVIDER)),
    # One that is late because it stands still, or is on another chain, or tells what is not so.
    (STALLED, LAG),
    (FORKED, LAG),
    (ELSEWHERE_NETWORK, LAG),
    (FALSE_PROOF, ("NodeShardLagging", "critical", PUBLIC)),
    (("ProviderDisproved", "critical", PROVIDER), ("ProviderLagging", "warning", PROVIDER)),
    # There is no such wallet.
    (FORKED, NO_WRITES),
    (ELSEWHERE_NETWORK, NO_WRITES),
    # Its budget, once somebody is called for it.
    (DOWN, UNAVAILABLE),
    (LAG, ("NodeAvailabilityBurn", "warning", PUBLIC)),
    (LAG, OUTDATED),
    (STALLED, OUTDATED),
    (("NodeShardLagging", "critical", PUBLIC), UNAVAILABLE),
    (FORKED, UNAVAILABLE),
    # Wallets.
    (FROZEN, LOW),
    (FROZEN, ("WalletRunwayCritical", "critical", PURSE)),
    (FROZEN, ("PayoutsFailing", "critical", WALLET)),
    (FROZEN, ("PayoutsStopped", "critical", WALLET)),
    (LOW, ("WalletRunwayShort", "warning", PURSE)),
    (("WalletRunwayCritical", "critical", PURSE), ("WalletRunwayShort", "warning", PURSE)),
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
    (MISSING, ("PayoutsUnaccounted", "warning", PURSE | {"measure": "coins"})),
    (MISSING, ("PayoutsUnaccounted", "warning", PURSE | {"measure": "payouts"})),
]

LEAVES: list[tuple[Alert, Alert]] = [
    # What is so by itself, of local targets and of others; and what only the chain shows of money.
    *((source, alert) for source in (EGRESS, STALL) for alert in (*MONEY, *FACTS)),
    *((EGRESS, alert) for alert in OF_A_LOCAL_TARGET),
    (EGRESS, ("PayoutsStopped", "critical", WALLET)),
    # What cannot be reached is not late: who is late answers.
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
    (DOWN, ("WalletReadFailing", "warning", PURSE)),
    (DOWN, ("PayoutsFailing", "critical", WALLET)),
    (UNAVAILABLE, OUTDATED),
    # A wrong clock may be why a node stands still, and is none the better where it is on a fork.
    *((source, ("NodeClockSkewed", "warning", PUBLIC)) for source in (DOWN, STALLED, FORKED)),
    # One that stands still, or tells what is not so, answers in time and takes messages.
    (STALLED, NO_WRITES),
    (FALSE_PROOF, NO_WRITES),
    (STALLED, ("NodeSlow", "warning", PUBLIC)),
    (FORKED, ("NodeFlapping", "warning", PUBLIC)),
    # Who takes no messages is fresh and answers; who is down has no blocks to be late with.
    (NO_WRITES, UNAVAILABLE),
    (NO_WRITES, OUTDATED),
    (("NoData", "critical", PUBLIC), UNAVAILABLE),
    (DOWN, OUTDATED),
    (("NodeShardLagging", "critical", PUBLIC), OUTDATED),
    # What is told in the chat keeps no page back.
    (
        ("ProviderThrottled", "warning", PROVIDER),
        ("ProviderAvailabilityBurn", "critical", PROVIDER),
    ),
    (("NodeFlapping", "warning", PUBLIC), UNAVAILABLE),
    # Being low is not being empty: payouts fail for other reasons as well.
    (LOW, ("WalletRunwayCritical", "critical", PURSE)),
    (LOW, ("WalletRunwayShort", "warning", USDT)),
    (LOW, ("PayoutsFailing", "critical", WALLET)),
    (LOW, ("PayoutsStopped", "critical", WALLET)),
    (LOW, ("PayoutHelperErrors", "critical", HELPER | PAYING)),
    (LOW, ("WalletLow", "critical", USDT)),
    (LOW, ("WalletRunwayShort", "warning", PURSE | {"instance": "other:9717"})),
    (FROZEN, ("WalletLow", "critical", COLD)),
    (FROZEN, ("WalletLow", "critical", USDT)),
    (FROZEN, ("WalletRunwayCritical", "critical", USDT)),
    (FROZEN, ("PayoutsBouncing", "warning", WALLET)),
    (FROZEN, ("PayoutsFailing", "critical", WALLET | {"wallet": "cold"})),
    (FROZEN, ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"})),
    (FROZEN, MISSING),
    (MISSING, ("PayoutsUnexplained", "critical", PURSE | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", USDT | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", COLD | {"measure": "payouts"})),
    (MISSING, ("PayoutsUnaccounted", "warning", PURSE | {"instance": "other:9717"})),
    # That no wallet is paid from may have another reason, and so may what is missing, or failed
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
    for pair in SILENCES
    for label in ("cluster", "job", "instance", "target", "wallet", "asset")
    if label == "cluster" or all(label in about for _, _, about in pair)
]
"""What is silenced in one place, and the label by which the cause is in another."""


def said(pair: tuple[Alert, Alert]) -> str:
    return "-".join(
        f"{name}-{severity}-{'-'.join(about.values())}" for name, severity, about in pair
    )


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


@contextmanager
def running(path: str, home: Path) -> Iterator[str]:
    """An Alertmanager with our routes and inhibitions, which tells nobody; its API's base URL."""
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
            return bool(asked(f"{url}/status"))
        return False

    try:
        assert soon(answers), "it does not answer"
        yield url
    finally:
        process.terminate()
        process.wait(WITHIN)


of_one_alertmanager = pytest.mark.xdist_group("alertmanager")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(program("alertmanager"), tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


def silenced_by(alertmanager: str) -> Collection[str]:
    """The clusters in which the second of a pair of alerts is silenced: each pair has its own."""
    content = []
    for pair in (*SILENCES, *LEAVES):
        content += [sent(alert, repr(pair)) for alert in pair]
    for pair, label in APART:
        here = repr((pair, label))
        source, alert = (sent(each, here) for each in pair)
        alert["labels"][label] = here if label != "cluster" else f"not {here}"
        content += [source, alert]
    asked(f"{alertmanager}/alerts", content)
    # What is told last is known last.
    asked(f"{alertmanager}/alerts", [sent(alert, "last") for alert in SILENCES[0]])

    def inhibited() -> set[str]:
        return {
            each["labels"]["cluster"]
            for each in asked(f"{alertmanager}/alerts")
            if each["status"]["inhibitedBy"]
        }

    assert soon(lambda: "last" in inhibited()), "it silences nothing"
    return inhibited() - {"last"}


@pytest.fixture(scope="module")
def silenced(alertmanager: str) -> Collection[str]:
    return silenced_by(alertmanager)


@of_one_alertmanager
def test_what_explains_another_silences_it(
    silenced: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair in SILENCES:
        with subtests.test(said(pair)):
            assert repr(pair) in silenced


@of_one_alertmanager
def test_what_does_not_explain_another_leaves_it(
    silenced: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair in LEAVES:
        with subtests.test(said(pair)):
            assert repr(pair) not in silenced


@of_one_alertmanager
def test_nothing_is_silenced_by_what_happens_elsewhere(
    silenced: Collection[str], subtests: pytest.Subtests
) -> None:
    for pair, label in APART:
        with subtests.test(f"other {label}: {said(pair)}"):
            here = repr((pair, label))
            assert not {here, f"not {here}"} & {*silenced}


@pytest.mark.parametrize("version", versions("alertmanager")[1:], ids=str)
def test_other_versions_silence_the_same(version: Version, tmp_path: Path) -> None:
    with running(version.path(), tmp_path) as url:
        assert silenced_by(url) == {repr(pair) for pair in SILENCES}


@of_one_alertmanager
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
            [("WalletReadFailing", "warning", each) for each in (PURSE, USDT, COLD, CONTRACT)],
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
