# %% [markdown]
# # Two sources, one meter
#
# A refrigerator and a washing machine run in one house, and there is one meter, which knows only their sum.
# A factorial hidden Markov model says just that: two chains, each with dynamics of its own, and one reading
# of them both. From the sum alone, with no label anywhere, EM finds what each appliance draws and when it
# ran.
#
#     z_t^m ~ A_m[z_{t−1}^m]        x_t ~ N(Σ_m W_m[z_t^m], σ²)

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from hmm import FactorialHMM, GaussianHMM
from msgpass.drawing import FIRST, GREY, INK, PALE, SECOND, style

# %% [markdown]
# ## A house
#
# One reading a minute for two days. The refrigerator is off or draws 120 W; the washing machine is off, turns
# its drum at 300 W, or heats at 2000 W. The meter is good to 25 W, and was down for two hours.

# %%
house = FactorialHMM((2, 3))
house.startprob_ = [[0.5, 0.5], [1.0, 0.0, 0.0]]
house.transmat_ = [
    [[0.97, 0.03], [0.05, 0.95]],
    [[0.995, 0.0, 0.005], [0.02, 0.94, 0.04], [0.0, 0.08, 0.92]],
]
house.means_ = [[[0.0], [120.0]], [[40.0], [340.0], [2040.0]]]
house.covars_ = [[25.0**2]]
T = 2 * 24 * 60
meter, truth = house.sample(T, random_state=0)
down = slice(1000, 1120)
meter[down] = np.nan
print(f"{np.nanmean(meter):.0f} W on average, {np.isnan(meter).sum()} readings lost")
print("minutes by appliance and state:", [np.bincount(z).tolist() for z in truth.T])

# %% [markdown]
# ## Found in the sum
#
# `fit` climbs from six starts and keeps the best, for the likelihood has many maxima. Appliances are known up
# to their order, and a constant can be moved from one to the other, so each is measured against its lowest
# state. The truth is among what the likelihood cannot tell from the fit: it is a little less likely than the
# maximum, as it has to be.

# %%
model = FactorialHMM((2, 3), n_init=6, random_state=0).fit(meter)
order = [np.argsort(w[:, 0]) for w in model.means_]
for name, w, k in zip(("refrigerator", "washing machine"), model.means_, order, strict=True):
    print(f"{name}: {', '.join(f'{x:.0f}' for x in w[k, 0] - w[k[0], 0])} W")
print(f"noise {np.sqrt(model.covars_[0, 0]):.1f} W")
print(f"log-likelihood {model.score(meter):.1f}; of the truth {house.score(meter):.1f}")
np.testing.assert_allclose(np.ptp(model.means_[0]), 120, atol=3)
np.testing.assert_allclose(np.ptp(model.means_[1]), 2000, atol=3)
assert 0 < model.score(meter) - house.score(meter) < 10

# %% [markdown]
# The most likely states of both together (Viterbi), beside what was on:

# %%
found = np.stack([np.argsort(k)[z] for k, z in zip(order, model.predict(meter).T, strict=True)], axis=1)
read = np.isfinite(meter[:, 0])
right = (found == truth)[read].mean(axis=0)
print(f"right: refrigerator {right[0]:.2%}, washing machine {right[1]:.2%} of the minutes read")
assert right.min() > 0.99

# %% [markdown]
# ## What one chain would need
#
# The same distribution is a hidden Markov model with 2 × 3 = 6 states. An ordinary one with six states, even
# if it is handed the means and has only to learn how states follow each other, has a full table of
# transitions between combinations and knows of no appliances: more numbers for hardly more likelihood, and
# nothing that says which state is which machine's.

# %%
flat = GaussianHMM(6, covariance_type="tied", init_params="st", tol=0.01, n_iter=300, random_state=0)
flat.means_ = (model.means_[0][:, None] + model.means_[1]).reshape(6, 1)
flat.covars_ = model.covars_
flat.fit(meter)
print(f"factorial: {model.network().n_parameters()} free numbers, BIC {model.bic(meter):.0f}")
print(f"flat: 42 free numbers, log-likelihood {flat.score(meter):.1f}, BIC {flat.bic(meter):.0f}")
assert model.bic(meter) < flat.bic(meter)

# %% [markdown]
# And it grows: M chains of K states are one of K^M, whose step costs K^(2M). Messages that keep the chains
# apart go through them one after another, a step costs M·K^(M+1), and the answer is the same. Here are three
# chains of four states, both ways, the largest table of each and the gap between the posteriors.

# %%
rng = np.random.default_rng(1)
three = FactorialHMM((4, 4, 4))
three.startprob_ = [np.full(4, 0.25)] * 3
three.transmat_ = [0.8 * np.eye(4) + 0.2 * rng.dirichlet(np.ones(4), 4) for _ in range(3)]
three.means_, three.covars_ = [rng.normal(scale=s, size=(4, 1)) for s in (1, 2, 4)], [[0.25]]
X, _ = three.sample(300, random_state=0)
m = three.messages(X)
print(m.graph.plan())
one = GaussianHMM(64, covariance_type="tied")
one.startprob_ = np.full(64, 1 / 64)
one.transmat_ = np.kron(np.kron(*three.transmat_[:2]), three.transmat_[2])
a, b, c = (w[:, 0] for w in three.means_)
one.means_ = (a[:, None, None] + b[:, None] + c).reshape(64, 1)
one.covars_ = np.array([[0.25]])
gap = np.abs(one.predict_proba(X).reshape(-1, 4, 4, 4).sum(axis=(2, 3)) - np.exp(m.belief["z0"])).max()
print(f"posteriors of the first chain agree to {gap:.0e}; log-likelihoods {m.total:.6f}, {one.score(X):.6f}")
assert gap < 1e-9

# %% [markdown]
# ## While the meter was down
#
# Nothing was read for two hours, and the chains go on: what is known of both ends runs into the gap from
# either side and fades, at each appliance's own pace. Questions about several moments at once are questions
# about one joint posterior, not about its marginals.

# %%
posterior = [p[:, k] for p, k in zip(model.predict_proba(meter), order, strict=True)]
for t in (999, 1005, 1060, 1115, 1120):
    print(
        f"minute {t}: P(refrigerator on) {posterior[0][t, 1]:.3f}, P(machine on) {1 - posterior[1][t, 0]:.3f}"
    )
pair = model.joint_proba(meter, [("z0", 1010), ("z0", 1013)])[np.ix_(order[0], order[0])]
apart = np.outer(posterior[0][1010], posterior[0][1013])
print(f"on at both 1010 and 1013: {pair[1, 1]:.3f}; were they independent it would be {apart[1, 1]:.3f}")
np.testing.assert_allclose(pair.sum(axis=1), posterior[0][1010], atol=1e-9)

# %% [markdown]
# ## The picture
#
# Six hours of the sum, what was found of each appliance, and what was there; grey is the time without a
# meter, where the mean of the posterior is drawn.

# %%
with style():
    figure, axes = plt.subplots(3, 1, figsize=(8.4, 5.4), sharex=True, layout="constrained")
    hours = np.arange(T) / 60
    axes[0].plot(hours, meter[:, 0], color=INK, linewidth=0.7)
    axes[0].set(title="The meter", ylabel="W")
    for m, (ax, name, colour) in enumerate(
        zip(axes[1:], ("Refrigerator", "Washing machine"), (FIRST, SECOND), strict=True)
    ):
        own, meant = (np.sort(np.ravel(w[m])) - np.min(w[m]) for w in (model.means_, house.means_))
        ax.plot(hours, meant[truth[:, m]], color=PALE, linewidth=3.5, label="was there")
        ax.plot(hours, posterior[m] @ own, color=colour, linewidth=1.0, label="found")
        ax.set(title=name, ylabel="W above its lowest")
    axes[1].legend(loc="upper left")
    for ax in axes:
        ax.axvspan(down.start / 60, down.stop / 60, color=GREY, alpha=0.12, linewidth=0)
    axes[2].set(xlabel="hour", xlim=(14, 20))
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "34_two_sources.png", dpi=150)
