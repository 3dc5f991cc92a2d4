"""What every part of the configuration shares."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_NAME: Final = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"

Name = Annotated[str, Field(pattern=_NAME)]
"""Becomes the value of a label: lower-case letters, digits, and . _ - inside; at most 63."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
