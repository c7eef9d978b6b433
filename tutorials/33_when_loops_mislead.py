# %% [markdown]
# # When loops mislead
#
# On a tree every message sums up a part of the graph that no other message knows of. With a loop it does
# not: what a variable says comes back to it as news. Passing the messages anyway, round after round until
# they settle, is *loopy belief propagation*. It decodes the codes of mobile phones, and it can be wildly
# wrong. This page looks for the border between the two, with the exact answer at hand: graphs small enough
# for `JunctionTree`.

# %%
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, Flooding, JunctionTree, MaxProduct, Table, run
from msgpass.drawing import style
from msgpass.errors import ConvergenceWarning

AGREE = np.array([[1.0, -1.0], [-1.0, 1.0]])  # log table of two spins s, s' = ∓1: s s'


def spins(pairs, n, couplings, fields):
    """Spins that feel each other, J s s', and a field, h s."""
    g = FactorGraph()
    s = g.sequence("s", length=n, states=2)
    i, j = np.array(pairs).T
    couplings = np.broadcast_to(couplings, len(pairs))
    g.factor(Table(g.parameter("J", couplings[:, None, None] * AGREE)), s[i], s[j], name="pair")
    g.factor(Table(g.parameter("h", np.outer(np.broadcast_to(fields, n), [-1.0, 1.0]))), s[:], name="field")
    return g


def mean(m):
    """E[s] of every spin."""
    return np.exp(m.belief["s"]) @ [-1.0, 1.0]


# %% [markdown]
# ## Three spins
#
# Three spins that like to agree (J = 0.5), each with a weak reason to be up (h = 0.3).

# %%
triangle = spins([(0, 1), (1, 2), (2, 0)], 3, 0.5, 0.3)
exact, loopy = run(triangle, schedule=JunctionTree()), run(triangle, schedule=Flooding(tol=1e-10))
print(f"E[s]:  exact {mean(exact)[0]:.4f}, loopy {mean(loopy)[0]:.4f}")
print(f"log Z: exact {exact.total:.4f}, Bethe {loopy.total:.4f}")
print(loopy.convergence)
assert np.allclose([mean(exact)[0], exact.total], [0.574820513, 2.812378644], atol=1e-8)
assert np.allclose([mean(loopy)[0], loopy.total], [0.637652644, 2.761855257], atol=1e-6)

# %% [markdown]
# It settles, and it is too sure of itself: each spin hears its own field again, around the loop, and takes it
# for evidence. What comes back has crossed three edges, each of which passes on at most tanh J of it. So the
# error is of the order tanh(J)³: long loops and weak couplings are harmless. That is why codes are built with
# no short loops.
#
# Cut the triangle open and the same messages are exact:

# %%
line = spins([(0, 1), (1, 2)], 3, 0.5, 0.3)
assert np.isclose(run(line, schedule=Flooding()).total, run(line).total)

# %% [markdown]
# ## Stronger and stronger
#
# Sixteen spins on a 4 × 4 grid; the strength of the coupling grows. Once all couplings are attractive, once
# their signs are drawn: then loops with an odd number of negative edges, *frustrated* ones, cannot please
# everybody. `counting="tree"` is the tree-reweighted variant: it weighs every edge by the share of spanning
# trees that it belongs to, and so bounds log Z from above, whatever the couplings.

# %%
numbers = np.arange(16).reshape(4, 4)
grid = [*zip(numbers[:, :-1].ravel(), numbers[:, 1:].ravel(), strict=True)]
grid += [*zip(numbers[:-1].ravel(), numbers[1:].ravel(), strict=True)]
rng = np.random.default_rng(3)
fields, signs = 0.1 * rng.normal(size=16), rng.choice([-1.0, 1.0], len(grid))
strengths = np.linspace(0.05, 1.6, 24)
kinds = {"attractive": np.ones(len(grid)), "signs drawn": signs}

gaps = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    for kind, sign in kinds.items():
        rows = []
        for strength in strengths:
            g = spins(grid, 16, strength * sign, fields)
            exact = run(g, schedule=JunctionTree())
            bethe = run(g, schedule=Flooding("sequential", damping=0.2, max_iter=400))
            tree = run(g, schedule=Flooding("sequential", damping=0.5, max_iter=2000, counting="tree"))
            rows.append(
                (bethe.total - exact.total, tree.total - exact.total,
                 np.abs(mean(bethe) - mean(exact)).max(), bethe.convergence.converged)
            )  # fmt: skip
        gaps[kind] = np.array(rows, float).T
for kind, (_, above, wrong, settled) in gaps.items():
    off = f"{wrong[3]:.3f} at J = {strengths[3]:.1f}, {wrong[-1]:.2f} at J = {strengths[-1]:.1f}"
    print(f"{kind}: largest error of a mean {off}; settled in {settled.mean():.0%} of the runs")
    assert (above > -1e-6).all()  # an upper bound, always
assert (gaps["attractive"][0] < 1e-6).all()  # Bethe's is a lower one where all couplings attract
assert (gaps["attractive"][0] > -np.log(2)).all()
assert gaps["attractive"][2, :4].max() < 0.05

# %% [markdown]
# While the coupling is weak all is well. Then, near the point where an infinite grid would order by itself
# (Bethe's approximation puts it at tanh J = 1/3, J ≈ 0.35), the messages find a second fixed point: all spins
# drag each other up or down, and the marginals are those of one of the two phases. The *approximation* has
# lost a symmetry that the true distribution keeps: Bethe's log Z counts one phase and misses the other, up to
# log 2, and stays below the truth (for attractive couplings it always does; Ruozzi 2012). With drawn signs it
# bounds nothing, and half of the runs never settle.
#
# ## Round and round
#
# Nothing says that messages settle. Six spins, every pair of which prefers to disagree: all see the same,
# all change their minds at once, and back. *Damping* keeps a share of the old message in the new one;
# going through factors one by one helps, too.

# %%
everybody = [(i, j) for i in range(6) for j in range(i)]
stubborn = spins(everybody, 6, -0.5, 0.05)
ways = {
    "all at once": Flooding("flood", max_iter=120),
    "damped by half": Flooding("flood", damping=0.5, max_iter=120),
    "one after another": Flooding("sequential", max_iter=120),
}
history = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    for way, schedule in ways.items():
        m = run(stubborn, schedule=schedule)
        history[way] = m.convergence.history
        print(f"{way}: {m.convergence.summary()}")
assert history["all at once"][-1] > 1 > 1e-5 > history["damped by half"][-1]
assert len(history["damped by half"]) < len(history["one after another"]) < 120

# %% [markdown]
# A run that does not settle warns, and `m.convergence` holds the trace and the variables that still move.
# Settling is no proof of being right, as the grid has shown; not settling is a good sign of being wrong.
#
# ## Where it works
#
# A picture of which one pixel in eight was turned. Evidence at every pixel is strong enough that hardly
# anything has to travel around a loop, so that thousands of short loops do no harm. `MaxProduct` looks for
# the most probable picture instead.

# %%
side = 72
y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
ring = np.abs(np.hypot(x, y) - 0.62) < 0.16
bar = (np.abs(y - 0.25 * x) < 0.1) & (np.abs(x) < 0.5)
picture = (ring | bar).astype(int)
noisy = np.where(np.random.default_rng(1).random(picture.shape) < 1 / 8, 1 - picture, picture)

numbers = np.arange(side * side).reshape(side, side)
pairs = [np.stack([numbers[:, :-1].ravel(), numbers[:, 1:].ravel()], axis=1)]
pairs += [np.stack([numbers[:-1].ravel(), numbers[1:].ravel()], axis=1)]
prior = spins(np.concatenate(pairs), side * side, 0.7, 0.5 * np.log(7) * (2 * noisy.ravel() - 1))
m = run(prior, schedule=Flooding("flood", damping=0.2))
clean = (mean(m) > 0).reshape(side, side)
best = run(prior, MaxProduct(), Flooding("sequential", damping=0.3, max_iter=100)).assignment["s"]
wrong = [float((z != picture).mean()) for z in (noisy, clean, best.reshape(side, side))]
print(f"wrong pixels: {wrong[0]:.1%} noisy, {wrong[1]:.1%} marginals, {wrong[2]:.1%} most probable")
print(m.convergence)
assert m.convergence and wrong[1] < wrong[0] / 4 and wrong[2] < wrong[0] / 3

# %% [markdown]
# ## What to take along
#
# - Ask for the width first: if `JunctionTree()` runs, use it.
# - Loopy messages are good where evidence is strong, couplings are weak or loops are long.
# - Look at `m.convergence`; damp; compare with `counting="tree"`: answers that are far apart are a warning.
# - Gradients at a fixed point are exact gradients of *Bethe's* log Z, which is what learning then climbs.
#
# ## The picture

# %%
with style():
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for ax, (kind, (below, above, _, _)) in zip(axes[0, :2], gaps.items(), strict=True):
        ax.axhline(0, color="0.6", lw=1)
        ax.plot(strengths, below, label="Bethe")
        ax.plot(strengths, above, label="tree-reweighted")
        ax.set(title=f"log Z, {kind}", xlabel="coupling J", ylabel="approximation − exact")
        ax.legend()
    for kind, found in gaps.items():
        axes[0, 2].plot(strengths, found[2], label=kind)
    axes[0, 2].set(title="Marginals", xlabel="coupling J", ylabel="largest error of E[s]")
    axes[0, 2].legend()
    for way, trace in history.items():
        axes[1, 0].semilogy(np.arange(1, len(trace) + 1), np.maximum(trace, 1e-7), label=way)
    axes[1, 0].set(title="Six spins that disagree", xlabel="sweep", ylabel="largest change of a message")
    axes[1, 0].legend()
    for ax, shown, title in (
        (axes[1, 1], noisy, f"{wrong[0]:.0%} of pixels turned"),
        (axes[1, 2], mean(m).reshape(side, side), f"E[s]: {wrong[1]:.1%} wrong"),
    ):
        ax.imshow(shown, cmap="Greys", interpolation="nearest")
        ax.set_title(title)
        ax.set_axis_off()
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "33_when_loops_mislead.png", dpi=150)
