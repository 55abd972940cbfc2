"""Numbers and times as Launch27 writes them, and near enough to be meant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, GetPydanticSchema
from pydantic_core import core_schema

_MOST_ID: Final = 2**63 - 1
MOST_DIGITS: Final = 19
# Years 1000 to 8999: whatever offset or length is added, the result is a date that Python has.
_DATE_AND_TIME: Final = r"^[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}"


def whole_number(value: object, most: int = _MOST_ID, least: int = 1) -> int | None:
    """Return a whole number from ``least`` to ``most``, given as JSON integer or as digits; None for all else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
        value = int(value)
    if type(value) is int and least <= value <= most:
        return value
    return None


def whole_minutes(value: object, least: int = 1) -> int | None:
    """Return a length of ``least`` to 10080 minutes; ``90.0`` and ``"90"`` are read too, None for all else."""
    return whole_number(_without_point(value), 7 * 24 * 60, least)


def quantity(value: object) -> int:
    """Return how many of something are wanted, from 0 on; 1 where that is missing or cannot be read."""
    found = whole_number(_without_point(value), least=0)
    return 1 if found is None else found


def _without_point(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _id_schema() -> core_schema.CoreSchema:
    number = core_schema.int_schema(strict=True, gt=0, le=_MOST_ID)
    digits = core_schema.str_schema(strict=True, pattern=rf"^[0-9]{{1,{MOST_DIGITS}}}$")
    read = core_schema.int_schema(gt=0, le=_MOST_ID)
    return core_schema.union_schema([number, core_schema.chain_schema([digits, read])], mode="left_to_right")


def _without_z(value: object) -> object:
    return value[:-1] if isinstance(value, str) and value[-1:] in {"Z", "z"} else value


def _instant_schema() -> core_schema.CoreSchema:
    # The pattern keeps out what pydantic and Python would be kind to: plain dates, weeks, Unix seconds.
    # Python is asked second because it reads ISO 8601's short offsets ("+02"), which pydantic does not.
    text = core_schema.str_schema(strict=True, pattern=_DATE_AND_TIME)
    short = core_schema.no_info_plain_validator_function(lambda text: datetime.fromisoformat(text.upper()))
    either = core_schema.union_schema([core_schema.datetime_schema(), short], mode="left_to_right")
    return core_schema.chain_schema([text, either])


Id = Annotated[int, GetPydanticSchema(lambda _source, _handler: _id_schema())]
Instant = Annotated[datetime, GetPydanticSchema(lambda _source, _handler: _instant_schema())]
"""A date and time as it was written: aware where the text has an offset or ``Z``, else naive."""
WallTime = Annotated[Instant, BeforeValidator(_without_z)]
"""The same, but that a ``Z`` says nothing: the time is the account's local one, and naive."""
