"""What /ready answers: the phase, or with limits in the query, the present state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tonwatch.config.durations import PositiveDuration
from tonwatch.samples.sample import Probe
from tonwatch.serve.text import count, plain, progress, readiness_count, why
from tonwatch.watch.readiness import Phase, Quorum, ask
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View

VALID: Final = "/ready takes lag=10s, shard_client_lag=5, quorum=majority|any|all, and verbose"


class Question(BaseModel):
    """The query of /ready: limits in place of the configured ones.

    Attributes:
        lag: seconds of lag to the head from which a target is not ready.
        shard_client_lag: blocks, likewise.
        quorum: how many primaries it takes.
        verbose: whether to give the reasons.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lag: PositiveDuration | None = None
    shard_client_lag: Annotated[int, Field(ge=1)] | None = None
    quorum: Quorum | None = None
    verbose: str = "no"

    @property
    def has_limits(self) -> bool:
        return (self.lag, self.shard_client_lag, self.quorum) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the status is 200, and the body."""

    ready: bool
    text: str


def parse(query: Iterable[tuple[str, str]]) -> Question:
    """The question in a query string's names and values.

    Raises:
        ValueError: a name is unknown or given twice, or a value is invalid; names what is valid.
    """
    given: dict[str, str] = {}
    for name, value in query:
        if name not in Question.model_fields:
            raise ValueError(f"{name[:40]!r} is no parameter; {VALID}")
        if name in given:
            raise ValueError(f"{name} is given more than once; {VALID}")
        given[name] = value
    try:
        return Question.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        words = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{first['loc'][0]}: {words}; {VALID}") from None


def is_on(flag: str) -> bool:
    """Whether a flag such as ``?verbose`` or ``?verbose=no`` is set."""
    return flag.lower() not in {"0", "false", "no"}


def answer(view: View, question: Question) -> Answer:
    """What /ready answers for a view.

    Without limits it is the phase, with its hysteresis; with limits, the present state. While
    draining it is the phase in any case.
    """
    verbose = is_on(question.verbose)
    if question.has_limits and view.readiness.phase is not Phase.DRAINING:
        return _as_asked(view, question, verbose=verbose)
    phase = view.readiness.phase
    text = "\n".join([*_standings(view), _summary(view)]) if verbose else str(phase)
    return Answer(view.readiness.ready, text)


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
    lines = []
    for name, standing in view.readiness.standings.items():
        verdict = view.judgement.verdicts[name]
        words = [why(verdict), progress(standing, view.config.readiness)]
        lines.append(_line(name, bool(standing.ready), verdict.state, words))
    return lines


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


def _summary(view: View) -> str:
    if view.readiness.phase is Phase.DRAINING:
        return "draining: tonwatch is about to stop"
    return f"{view.readiness.phase}: {readiness_count(view.readiness)}"
