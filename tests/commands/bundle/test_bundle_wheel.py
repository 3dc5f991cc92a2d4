"""What users install has the alerts, dashboards and runbooks in it, and exports them right."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import program

# Wheels are built and installed: that takes its time on a machine with more to do.
# The wheel is built once, so one worker.
pytestmark = pytest.mark.xdist_group("wheel")

ROOT = Path(__file__).parents[3]
SHIPPED = {
    "alerts": sorted((ROOT / "alerts").glob("*.yaml")),
    "dashboards": sorted((ROOT / "dashboards").glob("*.json")),
    "runbooks": sorted((ROOT / "docs/runbooks").glob("*.md")),
}
RULES = [file.name for file in SHIPPED["alerts"] if file.name != "alertmanager.yaml"]
# What the Prometheus operator's definition of the object knows.
GROUP_KEYS = {"name", "interval", "rules", "limit", "labels", "query_offset"}
RULE_KEYS = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
OPTIONS = (
    *("--job", "ton/watch", "--payout-helper-job", "payouts"),
    *("--wallet-api-job", "wallets", "--analytics-api-job", "prod/analytics"),
    *("--severity", "critical=page", "--severity", "warning=ticket"),
    *("--label", "team=payments", "--label", "tier=1"),
    *("--runbooks-url", "https://wiki.example/ton/"),
    *("--name", "ton", "--namespace", "monitoring", "--object-label", "release=prometheus"),
)
JOBS = {
    "tonwatch": "ton/watch",
    "payout-helper": "payouts",
    "wallet-api": "wallets",
    "analytics-api": "prod/analytics",
}


def build(tree: Path, target: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def export(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, list[str]]]:
    """Exports with the installed wheel, where the source tree cannot be seen."""
    site = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    subprocess.run((*pip, "--no-compile", "--target", site, wheel), check=True)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = {name: text for name, text in os.environ.items() if "TONWATCH" not in name}
    environment["PYTHONPATH"] = str(site)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            (sys.executable, *arguments),
            cwd=elsewhere,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return done.stdout

    find = "from tonwatch.commands.bundle.export import shipped; print(shipped('alerts'))"
    assert Path(run("-c", find).strip()).is_relative_to(site)

    def exported(*options: str) -> tuple[Path, list[str]]:
        directory = tmp_path_factory.mktemp("exported")
        lines = run("-m", "tonwatch", "bundle", "export", *options, str(directory)).splitlines()
        return directory, [line.removeprefix(f"wrote      {directory}/") for line in lines]

    return exported


@pytest.fixture(scope="module")
def plain(export: Callable[..., tuple[Path, list[str]]]) -> Path:
    return export()[0]


@pytest.fixture(scope="module")
def renamed(export: Callable[..., tuple[Path, list[str]]]) -> Path:
    return export(*OPTIONS)[0]


class TestWheel:
    def test_has_them_and_not_what_they_are_built_and_tested_with(self, wheel: Path) -> None:
        prefix = "tonwatch/shipped/"
        inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(prefix)}
        assert inside == {
            f"{prefix}{folder}/{file.name}" for folder, files in SHIPPED.items() for file in files
        }

    def test_has_nothing_beside_the_package(self, wheel: Path) -> None:
        tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"tonwatch"}

    def test_is_the_same_from_the_sdist(self, wheel: Path, tmp_path: Path) -> None:
        sdist = build(ROOT, "sdist", tmp_path / "sdist")
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path / "tree", filter="data")
        (tree,) = (tmp_path / "tree").iterdir()
        again = build(tree, "wheel", tmp_path / "wheel")
        assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()

    @pytest.mark.parametrize("folder", ["alerts", "dashboards", "docs"])
    def test_of_the_image_has_them_too(self, folder: str) -> None:
        lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        assert f"COPY {folder}/ {folder}/" in lines


class TestExport:
    def test_everything(self, export: Callable[..., tuple[Path, list[str]]]) -> None:
        directory, told = export()
        written = [str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()]
        assert sorted(told) == sorted(written)
        assert sorted(written) == sorted(
            [
                "alertmanager.yaml",
                "prometheusrule.yaml",
                *(f"rules/{name}" for name in RULES),
                *(f"dashboards/{file.name}" for file in SHIPPED["dashboards"]),
                *(f"runbooks/{file.name}" for file in SHIPPED["runbooks"]),
            ]
        )

    def test_without_options_rules_and_dashboards_are_as_shipped(self, plain: Path) -> None:
        for file in SHIPPED["alerts"]:
            place = plain if file.name == "alertmanager.yaml" else plain / "rules"
            assert (place / file.name).read_text() == file.read_text()
        for file in SHIPPED["dashboards"]:
            assert (plain / "dashboards" / file.name).read_text() == file.read_text()

    def test_links_of_runbooks_lead_somewhere(self, plain: Path) -> None:
        for file in (plain / "runbooks").iterdir():
            for link in re.findall(r"\]\(([^)#]+)", file.read_text()):
                assert link.startswith("https://") or (file.parent / link).exists(), file.name


@pytest.mark.parametrize("options", [(), OPTIONS], ids=["as shipped", "renamed"])
class TestAccepted:
    @pytest.fixture
    def directory(self, options: tuple[str, ...], request: pytest.FixtureRequest) -> Path:
        place: Path = request.getfixturevalue("renamed" if options else "plain")
        return place

    def test_by_promtool(self, directory: Path, tmp_path: Path) -> None:
        spec = yaml.safe_load((directory / "prometheusrule.yaml").read_text())["spec"]
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
        files = [directory / "rules" / name for name in RULES]
        check(program("promtool"), "check", "rules", *files, tmp_path / "spec.yaml")

    def test_by_amtool(self, directory: Path) -> None:
        check(program("amtool"), "check-config", directory / "alertmanager.yaml")

    def test_as_a_prometheusrule(self, directory: Path, options: tuple[str, ...]) -> None:
        document = yaml.safe_load((directory / "prometheusrule.yaml").read_text())
        assert document.keys() == {"apiVersion", "kind", "metadata", "spec"}
        assert document["apiVersion"] == "monitoring.coreos.com/v1"
        assert document["kind"] == "PrometheusRule"
        assert document["metadata"] == (
            {
                "name": "ton",
                "namespace": "monitoring",
                "labels": {"app.kubernetes.io/name": "tonwatch", "release": "prometheus"},
            }
            if options
            else {"name": "tonwatch", "labels": {"app.kubernetes.io/name": "tonwatch"}}
        )
        groups = document["spec"]["groups"]
        assert document["spec"].keys() == {"groups"}
        assert groups == [group for name in RULES for group in groups_in(directory, name)]
        # The operator's list of groups is a map by their names.
        names = [group["name"] for group in groups]
        assert len(names) == len(set(names))
        for group in groups:
            assert group.keys() <= GROUP_KEYS
            assert group["rules"]
            for rule in group["rules"]:
                assert rule.keys() <= RULE_KEYS
                assert isinstance(rule["expr"], str)
                assert ("alert" in rule) != ("record" in rule)
                assert "annotations" not in rule or "alert" in rule
                for texts in (rule.get("labels", {}), rule.get("annotations", {})):
                    assert all(isinstance(text, str) for text in texts.values())
                for duration in (rule.get("for", "0s"), group.get("interval", "0s")):
                    assert re.fullmatch(r"(\d+(ms|[smhdwy]))+", duration)


class TestRenamed:
    def test_every_alert(self, plain: Path, renamed: Path) -> None:
        called = {"critical": "page", "warning": "ticket"}
        for name in RULES:
            for old, new in zip(rules_in(plain, name), rules_in(renamed, name), strict=True):
                assert new.get("alert") == old.get("alert")
                if "alert" not in old:
                    continue
                severity = old["labels"]["severity"]
                assert new["labels"] == old["labels"] | {
                    "severity": called.get(severity, severity),
                    "team": "payments",
                    "tier": "1",
                }
                url = new["annotations"]["runbook_url"]
                assert url == f"https://wiki.example/ton/{old['alert']}.md"

    @pytest.mark.parametrize(("old", "new"), JOBS.items())
    def test_every_selection_of_a_job(self, old: str, new: str, plain: Path, renamed: Path) -> None:
        matcher = re.compile(rf'\bjob="{old}"')
        for name in RULES:
            for before, after in zip(rules_in(plain, name), rules_in(renamed, name), strict=True):
                assert not matcher.search(after["expr"])
                count = len(matcher.findall(before["expr"]))
                assert len(re.findall(rf'\bjob="{new}"', after["expr"])) == count

    def test_jobs_are_selected_at_all(self, plain: Path) -> None:
        queries = "".join(rule["expr"] for name in RULES for rule in rules_in(plain, name))
        assert set(re.findall(r'\bjob="([^"]+)"', queries)) == JOBS.keys()

    def test_comments_are_kept(self, plain: Path, renamed: Path) -> None:
        for name in RULES:
            before, after = ((d / "rules" / name).read_text() for d in (plain, renamed))
            assert re.findall(r"(?m)^ *#.*", after) == re.findall(r"(?m)^ *#.*", before)

    def test_routes_go_by_the_severities_of_the_alerts(self, renamed: Path) -> None:
        text = (renamed / "alertmanager.yaml").read_text()
        routed = set(re.findall(r'\bseverity="([^"]+)"', text))
        alerts = [r for name in RULES for r in rules_in(renamed, name) if "alert" in r]
        assert {"page", "ticket"} <= routed <= {alert["labels"]["severity"] for alert in alerts}

    def test_no_old_name_is_left_where_it_matters(self, renamed: Path) -> None:
        for file in renamed.rglob("*.yaml"):
            for text in strings(yaml.safe_load(file.read_text())):
                assert not re.search(r'severity\s*=~?\s*"?[^",}]*(critical|warning)', text)
        for file in renamed.rglob("*.json"):
            for text in strings(json.loads(file.read_text())):
                assert not re.search(r'severity=~?"[^"]*(critical|warning)', text)
                assert not re.search(rf'\bjob="({"|".join(JOBS)})"', text)

    def test_dashboards_are_the_same_but_for_names(self, plain: Path, renamed: Path) -> None:
        for file in (plain / "dashboards").iterdir():
            before = json.loads(file.read_text())
            after = json.loads((renamed / "dashboards" / file.name).read_text())
            assert after["uid"] == before["uid"]
            assert len(list(strings(after))) == len(list(strings(before)))
            assert [v["name"] for v in after["templating"]["list"]] == [
                v["name"] for v in before["templating"]["list"]
            ]

    def test_links_lead_to_the_wiki(self, renamed: Path) -> None:
        for file in (p for p in renamed.rglob("*") if p.is_file()):
            assert "tonwatch/blob/main/docs/runbooks" not in file.read_text()


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def groups_in(directory: Path, name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((directory / "rules" / name).read_text())[
        "groups"
    ]
    return groups


def rules_in(directory: Path, name: str) -> list[dict[str, Any]]:
    return [rule for group in groups_in(directory, name) for rule in group["rules"]]


def strings(node: Any) -> list[str]:
    """All keys and texts below a node."""
    if isinstance(node, Mapping):
        return [text for pair in node.items() for item in pair for text in strings(item)]
    if isinstance(node, list):
        return [text for item in node for text in strings(item)]
    return [node] if isinstance(node, str) else []
