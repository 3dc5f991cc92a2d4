"""Where tests find programs, and how tests without their program are skipped."""

from pathlib import Path

import pytest

from tests import programs
from tests.programs import INSTALLED, program, versions


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are installed; releases are fetched beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "FETCHED", tmp_path / "fetched")
    return folder


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_an_installed_program_is_found(path: Path) -> None:
    put(path, "promtool")
    assert program("promtool") == str(path / "promtool")


def test_a_program_is_found_by_the_name_that_debian_gives_it(path: Path) -> None:
    put(path, "prometheus-alertmanager")
    assert program("alertmanager") == str(path / "prometheus-alertmanager")


@pytest.mark.usefixtures("path")
def test_without_a_program_the_test_is_skipped_and_says_what_helps() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"chromium is not installed .*make tools"):
        program("chromium")


def test_a_program_of_which_nobody_knows_the_package_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        program("gcc")


def test_every_fetched_release_is_a_version(path: Path, tmp_path: Path) -> None:
    put(path, "promtool")
    put(tmp_path / "fetched" / "newer", "promtool")
    put(tmp_path / "fetched" / "newest", "promtool")
    found = versions("promtool")
    assert [str(each) for each in found] == [INSTALLED, "newer", "newest"]
    assert [Path(each.path()).parent.name for each in found] == ["bin", "newer", "newest"]


@pytest.mark.parametrize(
    ("fetched", "release"), [("newer", "newer"), ("", "other releases")], ids=["empty", "none"]
)
def test_a_version_that_is_missing_is_skipped_by_name(
    path: Path, tmp_path: Path, fetched: str, release: str
) -> None:
    put(path, "promtool")
    (tmp_path / "fetched" / fetched).mkdir(parents=True)
    _, missing = versions("promtool")
    with pytest.raises(pytest.skip.Exception, match=f"not fetched from {release} .*make tools"):
        missing.path()


def test_a_version_that_does_not_have_a_program_yet_is_left_out(path: Path, tmp_path: Path) -> None:
    put(path, "vmalert")
    put(tmp_path / "fetched" / "newer", "vmalert", "vmalert-tool")
    assert [str(each) for each in versions("vmalert-tool")] == ["newer"]
    assert [str(each) for each in versions("vmalert")] == [INSTALLED, "newer"]


def test_every_package_is_one_that_make_tools_installs() -> None:
    script = (Path(__file__).parents[1] / "tools" / "install-test-programs").read_text()
    assert all(package in script for package in programs.PACKAGES.values())
