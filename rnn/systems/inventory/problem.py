"""``Inventory``: facilities, supplies and demand, run forward, differentiated and optimised."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.systems.inventory import demand as demands
from rnn.systems.inventory.costs import Costs
from rnn.systems.inventory.layout import lay_out
from rnn.systems.inventory.network import Network
from rnn.systems.inventory.parts import Facility, Supply
from rnn.systems.inventory.policies import BaseStock, MinMax
from rnn.systems.inventory.results import Optimum, OrderGradient, Path, standard_error
from rnn.systems.inventory.search import optimise
from rnn.systems.kinks import EXACT
from rnn.validation import not_negative, positive, real_array

Plan = np.ndarray | BaseStock | MinMax | None


class Inventory:
    """A network of stocks over T periods.

    In each period: (1) goods that are due arrive; (2) orders are placed, from the state before demand; (3)
    customers ask, orders among them, and get what there is; (4) what is left or owed is paid for.

    Parameters
    ----------
    facilities : Facility or sequence of them
    supplies : Supply or sequence of them
    demand : (T,) or (samples, T) array, or dict of such arrays by facility
        From outside the network; :func:`draw` draws some.
    discount : float
        γ: a cost in period t counts γᵗ.

    Notes
    -----
    A *plan* is an array of orders, (T,) with one supply or (T, A), or a policy: :class:`BaseStock`,
    :class:`MinMax`. Costs are means over the samples. The graph is one recurrence, with the samples as an
    axis of its state.

    Examples
    --------
    The newsvendor: one period, order up to S before demand is known.

    >>> from scipy.stats import norm
    >>> from rnn.systems.inventory import BaseStock, Facility, Inventory, Supply, draw
    >>> demand = draw(norm(50, 8), steps=1, samples=20_000, stratified=True)
    >>> stand = Inventory(Facility("stand", holding=0.18, backlog=0.70), Supply("stand"), demand)
    >>> slope = stand.gradient(BaseStock(60.0)).levels
    >>> round(float(slope[0]), 3)  # (h + b) Φ((60 − 50) / 8) − b
    0.087
    """

    def __init__(self, facilities, supplies, demand, discount: float = 1.0):
        self.facilities, self.supplies = _all(Facility, facilities), _all(Supply, supplies)
        if positive("discount", discount) > 1:
            raise DataError(f"discount must be a number above 0 and at most 1, got {discount!r}")
        served, self.demand, self.sampled = demands.lay_out(demand, self.facilities)
        self.network = Network(self.facilities, self.supplies, served)
        self.discount = float(discount)
        self._graphs: dict = {}

    @property
    def periods(self) -> int:
        """T."""
        return len(self.demand)

    @property
    def samples(self) -> int:
        """Paths of demand."""
        return self.demand.shape[1]

    def __repr__(self) -> str:
        where = ", ".join(f.name for f in self.facilities)
        return f"<Inventory: {where}; {self.periods} periods, {self.samples} samples>"

    # -- running -----------------------------------------------------------------------------------------

    def graph(self, plan: Plan = None, smooth: bool = False) -> FactorGraph:
        """The factor graph, with the plan's kind of policy; ``smooth`` rounds its kinks."""
        policy = plan if isinstance(plan, BaseStock | MinMax) else None
        key = (policy and policy.kind, smooth)
        if key not in self._graphs:
            weight = self.discount ** np.arange(self.periods) / self.samples
            self._graphs[key] = lay_out(self.network, policy, self.demand, weight, smooth)
        return self._graphs[key]

    def messages(self, plan: Plan = None, width: float = 0.0, schedule=None) -> Messages:
        """One run.

        ``state``, ``placed`` and ``orders`` are (T, samples, columns); ``m.gradient["orders"]`` is ∂L/∂x_k,
        a sample's share each, ``m.gradient["state"]`` the co-states. ``width`` > 0 rounds the kinks.
        """
        smooth = not_negative("width", width) > 0
        values = self._values(plan) | ({"width": np.array(float(width))} if smooth else {})
        return run(self.graph(plan, smooth), schedule=schedule, values=values)

    def _values(self, plan: Plan) -> dict[str, np.ndarray]:
        if isinstance(plan, BaseStock | MinMax):
            given = zip(plan.names, plan.arrays(self.network, self.periods), strict=True)
            return {n: np.repeat(a[..., None, :], self.samples, axis=-2) for n, a in given}
        orders = self.orders(plan)
        return {"orders": np.repeat(orders[:, None], self.samples, axis=1)}

    def orders(self, plan) -> np.ndarray:
        """Free orders as (T, A), checked; None is no orders."""
        shape = self.periods, len(self.supplies)
        if plan is None:
            return np.zeros(shape)
        array = real_array("orders", plan, np.dtype(float))
        if array.shape == shape[:1] and shape[1] == 1:
            array = array[:, None]
        if array.shape != shape:
            raise ShapeError(
                f"orders have shape {array.shape}, wanted {shape}: a row a period, a column a supply"
            )
        low, high = (np.array([getattr(s, n) for s in self.supplies]) for n in ("minimum", "capacity"))
        bad = ~(np.isfinite(array) & (array >= low - 1e-12) & (array <= high * (1 + 1e-12)))
        if bad.any():
            t, a = (int(k) for k in np.argwhere(bad)[0])
            raise DataError(
                f"the order {self.supplies[a].label} in period {t} is {array[t, a]}, outside "
                f"[{low[a]:g}, {high[a]:g}]; change it, or minimum and capacity of the supply"
            )
        return array

    def simulate(self, plan: Plan = None) -> Path:
        """Forward only."""
        return self._path(self.messages(plan, schedule=ForwardOnly()))

    def cost(self, plan: Plan = None) -> float:
        """The mean discounted cost alone."""
        return float(self.messages(plan, schedule=ForwardOnly()).total)

    def gradient(self, plan: Plan = None) -> OrderGradient:
        """∂L/∂ every order, and ∂L/∂ the policy's levels: one run, forward and backward."""
        if isinstance(plan, MinMax):
            raise UnsupportedError(
                "an (s, S) policy orders in jumps, so that the derivative of its cost leaves out the jumps "
                "and says nothing useful; compare .cost(MinMax(s, S)) at several s and S, or use BaseStock"
            )
        return self._gradient(self.messages(plan), plan)

    def optimize(self, plan: Plan = None, *, smoothing=None, n_iter: int = 500, tol: float = 1e-6) -> Optimum:
        """The best plan of the given kind, by L-BFGS-B on exact gradients, starting from ``plan``.

        Parameters
        ----------
        plan : (T, A) array or BaseStock
            None: free orders, at first what demand is on average.
        smoothing : sequence of floats, optional
            Widths to which kinks are rounded, one stage each, largest first; 0 is not at all. By default 0.3,
            0.03 and 0.003 times the mean demand, then 0. With quadratic costs alone (0,) is enough.
        n_iter, tol : int, float
            Of each stage; the tolerance is relative to the largest slope at the start.

        Notes
        -----
        The cost is piecewise smooth. One path of demand has its kinks just where the optimum lies, where no
        line search gets on; a mean over many samples is nearly smooth. Rounded kinks are within w/2 of the
        exact ones, so that the stages lead to the optimum. The plan returned is the best by its exact cost.

        Raises
        ------
        UnsupportedError
            Free orders with a cost that is fixed for each order, which no gradient sees; (s, S) policies.
        """
        return optimise(self, plan, smoothing, n_iter, tol)

    # -- readings ----------------------------------------------------------------------------------------

    def _rows(self, array: np.ndarray) -> np.ndarray:
        """(T, samples, …) as (samples, T, …), without samples where demand has none."""
        turned = np.swapaxes(array, 0, 1)
        return turned if self.sampled else turned[0]

    def _path(self, m: Messages) -> Path:
        net, F = self.network, len(self.facilities)
        state, placed = m.forward["state"], m.forward["placed"]
        costs = Costs(net, EXACT, False)
        held, short, curved = costs.stock(state)
        ordering = costs.orders(placed)
        lost, on_order = np.zeros_like(held), np.zeros_like(placed)
        for i, column in net.lost.items():
            lost[..., i] = state[..., column]
        for a, columns in enumerate(net.transit):
            owed = net.owed_on(a, state, EXACT.positive)
            on_order[..., a] = state[..., columns].sum(axis=-1) + (0 if owed is None else owed)
        weight = self.discount ** np.arange(self.periods)
        each = (held + short + curved).sum(axis=-1) + ordering.sum(axis=-1)
        totals = weight @ each
        start = np.broadcast_to(net.start, state.shape[1:])[None]
        stock = np.concatenate([start, state])[..., :F]
        return Path(
            tuple(f.name for f in self.facilities),
            tuple(s.label for s in self.supplies),
            stock=self._rows(stock),
            orders=self._rows(placed),
            on_order=self._rows(on_order),
            lost=self._rows(lost),
            holding=self._rows(held),
            shortage=self._rows(short),
            quadratic=self._rows(curved),
            ordering=self._rows(ordering),
            costs=totals if self.sampled else totals[0],
        )

    def _gradient(self, m: Messages, plan: Plan) -> OrderGradient:
        F = len(self.facilities)
        names = plan.names if isinstance(plan, BaseStock) else ()
        each = {n: m.gradient[n] for n in names}
        return OrderGradient(
            tuple(s.label for s in self.supplies),
            float(m.total),
            m.gradient["orders"].sum(axis=1),
            m.gradient["placed"].sum(axis=1),
            m.gradient["state"][..., :F].sum(axis=1),
            m,
            {n: a.sum(axis=-2) for n, a in each.items()},
            {n: standard_error(a * self.samples, axis=-2) for n, a in each.items()},
        )


def _all(kind: type, things) -> tuple:
    """One or several of a kind."""
    given = tuple(things) if isinstance(things, list | tuple) else (things,)
    for thing in given:
        if not isinstance(thing, kind):
            raise DataError(
                f"an inventory is made of Facility and Supply, in this order; wanted a {kind.__name__}, got "
                f"{thing!r}"
            )
    return given
