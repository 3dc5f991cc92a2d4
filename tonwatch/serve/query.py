"""Query strings as models."""

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], query: Iterable[tuple[str, str]], valid: str) -> M:
    """The model of a query string's names and values.

    Args:
        model: has a field for each name.
        query: names and values.
        valid: what is valid, for the text of an error.

    Raises:
        ValueError: a name is unknown or given twice, or a value is invalid.
    """
    names = {field.alias or name for name, field in model.model_fields.items()}
    given: dict[str, str] = {}
    for name, value in query:
        if name not in names:
            raise ValueError(f"{name[:40]!r} is no parameter; {valid}")
        if name in given:
            raise ValueError(f"{name} is given more than once; {valid}")
        given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = [str(part) for part in first["loc"]]
        words = ": ".join([*place, first["msg"].removeprefix("Value error, ")])
        raise ValueError(f"{words}; {valid}") from None
