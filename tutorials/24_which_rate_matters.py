# %% [markdown]
# # Which rate matters
#
# A precursor A turns into an intermediate B, and B into the product C, or into waste. Three rates decide how
# much product there is after a while. Which of them should a better catalyst speed up? Unrolled over time,
# the reaction is a recurrence, and the answer comes back along it: the gradient of the final yield with
# respect to each rate, from one run forward and one backward.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass.drawing import FIRST, GREY, SECOND, THIRD, style
from rnn.systems.kinetics import (
    Arrhenius,
    Experiment,
    Profile,
    ReactionNetwork,
    Reactor,
    Selectivity,
    Yield,
    fit_rates,
)

network = ReactionNetwork("k1: A -> B; k2: B -> C; k3: B -> waste")
rates = {"k1": 1.0, "k2": 0.5, "k3": 0.2}
print(network)
print("conserved:", network.conserved_names())

# %% [markdown]
# ## The yield and its elasticities
#
# An elasticity ∂ln J/∂ln k says by how many per cent the yield J rises when a rate rises by one. It needs no
# units, so rates can be ranked by it.

# %%
reactor = Reactor(network, rates, {"A": 1.0}, t=3.0)
path = reactor.simulate()
found = reactor.gradient(Yield("C", "A"))
print(found)
print("conserved to", path.drift)
assert path.drift < 1e-14

# %% [markdown]
# The chain has a closed form, C(t) = k₂/κ (1 − (κ e^{−k₁t} − k₁ e^{−κt})/(κ − k₁)) with κ = k₂ + k₃, whose
# derivatives the run has found to its tolerance.


# %%
def product(k, t=3.0):
    """C in closed form."""
    kappa = k[1] + k[2]
    rest = (kappa * np.exp(-k[0] * t) - k[0] * np.exp(-kappa * t)) / (kappa - k[0])
    return k[1] / kappa * (1 - rest)


k = np.array(list(rates.values()))
slopes = [(product(k + d) - product(k - d)) / 2e-5 for d in 1e-5 * np.eye(3)]
np.testing.assert_allclose(found.value, product(k), rtol=1e-6)
np.testing.assert_allclose(list(found.rates.values()), slopes, rtol=1e-5)

# %% [markdown]
# Here k₂ matters most. But that depends on when one looks: early, B must first be made, and k₁ is as good as
# k₂; late, everything has turned, and what counts is the branch alone, where k₂ and k₃ work against each
# other and k₁ has lost its say.

# %%
ends = np.geomspace(0.05, 20, 25)
elasticities = np.array([list(reactor.with_(t=t).gradient("C").elasticities.values()) for t in ends])
np.testing.assert_allclose(elasticities[0], [1, 1, 0], atol=0.05)
np.testing.assert_allclose(elasticities[-1], [0, 0.2 / 0.7, -0.2 / 0.7], atol=1e-3)

branch = reactor.gradient(Selectivity("C", ["waste"]))
np.testing.assert_allclose(branch.value, 0.5 / 0.7, rtol=1e-6)  # at all times
np.testing.assert_allclose(branch.rates["k1"], 0, atol=1e-7)

# %% [markdown]
# ## When a rate matters
#
# λ(t) = ∂J/∂c(t), the backward message, is what one more molecule of a species at time t is worth at the
# end. A reaction that happens at time t moves molecules from one value to another: rate r has the share
# λ(t)·N_r v_r(t) of J's elasticity a unit of time. A → B lifts molecules from λ_A to λ_B. Near the end it
# earns nothing, for B has no time left to become C.

# %%
share = found.through_time
np.testing.assert_allclose(
    np.trapezoid(share, found.times, axis=0), list(found.elasticities.values()), rtol=5e-3
)
np.testing.assert_allclose((found.costates * found.ode.solution.states).sum(axis=1), found.value, rtol=1e-6)
assert abs(share[-1, 0]) < 1e-12 < share[-1, 1]

# %% [markdown]
# ## Rates from measurements
#
# Rates are seldom known. Here are ten samples of A and C with an error of 0.01, and a few that went missing.
# B and waste were never measured; that C ends below A's start is what tells of k₃.

# %%
rng = np.random.default_rng(3)
t = np.linspace(0.4, 8, 10)
true = reactor.with_(t=np.concatenate([[0.0], t])).simulate()
measured = {s: true[s][1:] + 0.01 * rng.normal(size=10) for s in ("A", "C")}
measured["A"][[3, 6]] = np.nan
fit = fit_rates(network, Experiment(t, measured, {"A": 1.0}, sigma=0.01), {"k1": 0.3, "k2": 0.3, "k3": 0.3})
print(fit)
for name, value in rates.items():
    assert abs(fit.rates[name] - value) < 3 * fit.standard_errors[name]

# %% [markdown]
# ## What to do about it
#
# Rates move with temperature, k = A exp(−E/(RT)). If waste needs the higher activation energy, heat makes
# the reaction fast and wasteful. With a temperature that may change over time, L-BFGS-B finds the program;
# the gradient at every knot of the profile comes from the same backward messages.

# %%
energies = {"k1": 60e3, "k2": 50e3, "k3": 90e3}
flat = Arrhenius.through(rates, 300.0, energies, T=300.0)
steady = reactor.with_(rates=flat, rtol=1e-6).optimize(Yield("C", "A"), {"T": (270.0, 360.0)})
knots = Profile([0.0, 1.0, 2.0, 3.0], [steady.values["T"]] * 4)
program = reactor.with_(rates=Arrhenius(flat.A, flat.E, knots), rtol=1e-6).optimize(
    Yield("C", "A"), {"T": (270.0, 360.0)}, n_iter=40, tol=1e-3
)
print(f"yield {found.value:.3f} at 300 K, {steady.value:.3f} at {steady.values['T']:.1f} K,")
print(f"{program.value:.3f} with {np.round(program.values['T'], 1)} K")
assert found.value < steady.value < program.value

# %% [markdown]
# ## In one picture

# %%
with style():
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.2), layout="constrained")
    (above, ranks), (when, heat) = axes
    path.plot(above)
    above.set(title="the reaction")
    colours = dict(zip(rates, (FIRST, SECOND, THIRD), strict=True))
    for name, line in zip(rates, elasticities.T, strict=True):
        ranks.plot(ends, line, color=colours[name], label=name)
    ranks.axhline(0, color=GREY, linewidth=0.6)
    ranks.axvline(3.0, color=GREY, linewidth=0.6, linestyle=":")
    ranks.set(xscale="log", xlabel="end of the run", ylabel="elasticity of C", title="which rate matters")
    ranks.legend()
    for r, name in enumerate(rates):
        when.plot(found.times, share[:, r], color=colours[name], label=name)
    when.axhline(0, color=GREY, linewidth=0.6)
    when.set(xlabel="time", ylabel="elasticity a unit of time", title="when it matters, for the end at 3")
    when.set(xlim=(0, 3))
    heat.plot(knots.times, program.values["T"], color=SECOND, label=f"program, yield {program.value:.3f}")
    heat.axhline(steady.values["T"], color=GREY, linestyle="--", label=f"steady, {steady.value:.3f}")
    heat.set(xlabel="time", ylabel="temperature, K", title="the best temperature", xlim=(0, 3))
    heat.legend()
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "which_rate_matters.png", dpi=150)
