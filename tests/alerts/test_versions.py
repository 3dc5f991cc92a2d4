"""Every installed version accepts the rules and passes their unit tests: Prometheus and vmalert.

The installed promtool passes all of them; the others by default those whose result could
differ. With ``RULES=all`` they pass all that they can.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from tenacity import Retrying, stop_after_attempt

from tests.alerts import unit_tests
from tests.programs import INSTALLED, Version, versions
from tests.shipped import ALERTS, accepted
from tonwatch.watch.findings import alert_of
from tonwatch.watch.states import MEANINGS

RULES: Final = sorted(path for path in ALERTS.glob("*.yaml") if path.name != "alertmanager.yaml")
UNIT_TESTS: Final = sorted(path.stem for path in (ALERTS / "tests").glob("*.yaml"))
EVERYTHING: Final = os.environ.get("RULES") == "all"

DIFFERENT: Final = {
    "promtool": ("itself", "runway"),
    "vmalert-tool": ("runway",),
}
"""Unit tests of rules with ranges, which versions read differently: those that run by default."""

SLOW: Final = {"services-days", "slo-days"}
"""Unit tests with evaluations so far apart that vmalert, which reads what rules of one group have
recorded only at the next one, finds nothing."""

OFTEN: Final = {"services-burns": "2m"}
"""How often vmalert has to evaluate for the same reason, where a unit test says less often."""


def pairs(tool: str) -> Iterator[tuple[Version, str]]:
    for version in versions(tool):
        whole = EVERYTHING or (tool, version.release) == ("promtool", INSTALLED)
        for name in UNIT_TESTS if whole else DIFFERENT[tool]:
            if tool == "promtool" or name not in SLOW:
                yield version, name


def each(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("version", versions(tool), ids=str)


def each_pair(tool: str) -> pytest.MarkDecorator:
    both = list(pairs(tool))
    ids = [f"{version}-{name}" for version, name in both]
    return pytest.mark.parametrize(("version", "name"), both, ids=ids)


WHERE: Final = 'instance="tw:9717",job="tonwatch"'


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A unit test: what the diagnosis makes of a state fires, and no other cause's alert does."""
    series: dict[str, str] = {}
    expected = []
    for kind, role, state, cause in (
        (kind, role, state, cause)
        for kind in ("liteserver", "toncenter-v2")
        for role in ("primary", "reference")
        for state, meaning in MEANINGS.items()
        if (cause := meaning.node if kind == "liteserver" else meaning.provider)
    ):
        target = f"{role} {kind} {state}"
        of_it = f'{WHERE},target="{target}"'
        local = str(role == "primary").lower()
        series |= {
            f'tonwatch_target_info{{{of_it},kind="{kind}",role="{role}",local="{local}"}}': "1x20",
            f'tonwatch_target_state{{{of_it},state="{state}"}}': "1x20",
            f"tonwatch_target_lag_seconds{{{of_it}}}": "12x20",
            f"tonwatch_target_recent_interruptions{{{of_it}}}": "4x20",
            f"tonwatch_target_latency_seconds{{{of_it}}}": "2x20",
            f"tonwatch_target_clock_offset_seconds{{{of_it}}}": "3x20",
        }
        of_alert = f'alertname="{alert_of(cause)}", alertstate="firing", local="{local}"'
        expected.append(f'{{{of_alert}, target="{target}"}}')
    case = {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in series.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname, alertstate, local, target) (ALERTS{target!=""})',
                "eval_time": "9m",
                "exp_samples": [{"labels": labels, "value": 1} for labels in expected],
            }
        ],
    }
    content = {
        "rule_files": [str(ALERTS / "tonwatch.yaml")],
        "evaluation_interval": "1m",
        "tests": [case],
    }
    file = tmp_path / "states.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


class TestPrometheus:
    @each("promtool")
    def test_accepts_the_rules(self, version: Version) -> None:
        accepted(version.path(), "check", "rules", "--lint=all", "--lint-fatal", *RULES)

    @each_pair("promtool")
    def test_passes(self, version: Version, name: str, tmp_path: Path) -> None:
        cases = unit_tests.cases(ALERTS / "tests" / f"{name}.yaml", tmp_path)
        accepted(version.path(), "test", "rules", *cases)

    @each("promtool")
    def test_fires_the_alert_of_a_cause_alone(self, version: Version, states: Path) -> None:
        accepted(version.path(), "test", "rules", states)


# On a busy machine vmalert-tool now and then evaluates before it can read the samples that it has
# written. A rule that is wrong fails each time.
passes = Retrying(stop=stop_after_attempt(3), reraise=True).wraps(accepted)


# Older ones listen on a port of their own choice, so only one may run at a time.
@pytest.mark.xdist_group("vmalert-tool")
class TestVictoriaMetrics:
    @each("vmalert")
    def test_accepts_the_rules(self, version: Version) -> None:
        rules = [f"-rule={path}" for path in RULES]
        accepted(version.path(), "-dryRun", *rules)

    @each_pair("vmalert-tool")
    def test_passes(self, version: Version, name: str, tmp_path: Path) -> None:
        cases = list(unit_tests.cases(ALERTS / "tests" / f"{name}.yaml", tmp_path))
        for case in cases:
            unit_tests.for_vmalert(case, OFTEN.get(name, ""))
        files = [f"--files={case}" for case in cases]
        passes(version.path(), "unittest", "--disableAlertgroupLabel", *files)

    @each("vmalert-tool")
    def test_fires_the_alert_of_a_cause_alone(self, version: Version, states: Path) -> None:
        unit_tests.for_vmalert(states)
        passes(version.path(), "unittest", "--disableAlertgroupLabel", f"--files={states}")
