"""``MarkovRewardProcess``: states, rewards, exact values by a linear solve, and episodes drawn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ProbabilityError, ShapeError
from rnn.credit.rows import numbers
from rnn.validation import generator, whole


@dataclass(frozen=True, eq=False)
class MarkovRewardProcess:
    """A chain that pays on its way. States that are never left end an episode.

    Parameters
    ----------
    transition : (S, S) array
        Row = from.
    rewards : (S, S) or (S,) array
        Of a step from state to state, or of a step that leaves a state.
    start : (S,) array or int
        Where episodes begin.
    discount : float in [0, 1]

    Examples
    --------
    >>> walk = random_walk(5)
    >>> walk.values().round(4)
    array([0.    , 0.1667, 0.3333, 0.5   , 0.6667, 0.8333, 0.    ])
    """

    transition: np.ndarray
    rewards: np.ndarray
    start: np.ndarray | int
    discount: float = 1.0

    def __post_init__(self) -> None:
        P = numbers("transition", self.transition, 0, False)
        if P.ndim != 2 or P.shape[0] != P.shape[1] or not len(P):
            raise ShapeError(f"transition has shape {P.shape}, wanted (S, S)")
        S = len(P)
        if (P < 0).any() or not np.allclose(P.sum(axis=1), 1, atol=1e-9):
            row = int(np.argmax((P < 0).any(axis=1) | ~np.isclose(P.sum(axis=1), 1, atol=1e-9)))
            raise ProbabilityError(
                f"row {row} of transition is no distribution: it sums to {P[row].sum():.6g}"
            )
        R = numbers("rewards", self.rewards, 0, False)
        if R.shape not in ((S, S), (S,)):
            raise ShapeError(f"rewards have shape {R.shape}, wanted {(S, S)} or {(S,)}")
        R = np.broadcast_to(R[:, None] if R.ndim == 1 else R, (S, S))
        if isinstance(self.start, int | np.integer) and not isinstance(self.start, bool):
            if not 0 <= self.start < S:
                raise DataError(f"start must be a state from 0 to {S - 1}, got {self.start}")
            start = np.eye(S)[self.start]
        else:
            start = numbers("start", self.start, 0, False)
        if start.shape != (S,) or (start < 0).any() or not np.isclose(start.sum(), 1):
            raise ProbabilityError(f"start must be a state or a distribution over {S} states")
        if isinstance(self.discount, bool) or not 0 <= self.discount <= 1:
            raise DataError(f"discount must be from 0 to 1, got {self.discount!r}")
        for name, value in (("transition", P), ("rewards", R), ("start", start)):
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """S, terminal states included."""
        return len(self.transition)

    @property
    def terminal(self) -> np.ndarray:
        """(S,) of bool: states that are never left."""
        return np.diag(self.transition) == 1

    def values(self) -> np.ndarray:
        """V = (I − γP)⁻¹ r over states that are left, 0 at terminal ones.

        Raises
        ------
        DataError
            Without a discount, where some state never comes to an end.
        """
        inside = ~self.terminal
        P = self.transition[np.ix_(inside, inside)]
        if self.discount == 1 and not _ends(self.transition, self.terminal):
            raise DataError(
                "with discount=1 the values are sums without end: some state never reaches a terminal one; "
                "take a discount below 1"
            )
        pay = (self.transition * self.rewards).sum(axis=1)[inside]
        V = np.zeros(self.n_states)
        V[inside] = np.linalg.solve(np.eye(len(P)) - self.discount * P, pay)
        return V

    def sample(self, n_episodes: int = 1, max_steps: int = 100_000, random_state=None) -> Episodes:
        """Draw episodes; those longer than ``max_steps`` are cut off."""
        n, limit, rng = (
            whole("n_episodes", n_episodes),
            whole("max_steps", max_steps),
            generator(random_state),
        )
        cumulative = np.cumsum(self.transition, axis=1)
        ends, last = self.terminal, self.n_states - 1
        states, rewards = [], []
        for _ in range(n):
            s = min(int(np.searchsorted(np.cumsum(self.start), rng.random(), side="right")), last)
            path = [s]
            while not ends[s] and len(path) <= limit:
                s = min(int(np.searchsorted(cumulative[s], rng.random(), side="right")), last)
                path.append(s)
            if len(path) == 1:
                raise DataError(
                    f"an episode started in the terminal state {s}; give start= a state that is left"
                )
            visited = np.array(path)
            rewards.append(self.rewards[visited[:-1], visited[1:]])
            states.append(visited[:-1] if ends[s] else visited)
        return Episodes(states, rewards)


@dataclass(frozen=True, repr=False)
class Episodes:
    """Episodes as :func:`td_lambda` takes them.

    Attributes
    ----------
    states : list of int arrays
        Without the terminal state, or with the state in which an episode was cut off.
    rewards : list of arrays
    """

    states: list[np.ndarray]
    rewards: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.rewards)

    def __repr__(self) -> str:
        return f"<Episodes: {len(self)}, {sum(map(len, self.rewards))} steps>"


def random_walk(n: int = 19, left: float | None = None, right: float = 1.0, discount: float = 1.0):
    """Sutton's random walk: n states in a row, one step to either side, an end behind either edge.

    Parameters
    ----------
    n : int
        States that are left, numbered 1 to n; 0 and n + 1 are terminal. 5 is the chain of Sutton (1988), 19
        that of Sutton & Barto.
    left, right : float
        Rewards of leaving at either edge. ``left`` is by default 0 for up to five states and −1 for more, as
        in these two.
    discount : float

    Returns
    -------
    MarkovRewardProcess
        Episodes start in the middle.
    """
    n = whole("n", n)
    P, R = np.eye(n + 2), np.zeros((n + 2, n + 2))
    for s in range(1, n + 1):
        P[s, s], P[s, s - 1], P[s, s + 1] = 0, 0.5, 0.5
    R[1, 0] = (0.0 if n <= 5 else -1.0) if left is None else left
    R[n, n + 1] = right
    return MarkovRewardProcess(P, R, (n + 1) // 2, discount)


def _ends(P: np.ndarray, terminal: np.ndarray) -> bool:
    """Whether every state can reach a terminal one."""
    reached = terminal.copy()
    while True:
        more = reached | (P[:, reached] > 0).any(axis=1)
        if (more == reached).all():
            return bool(reached.all())
        reached = more
