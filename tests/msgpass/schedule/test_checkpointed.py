"""Checkpointed: the binomial reversal itself, and its cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Checkpointed
from msgpass.errors import DataError
from msgpass.schedule.checkpointed import reverse


@pytest.mark.parametrize(
    ("steps", "slots", "extra"), [(10, 3, 15), (20, 3, 45), (50, 3, 180), (1, 1, 0), (5, 1, 10)]
)
def test_extra_steps_are_the_binomial_optimum(steps, slots, extra):
    assert Checkpointed(slots).extra_steps(steps) == extra


@given(st.integers(0, 60), st.integers(1, 8))
def test_reversal_visits_every_step_backward_from_its_own_state_at_the_optimal_cost(steps, slots):
    visited, alive = [], set()

    class State(int):
        def __new__(cls, k):
            made = super().__new__(cls, k)
            alive.add(id(made))
            return made

    def back(state, k):
        assert state == k
        visited.append(k)

    advanced = reverse(
        steps,
        slots,
        State(0),
        lambda state, i, k: State(k) if state == i else pytest.fail("wrong state"),
        back,
    )
    assert visited == list(range(steps))[::-1]
    if steps:
        assert advanced == Checkpointed(slots).extra_steps(steps)


@pytest.mark.parametrize("bad", [0, -2, 1.0, True, None])
def test_slots_are_a_whole_number(bad):
    with pytest.raises(DataError, match="whole number"):
        Checkpointed(bad)
