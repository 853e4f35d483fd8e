"""What stands in etcd, there and back; and what is not a record."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderd.core.records import HolderRecord, fencing_token, token_epoch, token_revision
from tests.play import TEN

RECORDS = st.builds(
    HolderRecord,
    token=st.integers(1, 1 << 60), node=st.text(max_size=20), lease=st.integers(1, (1 << 63) - 1),
    state=st.sampled_from(["held", "released"]), ttl=st.integers(2, 300), window=st.floats(0.001, 300),
    stop=st.floats(0.001, 300), clock_drift=st.floats(0, 0.49),
)


@given(st.integers(0, 1000), st.integers(1, (1 << 40) - 1))
def test_a_token_holds_epoch_and_revision(epoch: int, revision: int) -> None:
    """R8: epoch << 40 | create revision, and back."""
    token = fencing_token(epoch, revision)
    assert token_epoch(token) == epoch
    assert token_revision(token) == revision


@given(st.integers(0, 1000), st.integers(1, (1 << 40) - 1), st.integers(1, (1 << 40) - 1))
def test_any_token_of_a_later_epoch_is_larger(epoch: int, early: int, late: int) -> None:
    """R8: that is what `epoch raise` is for."""
    assert fencing_token(epoch + 1, late) > fencing_token(epoch, early)


def test_the_text_is_the_contracts() -> None:
    """INTERFACES §8: durations in milliseconds, the lease in hex."""
    assert json.loads(HolderRecord.held(7, "a", 0xA1, TEN).encode()) == {
        "token": 7, "node": "a", "lease": "a1", "state": "held", "ttl": 10,
        "window_ms": 8700, "stop_ms": 6200, "clock_drift": 0.1,
    }


@given(RECORDS)
def test_a_record_comes_back_as_it_was_or_longer(record: HolderRecord) -> None:
    """Rounding to milliseconds only ever lengthens what others wait for."""
    back = HolderRecord.decode(record.encode())
    assert (back.token, back.node, back.lease, back.state, back.ttl, back.clock_drift) == (
        record.token, record.node, record.lease, record.state, record.ttl, record.clock_drift)
    for got, was in ((back.window, record.window), (back.stop, record.stop)):
        assert was - 1e-9 <= got <= was + 0.0011


@given(RECORDS)
def test_a_record_that_was_read_is_written_as_it_stood(record: HolderRecord) -> None:
    """A release after a restart compares the text."""
    assert HolderRecord.decode(record.encode()).encode() == record.encode()


def test_a_record_without_a_drift_means_the_default() -> None:
    """INTERFACES §8 does not list it; 0.10 covers every slewing."""
    fields = json.loads(HolderRecord.held(7, "a", 0xA1, TEN).encode())
    del fields["clock_drift"]
    assert HolderRecord.decode(json.dumps(fields)).clock_drift == 0.10


@pytest.mark.parametrize("text", ["", "x", "null", "7", "[]", '"held"', "{}", "[" * 100_000])
def test_other_text_is_no_record(text: str) -> None:
    """Nobody may promote over what cannot be read."""
    with pytest.raises(ValueError, match="not readable"):
        HolderRecord.decode(text)


@pytest.mark.parametrize(("field", "value"), [
    ("state", "gone"), ("state", None), ("token", "x"), ("token", float("inf")), ("token", float("nan")),
    ("lease", "zz"), ("lease", 7), ("ttl", None), ("ttl", float("inf")),
    ("window_ms", float("nan")), ("window_ms", float("inf")), ("window_ms", -1), ("window_ms", 0),
    ("window_ms", "8700"), ("window_ms", []), ("stop_ms", float("nan")), ("stop_ms", -5),
    ("clock_drift", 1.0), ("clock_drift", float("nan")), ("clock_drift", -0.1), ("clock_drift", "x"),
])
def test_a_record_with_an_impossible_field_is_broken(field: str, value: object) -> None:
    """A window of NaN would be over at once, a drift of 1 would divide by zero."""
    fields = json.loads(HolderRecord.held(7, "a", 0xA1, TEN).encode())
    fields[field] = value
    with pytest.raises(ValueError, match="not readable"):
        HolderRecord.decode(json.dumps(fields))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["token", "node", "lease", "state", "ttl", "window_ms", "stop_ms"]),
                        inner, max_size=7)))
def test_no_json_at_all_raises_anything_else(value: object) -> None:
    """Whatever stands there: a record or a ValueError, never another exception."""
    try:
        record = HolderRecord.decode(json.dumps(value))
    except ValueError:
        return
    assert record.window > 0
