# %% [markdown]
# # A bouncing ball
#
# Between two bounces a ball follows a differential equation; at a bounce its speed is turned round, at once.
# How does the height at the end depend on the bounce, on gravity, on where the ball started? Backpropagation
# through the steps of a solver is not the whole answer, for a change of anything also moves the *times* of
# the bounces. In a graph where those times are variables, the messages see to that by themselves.

# %%
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

from msgpass.drawing import FIRST, GREY, SECOND, THIRD, style
from rnn.ode.events import Event, HybridSystem, ZenoError

ball = HybridSystem(
    lambda t, y, p: np.stack([y[1], -p["g"] - p["drag"] * y[1] * np.abs(y[1])]),
    Event(
        lambda t, y, p: y[0],  # happens where this goes through zero …
        lambda t, y, p: np.stack([y[0], -p["e"] * y[1]]),  # … and then this is the state
        direction="down",
        name="bounce",
    ),
)
params = {"g": 10.0, "e": 0.8, "drag": 0.0}
start, end = np.array([5.0, -0.1]), 7.5
run = ball.solve(start, [0.0, end], params)
print(run)
print("bounces at", run.times().round(4))

# %% [markdown]
# Without drag the bounces have a formula. The first comes after t₁ = (v₀ + √(v₀² + 2 g z₀))/g, and every
# flight after it takes e times as long as the one before.


# %%
def formula(z, v, g, e, n=8):
    """Times of bounces, and the height at the end after n of them."""
    speed = np.sqrt(v * v + 2 * g * z)
    times = (v + speed) / g + 2 * speed / g * np.cumsum([0, *e ** np.arange(1, n)])
    after = end - times[-1]
    return times, speed * e**n * after - g * after**2 / 2


point = np.array([*start, params["g"], params["e"]])
times, height = formula(*point)
np.testing.assert_allclose(run.times(), times, rtol=1e-10)
np.testing.assert_allclose(run.y[-1, 0], height, rtol=1e-8)

# %% [markdown]
# ## An event's time is a variable
#
# Solver steps are factors, as ever. At a bounce three more stand between them: one *locates* the event, t* =
# the time at which g(t*, y(t*)) = 0; one *lands* there, a last step of length t* − t; one makes the *jump*.
# The first step after it is as much shorter as the last one was longer. Locating is an implicit function of
# the state before, so its derivative is −g_y/ġ: the faster the ball goes through the floor, the less its time
# moves. Every t* has a gradient, like any other variable.

# %%
third = run.gradient(lambda outcome: outcome.times[2])
slopes = [(formula(*(point + d))[0][2] - formula(*(point - d))[0][2]) / 2e-6 for d in 1e-6 * np.eye(4)]
print("∂t₃/∂(z₀, v₀, g, e) =", np.round([*third.y0, third.params["g"], third.params["e"]], 4))
np.testing.assert_allclose([*third.y0, third.params["g"], third.params["e"]], slopes, rtol=1e-7)

# %% [markdown]
# ## What forgetting it would cost
#
# The state at the end after eight bounces, by restitution e. If events were held where they are, only the
# jump would be differentiated: the speed after it. What is missing is that a livelier ball also bounces later
# the next time.

# %%
found = run.gradient(lambda outcome: outcome.states[-1, 0])
slopes = [(formula(*(point + d))[1] - formula(*(point - d))[1]) / 2e-6 for d in 1e-6 * np.eye(4)]
whole = np.array([*found.y0, found.params["g"], found.params["e"]])
np.testing.assert_allclose(whole, slopes, rtol=1e-6)

held = np.array([0.0, 0.0])  # how (z, v) moves with e, bounces held in time
last = 0.0
for event in run.events:
    held = np.array([held[0] + (event.t - last) * held[1], held[1]])  # a flight
    held = np.array([held[0], -params["e"] * held[1] - event.before[1]])  # a bounce
    last = event.t
held = held[0] + (end - last) * held[1]
print(f"∂z(end)/∂e is {found.params['e']:.3f}; with the bounces held in time it would be {held:.3f}")
assert abs(held - found.params["e"]) > 0.5 * abs(found.params["e"])

# %% [markdown]
# ## The co-state jumps, too
#
# λ(t) = ∂z(end)/∂(z, v)(t) is the backward message. In flight it obeys dλ/dt = −(∂f/∂y)ᵀλ: λ_z is constant
# and λ_v a straight line. At a bounce it jumps by the transpose of the *saltation matrix*
#
#     S = J + (f⁺ − J f⁻) g_yᵀ / (g_yᵀ f⁻),      here  (−e, 0; −(1 + e) g/v⁻, −e)
#
# with J the jump's own derivative. Nobody has written S into the graph: it is what the messages through
# locating, landing and jumping, and through the first step after, add up to. `saltation` computes it from
# the formula, to compare.

# %%
for i, event in enumerate(run.events):
    before, after = found.segments[i][1][-1], found.segments[i + 1][1][0]
    np.testing.assert_allclose(before, run.saltation(i).T @ after, rtol=1e-8)
    by_hand = [[-0.8, 0.0], [-1.8 * 10.0 / event.before[1], -0.8]]
    np.testing.assert_allclose(run.saltation(i), by_hand, atol=1e-10)

# %% [markdown]
# A check that needs no formula: nothing here depends on time itself, so starting a moment later only means
# ending a moment earlier. Therefore λ·f is the same at all times, *across* the bounces, although λ and f both
# jump. (S f⁻ = f⁺: a small delay before the bounce is the same delay after it.)

# %%
products = []
for times, costates in found.segments:
    states = run.at(times)
    states[-1] = run.y[-1] if times[-1] == end else run.events[len(products)].before
    rates = np.stack([states[:, 1], np.full(len(times), -params["g"])], axis=1)
    products.append((costates * rates).sum(axis=1))
products = np.concatenate(products)
np.testing.assert_allclose(products, run.y[-1, 1], rtol=1e-7)  # which is dz/dt at the end
print(f"λ·f = {products.min():.8f} … {products.max():.8f} at {len(products)} times")

# %% [markdown]
# ## Listening to a ball
#
# A microphone hears the bounces and nothing else: twelve clicks, to half a millisecond. How high did the ball
# start, how lively is it, and what does the air do? The loss is a function of event times, and L-BFGS gets
# its gradient through all of them.

# %%
bounce = replace(ball.events[0], terminal=12)  # the run ends with the twelfth
heard = HybridSystem(ball.f, bounce)
true = np.array([1.2, 0.85, 0.05])  # height, restitution, drag
rng = np.random.default_rng(1)


def listen(theta):
    """The run of the first twelve bounces."""
    return heard.solve([theta[0], 0.0], [0.0, 20.0], {"g": 9.81, "e": theta[1], "drag": theta[2]})


clicks = listen(true).times() + 5e-4 * rng.normal(size=12)
tried = []


guess, scale = np.array([1.0, 0.8, 0.0]), np.array([0.2, 0.02, 0.2])


def misfit(u):
    """Half the squared error in units of the noise, and its gradient; at ``guess`` + ``scale`` · u."""
    theta = guess + scale * u
    loss = lambda outcome: (((outcome.times - clicks) / 5e-4) ** 2).sum() / 2  # noqa: E731
    found = listen(theta).gradient(loss)
    tried.append(theta)
    return found.loss, scale * [found.y0[0], found.params["e"], found.params["drag"]]


bounds = [(-2, 4), (-4, 6), (0, 2)]
fit = minimize(misfit, np.zeros(3), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6})
fitted = guess + scale * fit.x
errors = np.abs(fitted - true)
print("height, restitution, drag:", fitted.round(4), f"after {len(tried)} runs; misfit {fit.fun:.1f}")
assert fit.fun < 12 and (errors < [0.01, 0.005, 0.02]).all()

# %% [markdown]
# ## Where it ends
#
# Flights that shrink by a factor e have a finite sum: infinitely many bounces, and then rest. No solver can
# go through that, and this one says so, and when: at t₁ + 2 v₁ e/(g (1 − e)).

# %%
speed = np.sqrt(start[1] ** 2 + 2 * params["g"] * start[0])
limit = run.times()[0] + 2 * speed * params["e"] / (params["g"] * (1 - params["e"]))
try:
    ball.solve(start, [0.0, 20.0], params)
except ZenoError as stopped:
    print(stopped)
    np.testing.assert_allclose(stopped.limit, limit, rtol=1e-6)
else:
    raise AssertionError

# %% [markdown]
# ## In one picture
#
# The curve at the upper right has corners where the height is zero: there one bounce more, or one less, comes
# before the end, and the height has no derivative.

# %%
with style():
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.2), layout="constrained")
    (path, tangents), (adjoint, gaps) = axes
    fine = np.linspace(0, end, 600)
    path.plot(fine, run.at(fine)[:, 0], color=FIRST)
    path.set(title="the height …", xlabel="time", ylabel="z", xlim=(0, end))
    for i, (times, costates) in enumerate(found.segments):
        for k, colour in enumerate((FIRST, SECOND)):
            name = (("∂z(end)/∂z", "∂z(end)/∂v")[k]) if i == 0 else None
            adjoint.plot(times, costates[:, k], color=colour, label=name)
    adjoint.plot(np.linspace(0, end, len(products)), products, color=GREY, linestyle="--", label="λ·f")
    adjoint.set(title="… and its co-state, which jumps", xlabel="time", xlim=(0, end))
    adjoint.legend(loc="upper left")
    for ax in (path, adjoint):
        for event in run.events:
            ax.axvline(event.t, color="#d9d9d9", linewidth=0.7, zorder=0)
    near = np.linspace(0.79, 0.81, 81)
    heights = [ball.solve(start, [0.0, end], params | {"e": e}).y[-1, 0] for e in near]
    assert min(heights) >= 0
    tangents.plot(near, heights, color=FIRST, label="height at the end")
    for slope, colour, name in ((found.params["e"], THIRD, "events move"), (held, SECOND, "events held")):
        tangents.plot(near, run.y[-1, 0] + slope * (near - 0.8), "--", color=colour, label=name)
    tangents.plot(0.8, run.y[-1, 0], "o", color=FIRST, markersize=4)
    tangents.set(title="two derivatives", xlabel="restitution e", ylabel="z(end)", xticks=[0.79, 0.8, 0.81])
    tangents.set_ylim(-0.15, 0.45)
    tangents.legend()
    number = np.arange(1, 12)
    gaps.semilogy(number, np.diff(clicks), "o", color=FIRST, label="heard")
    gaps.semilogy(number, np.diff(listen(guess).times()), color=GREY, label="first guess")
    gaps.semilogy(number, np.diff(listen(fitted).times()), color=THIRD, label="fitted")
    gaps.set(title="twelve clicks", xlabel="flight", ylabel="time of flight")
    gaps.legend()
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "a_bouncing_ball.png", dpi=150)
