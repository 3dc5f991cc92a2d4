"""From a fault to its notification: the fault matrix with real Prometheus and Alertmanager.

Rules and routes are the shipped ones, with durations cut (see shortened.py). By default each alert
fires once; ``E2E_ROWS=all`` plays every row, ``E2E_ROWS=WORD`` those with the word in
their names.
"""

import asyncio
import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import expressions, services
from tests.e2e.expected import RUNBOOKS, severities
from tests.e2e.monitoring import Monitoring, monitoring
from tests.e2e.rows import JOB, RowRunner, alerts, chosen
from tests.e2e.webhook import Notification, Webhook
from tests.matrix.situations import Situation
from tonwatch.watch.findings import Cause, alert_of

# One run of all rows, so one worker; by far the longest, so it begins first.
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("e2e"), pytest.mark.long]

EVENTUALLY = 60.0
"""Seconds."""

EVERYTHING = os.environ.get("E2E_ROWS", "") in {"", "all"}
"""Whether all that can fire does."""


@dataclass(frozen=True)
class Run:
    """The results of the run.

    Attributes:
        wrong: what went wrong with each row.
        received: every notification.
        unauthorized: messages without the secret.
        unanswered: queries that never had an answer, or that Prometheus does not take.
    """

    wrong: dict[str, str]
    received: Sequence[Notification]
    unauthorized: int
    unanswered: dict[str, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    try:
        return asyncio.run(_run(tmp_path_factory.mktemp("e2e")))
    finally:
        gc.unfreeze()


async def _run(home: Path) -> Run:
    began = time.time()
    async with Webhook() as webhook, monitoring(home, webhook.url) as watching:
        runner = RowRunner(watching, webhook, home)
        async with asyncio.TaskGroup() as group:
            rows = group.create_task(runner.play(chosen()))
            around = group.create_task(services.play(watching, webhook, home))
        wrong = rows.result() | around.result()
        wrong["nothing is scraped"] = await _all_gone(webhook)
        unanswered = await _unanswered(watching, began)
        return Run(wrong, tuple(webhook.received), webhook.unauthorized, unanswered)


async def _all_gone(webhook: Webhook) -> str:
    """When no tonwatch is left, TonwatchAbsent must arrive."""
    try:
        async with asyncio.timeout(EVENTUALLY):
            await webhook.until(
                lambda: any(
                    each.fits(alertname="TonwatchAbsent", job=JOB) for each in webhook.received
                )
            )
    except TimeoutError:
        return "no notification"
    return ""


async def _unanswered(watching: Monitoring, began: float) -> dict[str, str]:
    silent = {}
    now = time.time()
    for expression in (*expressions.of_rules(), *expressions.of_dashboards()):
        try:
            if not await watching.ever(expression.text, began, now):
                silent[expression.place] = f"no answer: {expression.text}"
        except ValueError as error:
            silent[expression.place] = str(error)
    return silent


def firing(run: Run) -> list[Notification]:
    return [each for each in run.received if each.status == "firing"]


@pytest.mark.parametrize("row", chosen(), ids=lambda row: f"{row.group}: {row.name}")
def test_a_row_notifies_its_receivers_and_no_others(run: Run, row: Situation) -> None:
    assert run.wrong[row.name] == ""


@pytest.mark.parametrize("part", [*services.PARTS, "nothing is scraped"])
def test_beyond_the_matrix(run: Run, part: str) -> None:
    assert run.wrong[part] == ""


def test_every_message_says_what_to_do(run: Run) -> None:
    assert firing(run)
    for notification in firing(run):
        assert notification.labels["severity"] in frozenset().union(
            *severities()[notification.name].values()
        )
        assert notification.annotations["runbook_url"] == f"{RUNBOOKS}/{notification.name}.md"
        assert "{{" not in notification.annotations["summary"]
        for text in notification.annotations.values():
            # What a template prints where a label or a value is missing.
            assert not any(each in text for each in ("<no value>", "<error", "NaN", '""')), text


def test_pages_go_to_pagers(run: Run) -> None:
    for notification in firing(run):
        place = {"critical": "-pager", "warning": "-chat", "info": "notes"}
        ending = place[notification.labels["severity"]]
        expected = "dead-mans-switch" if notification.name == "TonwatchWatchdog" else ending
        assert notification.receiver.endswith(expected), notification


def test_the_dead_mans_switch_receives_the_watchdog(run: Run) -> None:
    notification = [
        notification for notification in run.received if notification.receiver == "dead-mans-switch"
    ]
    assert notification
    assert {each.name for each in notification} == {"TonwatchWatchdog"}


def test_messages_carry_the_secret(run: Run) -> None:
    assert run.unauthorized == 0


@pytest.mark.skipif(not EVERYTHING, reason="only some rows are played")
def test_every_shipped_query_has_an_answer(run: Run) -> None:
    quiet = {each.place for each in all_expressions() if each.quiet}
    silent = {place: why for place, why in run.unanswered.items() if place not in quiet}
    assert not silent, "\n".join(f"{place}: {why}" for place, why in silent.items())


def all_expressions() -> list[expressions.Expression]:
    return [*expressions.of_rules(), *expressions.of_dashboards()]


def test_every_excuse_is_about_a_query() -> None:
    used = {each.quiet for each in all_expressions()}
    assert set(expressions.QUIET.values()) <= used


@pytest.mark.skipif(not EVERYTHING, reason="only some rows are played")
def test_every_cause_is_played() -> None:
    played = {alert for row in chosen() for alert in alerts(row)}
    not_played = {
        Cause.NO_DATA,
        Cause.LOCAL_RESOURCES,
        Cause.STATE_DIR_FAILING,
        Cause.WRITE_PROBE_IDLE,
    }
    assert set(map(alert_of, Cause)) - played == {None, *map(alert_of, not_played)}
