"""Whatever a file says: a plan, or lines that name keys; never anything else."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leaderd.config.overrides import QUICK, SETTINGS
from tests.config.helpers import GOOD, MACHINE, good, loaded, problems
from tests.config.test_bad_values import BAD

SCALARS = st.one_of(
    st.none().map(lambda _: ""),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.integers(-(10**400), 10**5000),
    st.datetimes(),
    st.dates(),
    st.times(),
)
KEYS = st.one_of(
    st.sampled_from(
        sorted({key.rpartition("__")[2] for key in BAD} | set(GOOD) | {"api", "resource", "check"})
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def assert_lines(found: list[str]) -> None:
    for line in found:
        assert line.isprintable()
        assert ": " in line
        assert len(line) < 600


@given(st.dictionaries(KEYS, VALUES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_tables(tables: dict[str, Any]) -> None:
    """From nothing at all."""
    assert_lines(problems(tables))


@given(st.dictionaries(st.sampled_from(sorted(BAD)), VALUES, max_size=4))
@settings(max_examples=400, deadline=None)
def test_any_values_in_a_right_configuration(changes: dict[str, Any]) -> None:
    """One to four keys changed to anything."""
    assert_lines(problems(good(**changes)))


@given(
    st.integers(2, 300),
    st.dictionaries(
        st.sampled_from(
            ["retry_period", "attempt_timeout", "hedge_after", "stop_timeout", "kill_time", "margin"]
        ),
        st.floats(0.01, 100),
    ),
)
@settings(max_examples=300, deadline=None)
def test_a_budget_that_passes_is_one_that_adds_up(ttl: int, parts: dict[str, float]) -> None:
    """The rule of DESIGN, computed by hand from the plan."""
    tables = good(election__ttl=ttl, **{f"election__{name}": value for name, value in parts.items()})
    if found := problems(tables):
        assert all(line.startswith("election.db") for line in found)
        return
    plan = loaded(tables).plan.elections[0]
    window = plan.ttl * (1 - plan.clock_drift) - plan.margin
    room = window - plan.kill_time - plan.stop_timeout
    assert room >= plan.retry_period + 2 * plan.attempt_timeout - 1e-6
    assert plan.hedge_after <= plan.attempt_timeout


TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=30)
OPTIONS = {
    s.name: st.lists(TEXTS, max_size=3).map(tuple) if s.kind == "list" else TEXTS for s in SETTINGS + QUICK
}


@given(st.fixed_dictionaries({}, optional=OPTIONS))
@settings(max_examples=300, deadline=None)
def test_any_options(options: dict[str, Any]) -> None:
    """As the command line hands them over."""
    assert_lines(problems({}, MACHINE, **options))
