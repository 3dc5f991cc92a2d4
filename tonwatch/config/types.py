"""Types shared by all parts of the configuration."""

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_NAME: Final = 63

_NAME: Final = rf"^[a-z0-9]([a-z0-9._-]{{0,{MAX_NAME - 2}}}[a-z0-9])?$"

Name = Annotated[str, Field(pattern=_NAME)]
"""A label value: lower-case letters, digits, and . _ - inside; at most 63."""


def _path(value: object) -> object:
    # An empty path would be the current directory.
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("write a path, or leave the key out")
    try:
        os.fsencode(value if isinstance(value, str) else "")
    except UnicodeEncodeError:
        raise ValueError("no file can have this name") from None
    return value


FilePath = Annotated[Path, BeforeValidator(_path)]
"""A path; the file or directory need not exist yet."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
