"""Programs that some tests need and not every machine has: `make tools` installs them."""

import shutil
from typing import Final

import pytest

PACKAGES: Final = {
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "vmalert": "victoria-metrics",
}
"""Debian's package of each."""

_OTHER_NAMES: Final = {"alertmanager": "prometheus-alertmanager"}
"""What Debian calls a program, where that is not its own name."""

REMEDY: Final = "make tools"
"""Installs them."""


def program(name: str) -> str:
    """The path of an installed program; where it is missing the test is skipped.

    Raises:
        KeyError: no package is known to have it.
    """
    package = PACKAGES[name]
    found = shutil.which(name) or shutil.which(_OTHER_NAMES.get(name, name))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's {package}; {REMEDY})")
    return found
