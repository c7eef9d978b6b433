"""How chains are divided for sweeps with checkpoints."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels import table_chain_checkpointed as checkpointed
from msgpass.kernels.table_chain_stretches import REPEATS, cuts_of
from msgpass.schedule.checkpointed import repetitions

lengths_of = st.lists(st.integers(1, 400_000), min_size=1, max_size=80)


@given(lengths_of, st.integers(1, 40))
def test_batches_are_all_sequences_in_order_and_not_too_much_at_once(lengths, n_states):
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    batches = list(checkpointed._batches(offsets, n_states))
    assert [a for a, _ in batches] == [0, *(b for _, b in batches[:-1])]
    assert batches[-1][1] == len(lengths)
    for a, b in batches:
        entries = (offsets[b] - offsets[a]) * n_states
        assert b == a + 1 or entries <= checkpointed.LONGER * checkpointed.ENTRIES
        assert b <= a + checkpointed.FULL_LANES or entries <= checkpointed.ENTRIES


@given(
    st.integers(0, 50),
    st.integers(1, 10_000),
    st.integers(1, 9),
    st.integers(1, 8),
    st.integers(1, 3000),
)
def test_stretches_meet_and_few_slots_suffice(start, length, n_states, slots, entries):
    cuts = cuts_of(start, start + length, n_states, slots, entries)
    assert cuts[0] == start
    assert cuts[-1] == start + length - 1
    steps = np.diff(cuts)
    assert steps.max() <= steps.min() + 1 if length > 1 else len(cuts) == 2
    assert repetitions(len(steps), slots) <= REPEATS
    least = max(entries // n_states, 1)
    assert all(a >= min(least // 2, length - 1) for a in steps)
    assert len(list(itertools.pairwise(cuts))) <= max(-(-length // least), 1)
