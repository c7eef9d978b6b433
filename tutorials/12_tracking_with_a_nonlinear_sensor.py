# %% [markdown]
# # Tracking with a nonlinear sensor
#
# A radar sees how far away a target is, well, and in which direction, badly. The target flies straight,
# turns, flies straight and turns again, and nobody tells when. Distance and direction are not linear in
# position, nor is a turn; so no message is Gaussian. What can be done is to replace each function by a
# linear one where its argument probably is, and to run the linear chain. Where, and by which rule, is all
# that distinguishes the extended, unscented, cubature and iterated Kalman smoothers. Here it is one
# argument.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from hmm import NonlinearSSM
from msgpass import FactorGraph, Gaussian, Quadratic, Step, run
from msgpass.linearisation import Cubature, Extended, GaussHermite, Iterated, Unscented

# %% [markdown]
# ## Target and radar
#
# The state is where the target is (m), how fast it flies (m/s), where it heads (rad) and how fast it turns
# (rad/s); the radar looks every two seconds. Functions are plain NumPy, and take any number of states at
# once.

# %%
DT, NOISE = 2.0, np.array([5.0, 0.06])  # 5 m and 3.4 degrees


def fly(x):
    east, north, speed, heading, turning = (x[..., k] for k in range(5))
    middle = heading + turning * DT / 2
    moved = [east + DT * speed * np.cos(middle), north + DT * speed * np.sin(middle)]
    return np.stack([*moved, speed, heading + turning * DT, turning], axis=-1)


def radar(x):
    return np.stack([np.sqrt(x[..., 0] ** 2 + x[..., 1] ** 2), np.arctan2(x[..., 1], x[..., 0])], axis=-1)


def flight(seed, T=80):
    """(states, what the radar saw) of the same flight; the third quarter is a turn, and so is the end."""
    x, t = np.zeros((T, 5)), np.arange(T)
    x[:, 4] = np.where((t >= 25) & (t < 50), 0.06, np.where(t >= 60, -0.05, 0.0))
    x[0, :4] = -500, 2200, 25, -0.3
    for k in range(T - 1):
        x[k + 1, :4] = fly(x[k])[:4]
    return x, radar(x) + np.random.default_rng(seed).normal(size=(T, 2)) * NOISE


# %% [markdown]
# ## A factor graph with noise on its steps
#
# `Step(f, noise=Q)` is a step up to Gaussian noise. Its output is a Gaussian variable, or an observation. It
# stands beside linear factors, such as the prior. Of the start we know little: 400 m, 10 m/s, and a radian.

# %%
WANDER = DT * np.diag([0.01, 0.01, 0.05, 1e-4, 4e-4])  # what a step adds to the covariance of the state
START, SPREAD = np.array([-700.0, 1900.0, 20.0, 0.0, 0.0]), np.diag([400.0, 400.0, 10.0, 1.0, 0.05]) ** 2


def graph(y):
    g = FactorGraph()
    x, seen = g.sequence("x", length=len(y), shape=(5,)), g.observe("y", y)
    g.factor(Quadratic.prior(START, SPREAD), x[0])
    g.factor(Step(fly, noise=WANDER, vectorized=True), x[:-1], out=x[1:], name="flight")
    g.factor(Step(radar, noise=np.diag(NOISE**2), vectorized=True), x[:], out=seen[:], name="radar")
    return g


truth, y = flight(3)
g = graph(y)
print(g.plan())

# %% [markdown]
# ## One argument
#
# `Extended` takes the tangent at the mean, `Unscented`, `Cubature` and `GaussHermite` the least-squares
# line through points around it; `Unscented` has eleven of these here, `GaussHermite(3)` 243. All of them
# linearise on the way, at what the past alone has told. `Iterated` goes back: it linearises at the smoothed
# path, smooths anew, and so on until nothing moves. With tangents that is Gauss-Newton's search for the
# most probable path; with sigma points it is iterated posterior linearisation.
#
# Messages then are those of an ordinary Gaussian chain: beliefs, pairs, draws and gradients are read as
# ever.

# %%
RULES = {
    "extended": Extended(),
    "unscented": Unscented(),
    "cubature": Cubature(),
    "Gauss-Hermite": GaussHermite(3),
    "iterated extended": Iterated(),
    "iterated cubature": Iterated(Cubature(), max_iter=100),
}


def gap(mean, truth):
    """Root mean square distance from the true positions."""
    return np.sqrt(((mean[:, :2] - truth[:, :2]) ** 2).sum(axis=1).mean())


runs = {name: run(g, Gaussian(rule)) for name, rule in RULES.items()}
print("                     smoother  filter   log Z   passes")
for name, m in runs.items():
    report = m.linearisation["x"]
    smooth, filtered = gap(m.belief["x"].mean, truth), gap(m.forward["x"].mean, truth)
    print(f"{name:<19} {smooth:>7.1f} m {filtered:>5.0f} m {m.total:>8.1f} {report.iterations:>5}")
    assert report.converged

# %% [markdown]
# In this flight the tangents lead astray: after the first look the mean is far off, the tangent of the
# direction there is that of another place, and the filter becomes sure of what is not so. The smoother
# cannot mend it, for it goes back over the same tangents. Points around the mean know better, because they
# see how much the function bends over the spread, and count it as noise. Going back mends most.
#
# Unscented and cubature agree here: beyond three numbers in a state the unscented rule gives its centre no
# weight, rather than a negative one, and what is left is cubature.

# %%
smoothed = {name: gap(m.belief["x"].mean, truth) for name, m in runs.items()}
assert smoothed["extended"] > 4 * smoothed["unscented"] > 8 * smoothed["iterated cubature"]
np.testing.assert_allclose(runs["unscented"].total, runs["cubature"].total)

# %% [markdown]
# ## More than one flight
#
# Twenty radars look at the same flight. Besides the distance from the truth, one should ask whether a tracker
# knows how wrong it is: squared errors in units of its own covariance average to one a coordinate if it does.

# %%
errors: dict[str, list] = {name: [] for name in RULES}
claims: dict[str, list] = {name: [] for name in RULES}
for seed in range(20):
    truth, y = flight(seed)
    for name, rule in RULES.items():
        mean, cov = run(graph(y), Gaussian(rule)).belief["x"]
        errors[name].append(gap(mean, truth))
        off = (mean - truth)[:, :2]
        claims[name].append(np.einsum("ti,tij,tj->t", off, np.linalg.inv(cov[:, :2, :2]), off).mean() / 2)
print("                     median   worst   squared error / claimed (median, worst)")
for name in RULES:
    middle, worst = np.median(errors[name]), np.max(errors[name])
    print(
        f"{name:<19} {middle:>6.1f} m {worst:>6.1f} m {np.median(claims[name]):>8.2f} "
        f"{np.max(claims[name]):>9.1f}"
    )
worst = {name: np.max(found) for name, found in errors.items()}
assert worst["extended"] > 3 * worst["unscented"] and worst["unscented"] > worst["iterated cubature"]
assert np.median(claims["iterated cubature"]) < 2 < np.max(claims["extended"])

# %% [markdown]
# Gauss-Newton goes to the nearest best path. It starts from the cubature smoother; started from where the
# tangents have led astray it may take hundreds of passes, or stay in another valley.

# %%
flights = [flight(seed) for seed in range(20)]
truth, y = flights[9]
path = run(graph(y), Gaussian(Extended())).belief["x"].mean
astray = run(graph(y), Gaussian(Iterated(start={"x": path})))
far = gap(astray.belief["x"].mean, truth)
print(f"flight 9: {errors['iterated extended'][9]:.1f} m from cubature, {far:.1f} m from tangents")
assert far > 5 * errors["iterated extended"][9]

# %% [markdown]
# ## Learning the radar's noise, and looking ahead
#
# `hmm.NonlinearSSM` is the same graph as an estimator. What arrives at a parameter is the whole derivative of
# log Z, the motion of the tangents and points included, so that a fit may climb it. Ten flights, and a radar
# whose accuracy we pretend not to know:

# %%
model = NonlinearSSM(
    fly,
    radar,
    WANDER,
    np.diag([400.0, 0.01]),
    START,
    SPREAD,
    linearisation=Cubature(),
    learned=["observation_covariance"],
    covariance_type="diag",
    vectorized=True,
)
model.fit([y for _, y in flights[:10]])
learned = np.sqrt(np.diag(model.observation_covariance_))
print(f"noise: {learned[0]:.1f} m and {learned[1]:.3f} rad, in truth {NOISE[0]} m and {NOISE[1]} rad")
np.testing.assert_allclose(learned, NOISE, rtol=0.2)

truth, y = flights[0]
ahead = model.forecast(y[:45], steps=10)
where = ahead.state_mean[:, :2]
print(f"in the turn, {np.linalg.norm(where - truth[45:55, :2], axis=1).round()} m off after 2, 4, … 20 s")

# %% [markdown]
# The forecast carries the turn on, until the target stops turning.
#
# In the picture the ellipses are where, with 95 %, each smoother believes the target to be, every
# sixteen seconds. Those of the extended one are small where it is far off.

# %%
RADIUS = -2 * np.log(0.05)  # χ² with two degrees of freedom stays below it in 95 %
truth, y = flight(3)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
dots = y[:, :1] * np.stack([np.cos(y[:, 1]), np.sin(y[:, 1])], axis=1)
for ax, name in zip(axes, ("extended", "iterated cubature"), strict=True):
    mean, cov = runs[name].belief["x"]
    ax.plot(*dots.T, ".", color="0.75", label="radar")
    for k in range(0, len(mean), 8):
        spread, axes_of_it = np.linalg.eigh(cov[k, :2, :2])
        width, height = 2 * np.sqrt(RADIUS * spread)
        angle = np.degrees(np.arctan2(*axes_of_it[::-1, 0]))
        ax.add_patch(Ellipse(mean[k, :2], width, height, angle=angle, color="C3", alpha=0.4, lw=0))
    ax.plot(*truth[:, :2].T, color="black", lw=1, label="flight")
    ax.plot(*mean[:, :2].T, color="C3", lw=1.5, label=f"{name} smoother")
    ax.set(title=f"{name}, {smoothed[name]:.0f} m off", xlabel="east (m)", aspect="equal")
    ax.legend(frameon=False, loc="lower left", fontsize=8)
axes[0].set_ylabel("north (m)")

# %%
# python tutorials/12_tracking_with_a_nonlinear_sensor.py FOLDER
if __name__ == "__main__" and len(sys.argv) == 2:
    figure.savefig(Path(sys.argv[1]) / "12_tracking.png", dpi=150)
