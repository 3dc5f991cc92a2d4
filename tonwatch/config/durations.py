"""Durations in YAML and flags: 500ms, 15s, 2m, 1h, 90d."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = _WRITTEN.fullmatch(value.strip())
        if match is None:
            raise ValueError("write a duration with its unit, such as 500ms, 15s, 2m, 1h or 90d")
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool) and value != 0:
        raise ValueError(f"write a duration with its unit, such as {value:g}s")
    return value


_Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(lambda seconds: f"{seconds:.12g}s", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_WRITTEN.pattern}$"}),
]

Duration = Annotated[_Seconds, Field(ge=0)]
"""Seconds, written with a unit: 500ms, 15s, 2m, 1h."""

PositiveDuration = Annotated[_Seconds, Field(gt=0)]
