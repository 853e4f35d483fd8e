"""Figures at the end, as for the other fault tests."""

from tests.faults.conftest import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]
