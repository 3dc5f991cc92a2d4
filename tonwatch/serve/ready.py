"""What /ready answers: the phase, or with limits in the query, the present state; of all primaries
or of one target.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tonwatch.config.durations import PositiveDuration
from tonwatch.samples.sample import Probe
from tonwatch.serve.query import parsed
from tonwatch.serve.text import by_gates, count, plain, progress, readiness_count, why
from tonwatch.watch.policy import barring_gates, by_policy
from tonwatch.watch.readiness import Phase, Quorum, Standing, ask, barred_by
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View

VALID: Final = (
    "/ready takes target=NAME, lag=10s, shard_client_lag=5, quorum=majority|any|all, and verbose"
)

_DRAINING: Final = "draining: tonwatch is about to stop"


class Question(BaseModel):
    """The query of /ready: one target, and limits in place of the configured ones.

    Attributes:
        target: the name of the only target that matters; None where the quorum does.
        lag: seconds of lag to the head from which a target is not ready.
        shard_client_lag: blocks, likewise.
        quorum: how many primaries it takes.
        verbose: whether to give the reasons.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str | None = None
    lag: PositiveDuration | None = None
    shard_client_lag: Annotated[int, Field(ge=1)] | None = None
    quorum: Quorum | None = None
    verbose: str = "no"

    @model_validator(mode="after")
    def _one_target_has_no_quorum(self) -> Self:
        if self.target is not None and self.quorum is not None:
            raise ValueError("target and quorum exclude each other")
        return self

    @property
    def has_limits(self) -> bool:
        return (self.lag, self.shard_client_lag, self.quorum) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the status is 200, and the body; `found` is false where there is no such target."""

    ready: bool
    text: str
    found: bool = True


def parse(query: Iterable[tuple[str, str]]) -> Question:
    """The question in a query string's names and values.

    Raises:
        ValueError: a name is unknown or given twice, or a value is invalid; names what is valid.
    """
    return parsed(Question, query, VALID)


def is_on(flag: str) -> bool:
    """Whether a flag such as ``?verbose`` or ``?verbose=no`` is set."""
    return flag.lower() not in {"0", "false", "no"}


def answer(view: View, question: Question) -> Answer:
    """What /ready answers for a view.

    Without limits it is the phase, with its hysteresis; with limits, the present state. While
    draining it is the phase in any case.
    """
    verbose = is_on(question.verbose)
    if question.target is not None:
        return _of_target(view, question.target, question, verbose=verbose)
    if question.has_limits and view.readiness.phase is not Phase.DRAINING:
        return _as_asked(view, question, verbose=verbose)
    phase = view.readiness.phase
    text = "\n".join([*_standings(view), *_summary(view)]) if verbose else str(phase)
    return Answer(view.readiness.ready, text)


def _of_target(view: View, name: str, question: Question, *, verbose: bool) -> Answer:
    """What /ready answers of one target, by its own hysteresis or by the limits of the query."""
    judgement, standing = view.judgement, view.readiness.standing(name)
    if standing is None:
        known = ", ".join(judgement.verdicts)
        return Answer(False, f"there is no target {name[:40]!r}; there are {known}", found=False)
    if view.readiness.phase is Phase.DRAINING:
        return Answer(False, _DRAINING if verbose else str(Phase.DRAINING))
    verdict = judgement.verdicts[name]
    if question.has_limits:
        barred = barred_by(verdict, lag=question.lag, shard_client_lag=question.shard_client_lag)
        ready, word, lines = not barred, "unready by these limits", _reasons(view, {name: barred})
    else:
        word = "starting" if standing.ready is None else "unready"
        ready, lines = bool(standing.ready), [_standing_line(view, name, standing)]
    if ready:
        return Answer(True, "\n".join([*lines, "ready"]) if verbose else "ready")
    reason = lines[0].removeprefix("[-]")
    return Answer(False, "\n".join([*lines, word]) if verbose else f"{word}: {reason}")


def _as_asked(view: View, question: Question, *, verbose: bool) -> Answer:
    asked = ask(
        view.judgement,
        question.quorum or view.config.readiness.quorum,
        lag=question.lag,
        shard_client_lag=question.shard_client_lag,
    )
    word = "ready" if asked.ready else "unready"
    if not verbose:
        return Answer(asked.ready, word)
    usable = sum(not states for states in asked.barred.values())
    total = f"{word} by these limits: {count(usable, len(asked.barred), asked.needed)}"
    return Answer(asked.ready, "\n".join([*_reasons(view, asked.barred), total]))


def _standings(view: View) -> list[str]:
    """One line for each deciding target, as kube-apiserver does."""
    standings = view.readiness.standings.items()
    return [_standing_line(view, name, standing) for name, standing in standings]


def _standing_line(view: View, name: str, standing: Standing) -> str:
    verdict = view.judgement.verdicts[name]
    gates = [] if standing.ready else barring_gates(verdict, view.judgement)
    words = [why(verdict), progress(standing, view.config.readiness), by_gates(gates)]
    return _line(name, bool(standing.ready), verdict.state, words)


def _reasons(view: View, barred: Mapping[str, frozenset[State]]) -> list[str]:
    """One line for each target, and for each limit of the query that it exceeds."""
    lines = []
    for name, states in barred.items():
        verdict = view.judgement.verdicts[name]
        if not states:
            lines.append(_line(name, True, verdict.state, [why(verdict)]))
        lines += [
            _line(name, False, state, [why(_as_if(view, verdict, state))])
            for state in State
            if state in states
        ]
    return lines


def _as_if(view: View, verdict: Verdict, state: State) -> Verdict:
    """The verdict as if for `state`: a target may be barred for another state than its own."""
    if state is verdict.state:
        return verdict
    newest = view.snapshot.records[verdict.target.name].latest.get(Probe.HEAD)
    if newest is not None and not MEANINGS[state].answers:
        # It was ok until its newest probe failed.
        return replace(verdict, state=state, reason=newest.reason, detail=newest.detail)
    return replace(verdict, state=state)


def _line(name: str, good: bool, state: State, words: list[str]) -> str:
    text = " ".join(word for word in words if word)
    return f"[{'+' if good else '-'}]{name} {plain(state)}{': ' if text else ''}{text}"


def _summary(view: View) -> list[str]:
    """The phase with its quorum, and where it needs one, an explanation."""
    readiness, config = view.readiness, view.config.readiness
    if readiness.phase is Phase.DRAINING:
        return [_DRAINING]
    lines = [f"{readiness.phase}: {readiness_count(readiness)}"]
    if readiness.held_by_wallets:
        lines[0] += ", but a wallet is low. By `readiness.gates.wallet_low`."
    policy = by_policy(view.diagnosis.finding, view.judgement, readiness, config.gates)
    return [*lines, policy] if policy else lines
