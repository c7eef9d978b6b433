"""``Quadratic``: a log potential g + hᵀx − ½ xᵀΛx over real variables, also given as a linear-Gaussian
relation.
"""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError, GraphError, ShapeError
from msgpass.nodes import Observation, Parameter, Sequence, Slice, Variable
from msgpass.potentials.base import Potential, as_part, distinct, forbid_out, no_picks


class Quadratic(Potential):
    """log φ(x) = ``log_scale`` + ``h``·x − ½ xᵀ ``precision`` x over the factor's variables end to end.

    Parameters
    ----------
    h : (D,) array or Parameter
    precision : (D, D) array or Parameter
        Symmetric. D is the sum of the variables' sizes (a variable of shape () has size 1).
    log_scale : float

    Notes
    -----
    :meth:`prior`, :meth:`linear_gaussian` and :meth:`observation` keep their own matrices, so that singular
    covariances
    (a known start, a deterministic part of the state) are legitimate. With one axis more, the first is the
    step.

    Examples
    --------
    >>> Quadratic.prior(0.0, 10.0).form
    'prior'
    """

    form = "canonical"
    _declared: np.ndarray | None = None

    def __init__(self, h, precision, log_scale=0.0):
        self._set("canonical", h=h, precision=precision, log_scale=log_scale)

    def _set(self, form: str, **parts) -> Quadratic:
        self.form = form
        self.parts = {}
        for role, given in parts.items():
            flat = _flat_cov(given) if role == "cov" else None
            self.parts[role] = as_part(f"Quadratic: {role}", given) if flat is None else flat
        for role, part in self.parts.items():
            if isinstance(part, Slice):
                raise GraphError(f"Quadratic: {role} is an array or a parameter, got the slice {part.name}")
            if role in COVARIANCES and isinstance(part, np.ndarray):
                check_covariance(role, part)
        return self

    @classmethod
    def prior(cls, mean, cov, flat=None) -> Quadratic:
        """log N(x; mean, cov); cov may be singular.

        An infinite variance on the diagonal, with zeros beside it, makes that cell flat: the density is 1
        along it, whatever the mean, and the other cells have the density of their own block. Where cov is a
        parameter, which is finite, ``flat`` (D,) says which cells those are; cov is not read there.

        Examples
        --------
        >>> Quadratic.prior([0.0, 0.0], np.diag([np.inf, 1.0])).flat.tolist()
        [True, False]
        """
        fresh = cls.__new__(cls)._set("prior", mean=mean, cov=cov)
        if flat is not None:
            fresh._declared = _mask(flat, fresh.parts["cov"])
        return fresh

    @classmethod
    def linear_gaussian(cls, F, Q, b=0.0) -> Quadratic:
        """log N(x′; F x + b, Q) over the variables (x, x′); Q may be singular.

        With more than two variables all but the last are sources, and F acts on them end to end: over
        ``(x[:-1], u[:-1], x[1:])`` F is [A B], over ``(x[:], u[:], y[:])`` it is [H D].
        """
        return cls.__new__(cls)._set("linear", F=F, Q=Q, b=b)

    @classmethod
    def observation(cls, H, R, y=None) -> Quadratic:
        """log N(y; H x, R) over (x, y), or over x alone with ``y`` given here. NaN in y is missing."""
        if y is None:
            return cls.__new__(cls)._set("observation", H=H, R=R)
        fresh = cls.__new__(cls)._set("observation", H=H, R=R)
        array = y if isinstance(y, Parameter) else np.asarray(y, dtype=float)
        fresh.parts["y"] = array
        return fresh

    @property
    def flat(self) -> np.ndarray:
        """Of a prior: which cells are flat."""
        cov = self.parts.get("cov")
        if self._declared is not None:
            return self._declared
        if not isinstance(cov, np.ndarray):
            return np.zeros(np.shape(getattr(cov, "value", 0.0))[-1:], bool)
        diagonal = cov.reshape(1) if cov.ndim < 2 else np.diagonal(cov, axis1=-2, axis2=-1)
        return np.isposinf(diagonal)

    def check(self, factor) -> None:
        """Real variables whose sizes fit the matrices; in front of them may stand the states that pick
        these."""
        forbid_out(factor)
        states, real = states_of(factor)
        if states is not None and self.form == "canonical":
            raise GraphError(
                f"factor {factor.name!r}: a canonical Quadratic relates real variables; the states "
                f"{factor.args[0].name} may pick the matrices of a prior, a linear_gaussian or an observation"
            )
        for s in real:
            if s.node.discrete or not isinstance(s.node, Variable | Sequence | Observation):
                raise GraphError(
                    f"factor {factor.name!r}: a Quadratic relates real variables and observations, "
                    f"got {s.node.describe()}"
                )
            if s.kind in ("after", "before", "all"):
                raise GraphError(
                    f"factor {factor.name!r}: {s.name} is for steps; pair slices such as x[:-1], x[1:]"
                )
            if len(s.shape) > 1:
                raise ShapeError(
                    f"factor {factor.name!r}: Gaussian variables are vectors, but {s.name} has "
                    f"shape {s.shape}"
                )
        if no_picks(factor.args) and factor.stepped and any(not s.stepped for s in factor.args):
            raise GraphError(f"factor {factor.name!r} mixes one variable and many; pair step with step")
        if not no_picks(factor.args):
            distinct(factor)
        wanted_args = {"prior": 1, "linear": 2, "observation": 1 if "y" in self.parts else 2}.get(self.form)
        many = self.form == "linear" and len(real) > 2
        if wanted_args is not None and len(real) != wanted_args and not many:
            raise GraphError(
                f"factor {factor.name!r}: this Quadratic relates {wanted_args} variable(s), got {len(real)}"
            )
        for role, parameter in self.parameters.items():
            if role in COVARIANCES:
                check_covariance(f"factor {factor.name!r}: {role}", parameter.value)
        for role, shape in self._shapes([math.prod(s.shape) for s in real]).items():
            got = self.parts[role].shape
            by_state = () if states is None else (states,)
            if not any(_fits(got, w) for w in (shape, (*by_state, *shape), (factor.n, *by_state, *shape))):
                raise ShapeError(
                    f"factor {factor.name!r}: {role} has shape {got}, but its variables "
                    f"{', '.join(s.name for s in factor.args)} want {(*by_state, *shape)}"
                )

    def _shapes(self, sizes: list[int]) -> dict[str, tuple[int, ...]]:
        total = sum(sizes)
        if self.form == "canonical":
            return {"h": (total,), "precision": (total, total), "log_scale": ()}
        if self.form == "prior":
            return {"mean": (total,), "cov": (total, total)}
        n = sizes[0]
        if self.form == "linear":
            m = sizes[-1]
            return {"F": (m, total - m), "Q": (m, m), "b": (m,)}
        if "y" in self.parts:
            p = self.parts["R"].shape[-1] if self.parts["R"].shape else 1
            return {"H": (p, n), "R": (p, p), "y": (p,)}
        return {"H": (sizes[1], n), "R": (sizes[1], sizes[1])}

    def stacked(self, role: str, factor, values) -> tuple[np.ndarray, bool]:
        """The part in full shape, and whether its first axis is the step; where states pick the matrices they
        have the axis before the part's own."""
        states, real = states_of(factor)
        shape = self._shapes([math.prod(s.shape) for s in real])[role]
        array = self.value(role, values)
        if role == "cov" and self._declared is not None:
            array = _flattened(array, self._declared)
        if states is not None:
            whole = (states, *shape)
            if array.size == math.prod(whole) and array.ndim == len(whole):
                return array, False
            if array.size == factor.n * math.prod(whole) and array.ndim == len(whole) + 1:
                return array, True
            return np.broadcast_to(
                np.full(shape, array) if array.ndim == 0 else array.reshape(shape), whole
            ), False
        if _fits(array.shape, shape):
            if role == "b" and array.shape == ():
                return np.broadcast_to(array, shape), False
            return array.reshape(shape), False
        return array.reshape((factor.n, *shape)), True


def states_of(factor) -> tuple[int | None, tuple]:
    """(states of the discrete variable that picks the matrices, or None; the real arguments)."""
    if factor.args and factor.args[0].node.discrete and isinstance(factor.args[0].node, Variable | Sequence):
        return factor.args[0].node.states, factor.args[1:]
    return None, factor.args


COVARIANCES = ("cov", "Q", "R")
"""Roles that are covariances."""


def _fits(got: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    # Scalars stand for (1,) and (1, 1); a scalar offset b for a constant vector.
    squeeze = tuple(n for n in wanted if n != 1)
    return (
        got == wanted
        or (tuple(n for n in got if n != 1) == squeeze and len(got) < len(wanted) and not squeeze)
        or (got == () and len(wanted) == 1)
    )


def _flat_cov(cov) -> np.ndarray | None:
    """A covariance with infinite variances as an array; None where there are none."""
    try:
        array = np.array(cov, dtype=float)
    except (TypeError, ValueError):
        return None
    if not np.isposinf(array).any():
        return None
    square = array.reshape(1, 1) if array.ndim < 2 and array.size == 1 else array
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise ShapeError(
            f"Quadratic: a cov with infinite variances is one square matrix, got shape {array.shape}"
        )
    flat = np.isposinf(np.diag(square))
    beside = np.where(np.eye(len(square), dtype=bool), 0.0, square)
    if not np.isfinite(square[~flat]).all() or beside[flat].any() or beside[:, flat].any():
        raise DataError(
            "Quadratic: an infinite variance stands on the diagonal of cov with zeros beside it; it says "
            "that nothing is known of that cell"
        )
    return array


def _mask(flat, cov) -> np.ndarray:
    """``flat`` as a mask over the cells of a prior."""
    array = np.asarray(flat)
    if array.dtype.kind != "b" or array.shape != (cov.shape[-1:] or (1,)):
        raise ShapeError(
            f"Quadratic: flat is a mask with a cell for each row of cov, which has shape {cov.shape}; got "
            f"{flat!r}"
        )
    return array


def _flattened(cov: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """A covariance (…, D, D) with an infinite variance, and zeros beside it, where it is flat."""
    square = cov.reshape(1, 1) if cov.ndim < 2 else cov
    known = np.where(flat[:, None] | flat, 0.0, square)
    return np.where(np.eye(len(flat), dtype=bool) & flat, np.inf, known)


def check_covariance(name: str, cov: np.ndarray) -> None:
    """Symmetric and positive semi-definite (a scalar: not negative); flat cells are left out."""
    matrices = cov.reshape(1, 1) if cov.ndim < 2 else cov
    if matrices.ndim == 2 and np.isposinf(matrices).any():
        known = ~np.isposinf(np.diag(matrices))
        matrices = matrices[np.ix_(known, known)]
    if matrices.shape[-1] != matrices.shape[-2]:
        raise ShapeError(f"{name} must be square, got shape {cov.shape}")
    scale = np.abs(matrices).max(initial=1e-300)
    if np.abs(matrices - np.swapaxes(matrices, -1, -2)).max(initial=0) > 1e-6 * scale:
        raise DataError(f"{name} must be symmetric; symmetrise it as (C + C.T) / 2")
    lowest = float(np.linalg.eigvalsh(matrices).min()) if matrices.size else 0.0
    if lowest < -1e-7 * scale:
        raise DataError(f"{name} must be a covariance, but its smallest eigenvalue is {lowest:.3g}")
