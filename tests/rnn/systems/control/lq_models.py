"""Random linear-quadratic problems, and the same problems as dense quadratic programs."""

import numpy as np
from hypothesis import strategies as st

from rnn.systems.control import LinearQuadratic


def positive(rng, size, shape=(), floor=0.3):
    root = rng.normal(size=(*shape, size, size))
    return root @ np.swapaxes(root, -1, -2) / size + floor * np.eye(size)


@st.composite
def problems(draw, timed=None):
    """(problem, horizon, start): any of cross terms, linear terms, offsets, time variation."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m, T = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    timed = draw(st.booleans()) if timed is None else timed

    def some(*shape):
        return rng.normal(size=(T, *shape) if timed and draw(st.booleans()) else shape)

    lead = (T,) if timed else ()
    joint = positive(rng, n + m, lead)
    extra = {}
    if draw(st.booleans()):
        extra |= {"N": joint[..., :n, n:]}
    if draw(st.booleans()):
        extra |= {"q": some(n), "r": some(m), "b": some(n)}
    if draw(st.booleans()):
        extra |= {"Q_final": positive(rng, n), "q_final": rng.normal(size=n)}
    A = some(n, n)
    problem = LinearQuadratic(A, some(n, m), joint[..., :n, :n], joint[..., n:, n:], **extra)
    return problem, T, rng.normal(size=n)


def dense(stages, start):
    """(H, g, c): the cost is ½ UᵀHU + g·U + c in all controls U end to end, by rolling out unit controls."""
    T, m = stages.horizon, stages.B.shape[-1]

    def cost(U):
        U, states = U.reshape(T, m), [start]
        for t in range(T):
            A, B, b = (M[t % len(M)] for M in (stages.A, stages.B, stages.b))
            states.append(A @ states[-1] + B @ U[t] + b)
        return stages.cost(np.array(states), U).sum()

    eye, zero = np.eye(T * m), np.zeros(T * m)
    c = cost(zero)
    alone = np.array([cost(e) for e in eye])
    back = np.array([cost(-e) for e in eye])
    H = np.array([[cost(a + b) for b in eye] for a in eye]) - alone[:, None] - alone + c
    return H, (alone - back) / 2, c
