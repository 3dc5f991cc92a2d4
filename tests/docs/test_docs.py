"""The documentation matches the program: examples work, lists are complete."""

import base64
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.configs import load
from tonwatch.simulator.scenarios.scenario import Scenario, parse
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.findings import Cause, Finding

ROOT = Path(__file__).parents[2]
KEYS = (
    "n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk=",
    "3XO67K/qi+gu3T9v8G2hx1yNmWZhccL3O7SoosFo8G0=",
    "58" + "66" * 31,
)
"""The first are those of mainnet's own file, which no example may name a second time."""


def examples(file: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / file).read_text(), re.DOTALL)


@pytest.mark.parametrize("file", ["README.md", "docs/configuration.md"])
def test_examples_are_accepted(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    servers = [{"ip": n, "port": 1, "id": {"key": key}} for n, key in enumerate(KEYS, start=1)]
    zero_state = {"root_hash": base64.b64encode(ZEROSTATES["mainnet"]).decode()}
    content = {"liteservers": servers, "validator": {"zero_state": zero_state}}
    Path("global.config.json").write_text(json.dumps(content))
    assert examples(file)
    for example in examples(file):
        Path("tonwatch.yaml").write_text(example)
        load(Path("tonwatch.yaml"))


def test_the_scenario_in_the_documentation_can_be_played() -> None:
    (example,) = examples("docs/rehearsals.md")
    parse(Scenario, yaml.safe_load(example), "docs/rehearsals.md").simulator()


def test_the_defaults_in_the_documentation_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = examples("docs/configuration.md")[0]
    sections = text[text.index("\nprobe:") :]
    Path("tonwatch.yaml").write_text(sections)
    assert load(Path("tonwatch.yaml")) == load(None)


def test_every_diagnosis_has_its_section_in_the_order_of_blame() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "docs/diagnoses.md").read_text(), re.MULTILINE)
    assert headings == [str(cause) for cause in Cause]


@pytest.mark.parametrize(
    ("cause", "runbook"),
    [
        (Cause.NODE_DOWN, "runbooks/TonwatchNodeDown.md"),
        (Cause.PAYOUTS_GAP, "runbooks/TonwatchPayoutsGap.md"),
        (Cause.NO_DATA, "runbooks/TonwatchNoData.md"),
        (Cause.STARTING, None),
        (Cause.HEALTHY, None),
    ],
)
def test_a_diagnosis_names_its_runbook(cause: Cause, runbook: str | None) -> None:
    assert Finding(cause, "", 0.0).runbook == runbook


def test_links_lead_somewhere(subtests: pytest.Subtests) -> None:
    for file in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text())
        with subtests.test(file.name):
            assert [link for link in links if not (file.parent / link).exists()] == []
