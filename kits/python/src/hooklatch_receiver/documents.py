"""JSON that keeps numbers as they are written.

A float would make one order out of 9007199254740993.5 and 9007199254740993.6; and the standard
reader hides repeated names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_NUMBER_DIGITS_MAX = 1_000
_EXPONENT_DIGITS_MAX = 18
_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number's text."""

    text: str


class Repeated(dict[str, Any]):
    """An object that repeats a name."""


#: Stands for "not JSON".
NOTHING = object()


class NoCanonicalForm(Exception):
    """A repeated name, a number of more than 1,000 digits, or half a surrogate pair."""


def read_json(body: bytes) -> Any:
    """The document in ``body``, or ``NOTHING`` where it is not JSON in UTF-8."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError):
        return NOTHING


def canonical(document: Any) -> str:
    """The one spelling of a value: names sorted by code point, exact numbers, no white space."""
    match document:
        case Repeated():
            raise NoCanonicalForm
        case dict():
            parts = [f"{_quoted(name)}:{canonical(document[name])}" for name in sorted(document)]
            return "{" + ",".join(parts) + "}"
        case list():
            return "[" + ",".join(map(canonical, document)) + "]"
        case str():
            return _quoted(document)
        case Number():
            return canonical_number(document.text)
        case _:
            return json.dumps(document)


def canonical_number(text: str) -> str:
    """``100``, ``1e2`` and ``100.0`` are ``1e2``; nothing passes through a float."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise NoCanonicalForm
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", found[4] or "0"
    if len(whole) + len(fraction) > _NUMBER_DIGITS_MAX:
        raise NoCanonicalForm
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    if len(exponent.lstrip("+-").lstrip("0")) > _EXPONENT_DIGITS_MAX:
        raise NoCanonicalForm
    power = int(exponent) + len(digits) - len(significant) - len(fraction)
    return sign + significant + (f"e{power}" if power else "")


def _quoted(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NoCanonicalForm from error
    # json.dumps escapes DEL in no mode, and the control characters as the gateway does.
    return json.dumps(text, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(members)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
