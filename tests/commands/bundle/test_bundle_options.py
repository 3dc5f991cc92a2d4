"""`tonwatch bundle export`: invalid options, and existing files."""

from pathlib import Path

import pytest

from tonwatch.cli import main
from tonwatch.commands.bundle import export as bundle
from tonwatch.commands.bundle.options import RUNBOOKS_URL

RULES = f"""\
groups:
  - name: tonwatch
    rules:
      - alert: TonwatchAbsent
        expr: absent(up{{job="tonwatch"}})
        labels: {{severity: critical}}
        annotations: {{runbook_url: {RUNBOOKS_URL}/TonwatchAbsent.md}}
      - alert: TonwatchNodeSlow
        expr: tonwatch_target_state{{state="slow"}} == 1
        labels: {{severity: warning}}
"""


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small bundle in place of the real one."""
    files = {
        "alerts/tonwatch.yaml": RULES,
        "alerts/alertmanager.yaml": "route: {receiver: x}\nreceivers: [{name: x}]\n",
        "dashboards/overview.json": '{"uid": "overview"}\n',
        "runbooks/TonwatchAbsent.md": "# TonwatchAbsent\n",
    }
    for name, text in files.items():
        (tmp_path / "shipped" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shipped" / name).write_text(text)
    monkeypatch.setattr(bundle, "_PACKAGE", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shipped"


def export(*arguments: str) -> int:
    return main(["bundle", "export", *arguments])


def exported() -> list[str]:
    return sorted(str(p.relative_to("out")) for p in Path("out").rglob("*") if p.is_file())


ALL = [
    "alertmanager.yaml",
    "dashboards/overview.json",
    "prometheusrule.yaml",
    "rules/tonwatch.yaml",
    "runbooks/TonwatchAbsent.md",
]


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ((), ALL),
        (("--rules",), ["rules/tonwatch.yaml"]),
        (("--prometheusrule",), ["prometheusrule.yaml"]),
        (("--alertmanager",), ["alertmanager.yaml"]),
        (("--dashboards",), ["dashboards/overview.json"]),
        (("--runbooks",), ["runbooks/TonwatchAbsent.md"]),
        (("--rules", "--alertmanager"), ["alertmanager.yaml", "rules/tonwatch.yaml"]),
    ],
)
def test_the_parts_that_are_named_are_written(options: tuple[str, ...], files: list[str]) -> None:
    assert export(*options, "out") == 0
    assert exported() == files


def test_it_prints_what_it_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--rules", "--runbooks", "out/here") == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote      out/here/rules/tonwatch.yaml",
        "wrote      out/here/runbooks/TonwatchAbsent.md",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--severity", "urgent=page"],
            "no alert has the severity 'urgent'; there are critical, w",
        ),
        (["--severity", "critical"], "--severity: 'critical' is not written key=value"),
        (["--severity", "critical="], "--severity: '' cannot be a severity"),
        (["--severity", "critical=warning"], "two severities would be called 'warning'"),
        (
            ["--severity", "critical=p", "--severity", "warning=p"],
            "two severities would be called 'p'",
        ),
        (
            ["--severity", "critical=a", "--severity", "critical=b"],
            "--severity: critical is given twice",
        ),
        (["--runbooks-url", "wiki.example/x"], "--runbooks-url: 'wiki.example/x' is not a URL"),
        (["--runbooks-url", "ftp://wiki.example/x"], "is not a URL"),
        (["--runbooks-url", "https://"], "is not a URL"),
        (["--runbooks-url", "https://[x/"], "is not a URL"),
        (["--runbooks-url", 'https://x.example/"a b"'], "is not a URL"),
        (["--runbooks-url", "https://x.example/#a"], "is not a URL"),
        (["--label", "team"], "--label: 'team' is not written key=value"),
        (["--label", "a-b=c"], "--label: 'a-b' cannot be the name of a label"),
        (["--label", "__a=c"], "--label: '__a' cannot be the name of a label"),
        (["--label", "a="], "--label: '' cannot be the value of a label"),
        (["--label", "severity=page"], "severities are renamed with --severity"),
        (["--label", "target=x"], "target is a label that alerts have already"),
        (["--label", "service=x"], "service is a label that alerts have already"),
        (["--label", "job=x"], "job is a label that alerts have already"),
        (["--job", ""], "--job: '' cannot be the name of a scrape job"),
        (
            ["--job", "a", "--job", "b"],
            "--job is given more than once (a, b), and rules select one",
        ),
        (
            ["--job", "wallet-api"],
            "--job and --wallet-api-job: 'wallet-api' cannot be the job of both",
        ),
        (["--wallet-api-job", "a\nb"], "--wallet-api-job: 'a\\nb' cannot be the name of"),
        (["--name", "Ton_Watch"], "--name: 'Ton_Watch' cannot be the name of a Kubernetes object"),
        (["--namespace", "a.b"], "--namespace: 'a.b' cannot be the name of a namespace"),
        (["--object-label", "a b=c"], "--object-label: a b=c cannot be a label in Kubernetes"),
        (["--object-label", "a=b c"], "--object-label: a=b c cannot be a label in Kubernetes"),
    ],
    ids=" ".join,
)
def test_invalid_options(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(*options, "out") == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.startswith("tonwatch bundle export: ")
    assert printed.out == ""
    assert not Path("out").exists()


def test_two_jobs_may_exchange_their_names() -> None:
    assert export("--rules", "--job", "wallet-api", "--wallet-api-job", "tonwatch", "out") == 0
    assert 'up{job="wallet-api"}' in Path("out/rules/tonwatch.yaml").read_text()


def test_two_severities_may_be_exchanged() -> None:
    options = ("--severity", "critical=warning", "--severity", "warning=critical")
    assert export("--rules", *options, "out") == 0
    text = Path("out/rules/tonwatch.yaml").read_text()
    swapped = (
        RULES.replace("critical", "x").replace("warning", "critical").replace("x}", "warning}")
    )
    assert text == swapped


class TestExistingFiles:
    def test_the_same_export_again_changes_nothing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export("--rules", "out")
        before = Path("out/rules/tonwatch.yaml").stat().st_mtime_ns
        capsys.readouterr()
        assert export("--rules", "out") == 0
        assert capsys.readouterr().out == "unchanged  out/rules/tonwatch.yaml\n"
        assert Path("out/rules/tonwatch.yaml").stat().st_mtime_ns == before

    def test_changed_files_are_kept_and_nothing_is_written(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export("--rules", "out")
        Path("out/rules/tonwatch.yaml").write_text("mine")
        capsys.readouterr()
        assert export("out") == 1
        printed = capsys.readouterr()
        assert "  out/rules/tonwatch.yaml\n" in printed.err
        assert "--force" in printed.err
        assert printed.out == ""
        assert exported() == ["rules/tonwatch.yaml"]
        assert Path("out/rules/tonwatch.yaml").read_text() == "mine"

    def test_force_replaces_them(self) -> None:
        export("--rules", "out")
        Path("out/rules/tonwatch.yaml").write_text("mine")
        assert export("--rules", "--force", "out") == 0
        assert Path("out/rules/tonwatch.yaml").read_text() == RULES

    def test_other_files_are_left_alone(self) -> None:
        Path("out/rules").mkdir(parents=True)
        Path("out/rules/mine.yaml").write_text("mine")
        assert export("--rules", "--force", "out") == 0
        assert Path("out/rules/mine.yaml").read_text() == "mine"

    @pytest.mark.parametrize("place", ["file", "file/below", "/proc/nothing"])
    def test_no_writable_directory(self, place: str, capsys: pytest.CaptureFixture[str]) -> None:
        Path("file").write_text("")
        assert export(place) == 1
        printed = capsys.readouterr().err
        assert printed.startswith(f"tonwatch bundle export: cannot write {place}")
        assert printed.endswith("; name a directory that can be written to\n")
        assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("folder", ["alerts", "dashboards", "runbooks"])
def test_a_part_that_is_not_installed(
    folder: str, shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (shipped / folder).iterdir():
        file.unlink()
    assert export("out") == 1
    assert f"installed without its {folder}" in capsys.readouterr().err
    (shipped / folder).rmdir()
    assert export("out") == 1
    assert f"installed without its {folder}" in capsys.readouterr().err
    assert not Path("out").exists()
