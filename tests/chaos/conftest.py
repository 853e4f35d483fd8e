"""The figures of a run are printed as those of the single faults are."""

from tests.faults.conftest import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]
