"""Says what is wrong with a piece of the configuration: one line each, with the dotted key."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from leaderd.config.model import NAME, NAME_RULE, ROOT

_Table = TypeVar("_Table", bound=BaseModel)
_SHOWN = 60
# A user and password within a URL.
_SECRET = re.compile(r"//[^/@]*@")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_PATTERNS = {
    NAME: NAME_RULE,
    ROOT: "must be an absolute key prefix such as /leaderd, of letters, digits, . _ - and /",
}
_KINDS = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list in brackets",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


def show(value: object) -> str:
    """Return a value as one short printable line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        value = _SECRET.sub("//…@", value)
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits, a deep nesting
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def dotted(*parts: str | int) -> str:
    """Return a key path as people write it; list positions count from 0, in brackets."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + (part if _BARE_KEY.match(part) else show(part))
    return path


class Report:
    """Collects problems and warnings under the words that the user wrote.

    Attributes:
        problems: One line each.
        warnings: One line each.
    """

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def origin(self, key: str, origin: str) -> None:
        """Note that the value of a dotted key comes from an option or a variable."""
        self._origins[key] = origin

    def label(self, key: str) -> str:
        """Return what the user knows a dotted key by."""
        return self._origins.get(key) or self._origins.get(key.partition("[")[0], key)

    def problem(self, key: str, text: str) -> None:
        """Note something that must be mended before anything runs."""
        self.problems.append(f"{self.label(key)}: {text}")

    def warning(self, key: str, text: str) -> None:
        """Note something that is allowed and may surprise."""
        self.warnings.append(f"{self.label(key)}: {text}")

    def checked(self, model: type[_Table], table: Mapping[str, Any], prefix: str) -> _Table | None:
        """Return the table as its model, or None with every problem of it noted."""
        try:
            return model.model_validate(dict(table))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                key = dotted(*detail["loc"])
                self.problem(f"{prefix}.{key}" if prefix else key, _sentence(detail, model))
            return None


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return one error of pydantic's in our words."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(detail['loc'][-1]), list(model.model_fields))}"
    if kind == "value_error":
        return f"{show(value)} {context['error']}"
    if kind == "string_pattern_mismatch":
        return f"{show(value)} {_PATTERNS[context['pattern']]}"
    if kind == "literal_error":
        return f"{show(value)} is none of {context['expected'].replace(' or ', ', ')}"
    if kind == "missing":
        remedy = model.model_fields[str(detail["loc"][-1])].description
        return f"is missing; {remedy}" if remedy else "is missing"
    rule = _KINDS.get(kind) or _limit(kind, context, detail["msg"])
    return rule if value in ("", []) else f"{rule}, not {show(value)}"


def _limit(kind: str, context: Mapping[str, Any], message: str) -> str:
    words = {
        "greater_than": ("gt", "must be greater than"),
        "greater_than_equal": ("ge", "must be at least"),
        "less_than": ("lt", "must be less than"),
        "less_than_equal": ("le", "must be at most"),
    }
    if kind in words:
        field, text = words[kind]
        return f"{text} {context[field]:g}"
    return message.replace("Input should be", "must be").replace("\n", " ")


def _suggestion(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
