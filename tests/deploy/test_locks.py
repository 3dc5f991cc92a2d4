"""The locks: in step with pyproject.toml, hashed, without index URLs or paths."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("runtime.txt", "build.txt", "dev.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PROJECT["dependency-groups"]


def read(lock: str) -> str:
    return (ROOT / "requirements" / lock).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", read(lock), re.MULTILINE))


WANTED = {
    "runtime.txt": PROJECT["project"]["dependencies"],
    "build.txt": PROJECT["build-system"]["requires"] + GROUPS["build"],
    "dev.txt": PROJECT["project"]["dependencies"] + GROUPS["test"] + GROUPS["lint"],
}


@pytest.mark.parametrize("lock", LOCKS)
def test_pins_everything_that_pyproject_asks_for(lock: str) -> None:
    """When this fails: make lock."""
    pinned = pins(lock)
    for requirement in map(Requirement, WANTED[lock]):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(version)


@pytest.mark.parametrize("lock", ["runtime.txt", "build.txt"])
def test_is_part_of_the_development_lock(lock: str) -> None:
    """What is tested is what is shipped."""
    assert pins(lock).items() <= pins("dev.txt").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    for entry in re.split(r"\n(?=[a-z0-9])", read(lock)):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_names_no_index_and_no_place(lock: str) -> None:
    assert not re.search(r"://|^-|^\s*# +/|index-url|find-links", read(lock), re.MULTILINE)
