"""Programs that some tests need and not every machine has: `make tools` installs them.

Of some it fetches further versions too: those of other releases of the distribution. Each release
has a folder in `.cache/programs`, which is empty where nothing could be fetched.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

PACKAGES: Final = {
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "vmalert": "victoria-metrics",
    "vmalert-tool": "victoria-metrics",
}
"""Debian's package of each."""

_OTHER_NAMES: Final = {"alertmanager": "prometheus-alertmanager"}
"""What Debian calls a program, where that is not its own name."""

REMEDY: Final = "make tools"
"""Installs them."""

INSTALLED: Final = "installed"
"""The release that stands for what the machine has."""

FETCHED: Final = Path(__file__).parents[1] / ".cache" / "programs"


@dataclass(frozen=True)
class Version:
    """A program as one release of the distribution has it.

    Attributes:
        name: the program.
        package: Debian's package of it.
        release: whose it is: `INSTALLED`, or the name of another release.
        where: its path; None where it is missing.
    """

    name: str
    package: str
    release: str
    where: str | None

    def __str__(self) -> str:
        return self.release

    def path(self) -> str:
        """Its path; where it is missing the test is skipped."""
        if self.where is None:
            what = "installed" if self.release == INSTALLED else f"fetched from {self.release}"
            pytest.skip(f"{self.name} is not {what} (Debian's {self.package}; {REMEDY})")
        return self.where


def program(name: str) -> str:
    """The path of an installed program; where it is missing the test is skipped.

    Raises:
        KeyError: no package is known to have it.
    """
    return Version(name, PACKAGES[name], INSTALLED, _found(name, shutil.which)).path()


def versions(name: str) -> list[Version]:
    """All versions of a program, for `parametrize` with `ids=str`; the installed one comes first.

    A package that is there without the program is of a version that does not have it yet: that is
    left out.

    Raises:
        KeyError: no package is known to have it.
    """
    package = PACKAGES[name]
    siblings = [each for each, its in PACKAGES.items() if its == package]
    places: dict[str, Callable[[str], str | None]] = {INSTALLED: shutil.which}
    for folder in sorted(each for each in FETCHED.glob("*") if each.is_dir()):
        places[folder.name] = partial(shutil.which, path=str(folder))
    # Where none has been fetched, a skipped test says what is not tested.
    places = places if len(places) > 1 else places | {"other releases": _nowhere}
    return [
        Version(name, package, release, found)
        for release, which in places.items()
        if (found := _found(name, which)) or not any(_found(each, which) for each in siblings)
    ]


def _nowhere(_: str) -> None:
    return None


def _found(name: str, which: Callable[[str], str | None]) -> str | None:
    return which(name) or which(_OTHER_NAMES.get(name, name))
