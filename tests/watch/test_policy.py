"""Which setting explains what /ready answers about a target that is not ok, or not ready."""

from typing import Any, Final

import pytest

from tests.configs import make_target
from tonwatch.config.models import Gates
from tonwatch.watch.consensus import Forks
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.policy import barring_gates, by_policy
from tonwatch.watch.readiness import Phase, Readiness, Standing
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Judgement, Verdict

NODE: Final = make_target("node", "liteserver", "primary")
OTHER: Final = make_target("other", "liteserver", "primary")
REFERENCE: Final = make_target("public", "liteserver", "reference")


def judged(*verdicts: Verdict, stalled: bool = False) -> Judgement:
    return Judgement(
        wall=0.0,
        head=None,
        dated=None,
        stalled=stalled,
        idle=None,
        clock_offset=None,
        forks=Forks(),
        unreachable=(),
        excused={},
        suspects=(),
        verdicts={verdict.target.name: verdict for verdict in verdicts},
    )


def verdict(state: State, *barred: State, target: Any = NODE, up: bool = True) -> Verdict:
    return Verdict(target=target, state=state, since=0.0, up=up, barred=frozenset(barred))


@pytest.mark.parametrize(
    ("of", "stalled", "gates"),
    [
        pytest.param(verdict(State.OK), False, [], id="nothing bars it"),
        pytest.param(verdict(State.LAGGING), False, [], id="not far enough"),
        pytest.param(verdict(State.LAGGING, State.LAGGING), False, ["lagging"], id="one"),
        pytest.param(
            verdict(State.FORKED, State.FORKED, State.SLOW), False, ["forked", "slow"], id="two"
        ),
        pytest.param(verdict(State.STALLED, State.STALLED), False, ["stalled"], id="stalled"),
        pytest.param(
            verdict(State.STALLED, State.STALLED), True, ["chain_stalled"], id="with the chain"
        ),
        pytest.param(verdict(State.DOWN, State.DOWN, up=False), False, [], id="no answer"),
        pytest.param(verdict(State.FLAPPING, State.FLAPPING, up=False), False, [], id="flaps"),
        pytest.param(
            verdict(State.THROTTLED, State.THROTTLED, up=False),
            False,
            ["throttled"],
            id="throttled for too long",
        ),
    ],
)
def test_gates_that_bar_a_target(of: Verdict, stalled: bool, gates: list[str]) -> None:
    found = barring_gates(of, judged(of, stalled=stalled))
    assert found == [f"readiness.gates.{gate}" for gate in gates]


def ready(**standings: bool) -> Readiness:
    known = {name: Standing(ready=is_ready) for name, is_ready in standings.items()}
    return Readiness(Phase.READY, 0.0, 1, known)


def finding(cause: Cause, target: str = "node", **rest: Any) -> Finding:
    return Finding(cause, "", 0.0, target, **rest)


@pytest.mark.parametrize(
    ("of", "verdicts", "readiness", "words"),
    [
        pytest.param(
            finding(Cause.NODE_SLOW),
            [verdict(State.SLOW)],
            ready(node=True),
            "`readiness.gates.slow` is off",
            id="its gate is off",
        ),
        pytest.param(
            finding(Cause.NODE_LAGGING),
            [verdict(State.LAGGING)],
            ready(node=True),
            "within `thresholds.lag_unready`",
            id="within the limit",
        ),
        pytest.param(
            finding(Cause.NODE_THROTTLED),
            [verdict(State.THROTTLED)],
            ready(node=True),
            "within `probe.stale_after`",
            id="throttled for a moment",
        ),
        pytest.param(
            finding(Cause.NODE_DOWN),
            [verdict(State.DOWN, State.DOWN), verdict(State.OK, target=OTHER)],
            ready(node=False, other=True),
            "the quorum is met by the others",
            id="others",
        ),
        pytest.param(
            finding(Cause.NODE_DOWN),
            [verdict(State.DOWN, State.DOWN)],
            ready(node=True),
            "",
            id="bad probes are being counted",
        ),
        pytest.param(
            finding(Cause.ALL_LAGGING, ""),
            [verdict(State.LAGGING), verdict(State.LAGGING, target=OTHER)],
            ready(node=True, other=True),
            "within `thresholds.lag_unready`",
            id="about all, said once",
        ),
        pytest.param(
            finding(Cause.MESSAGES_QUEUED, ""),
            [verdict(State.OK)],
            ready(node=True),
            "no gate is for it",
            id="no target is better",
        ),
        pytest.param(
            finding(Cause.CHAIN_SLOW, "", primary=False),
            [verdict(State.SLOW)],
            ready(node=True),
            "",
            id="payouts go through",
        ),
        pytest.param(
            finding(Cause.WALLET_LOW, "", account="hot"),
            [verdict(State.OK)],
            ready(node=True),
            "`readiness.gates.wallet_low` is off",
            id="a low wallet",
        ),
        pytest.param(
            finding(Cause.PAYOUTS_FAILING, "", account="hot"),
            [verdict(State.SLOW)],
            ready(node=True),
            "",
            id="another finding about a wallet",
        ),
        pytest.param(
            finding(Cause.NODE_SLOW, "public", primary=False),
            [verdict(State.OK), verdict(State.SLOW, target=REFERENCE)],
            ready(node=True),
            "",
            id="a reference decides nothing",
        ),
        pytest.param(
            finding(Cause.HEALTHY, ""), [verdict(State.OK)], ready(node=True), "", id="healthy"
        ),
        pytest.param(
            finding(Cause.NODE_SLOW),
            [verdict(State.SLOW)],
            Readiness(Phase.UNREADY, 0.0, 1, {"node": Standing(ready=True)}),
            "",
            id="not ready",
        ),
    ],
)
def test_why_it_is_ready(
    of: Finding, verdicts: list[Verdict], readiness: Readiness, words: str
) -> None:
    said = by_policy(of, judged(*verdicts), readiness, Gates())
    assert said == (f"Ready by policy: {words}." if words else "")


def test_a_gate_that_is_off_and_would_bar_a_stalled_chain() -> None:
    judgement = judged(verdict(State.STALLED), stalled=True)
    of = finding(Cause.CHAIN_STALLED, "")
    said = by_policy(of, judgement, ready(node=True), Gates())
    assert said == "Ready by policy: `readiness.gates.chain_stalled` is off."
