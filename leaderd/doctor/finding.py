"""One line of the doctor's report."""

from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has shown.

    Attributes:
        result: "ok"; "warn": works, with less than it could; "fail": leaderd cannot do its work like this.
        check: What was looked at, in a word or two.
        text: What was found.
        remedy: What to do about it; "" where nothing is to be done.
    """

    result: Result
    check: str
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding("ok", check, text)


def warn(check: str, text: str, remedy: str = "") -> Finding:
    """Return a finding that may surprise."""
    return Finding("warn", check, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that must be put right."""
    return Finding("fail", check, text, remedy)
