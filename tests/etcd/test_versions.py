"""Which etcd versions are warned about (assumption A1)."""

import pytest

from leaderd.etcd.versions import version_warnings


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("3.3.27", ["older", "revoke"]),
        ("3.4.20", ["revoke"]),
        ("3.4.21", ["inconsistent", "revoke"]),
        ("3.4.23", ["revoke"]),
        ("3.4.31", []),
        ("3.4.45", []),
        ("3.5.0", ["inconsistent", "revoke"]),
        ("3.5.2", ["inconsistent", "revoke"]),
        ("3.5.5", ["inconsistent", "revoke"]),
        ("3.5.12", ["revoke"]),
        ("3.5.13", []),
        ("3.6.0", []),
        ("4.0.0-alpha.1", []),
        ("", []),
        ("unknown", []),
    ],
)
def test_versions(version: str, words: list[str]) -> None:
    """The known ones only."""
    found = version_warnings([("http://a:1", version)])
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence
        assert "http://a:1" in sentence


def test_members_with_one_version_share_a_sentence() -> None:
    """Each endpoint is named once."""
    found = version_warnings([("http://a:1", "3.5.1"), ("http://b:1", "3.5.1"), ("http://c:1", "3.5.21")])
    assert len(found) == 2
    assert all("(http://a:1, http://b:1)" in sentence for sentence in found)
