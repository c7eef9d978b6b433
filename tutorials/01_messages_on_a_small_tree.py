# %% [markdown]
# # Messages on a small tree
#
# A *message* is a function of one variable: what the rest of a graph says about it through one edge. Written
# as logarithms, messages that meet at a variable are added. This page computes a few of them by hand, lets
# the engine compute the same, and then changes one thing at a time: the sum into a maximum, the table into a
# Gaussian.
#
# The tree is that of the great apes, and the variable at each node is one base (A, C, G or T) of a DNA
# sequence. We see the leaves and ask for the ancestors. Passing messages on such a tree is Felsenstein's
# pruning (1981), which computes the likelihoods behind phylogenetics.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, MaxProduct, Quadratic, Table, run

BASES = "ACGT"

# %% [markdown]
# ## The graph
#
# Three ancestors are latent, four species are observed. The column of bases is made up: A in humans and
# chimpanzees, G in gorillas and orangutans. Every branch carries the same factor, the probability that a base
# becomes another along a branch of length d = 0.3 substitutions (Jukes & Cantor 1969): it stays what it is
# with probability ¼ + ¾ exp(−4d/3), and the rest is shared out evenly.

# %%
stay = 0.25 + 0.75 * np.exp(-4 * 0.3 / 3)
P = np.full((4, 4), (1 - stay) / 3)
np.fill_diagonal(P, stay)

BRANCHES = (
    ("great apes", "orangutan"),
    ("great apes", "african apes"),
    ("african apes", "gorilla"),
    ("african apes", "hominini"),
    ("hominini", "human"),
    ("hominini", "chimpanzee"),
)
SEEN = {"human": "A", "chimpanzee": "A", "gorilla": "G", "orangutan": "G"}

g = FactorGraph()
nodes = {name: g.variable(name, states=4) for name in ("great apes", "african apes", "hominini")}
nodes |= {name: g.observe(name, BASES.index(base), states=4) for name, base in SEEN.items()}
substitution = g.parameter("substitution", np.log(P))
g.factor(Table.from_probabilities(np.full(4, 0.25)), nodes["great apes"], name="prior")
branch = {
    end: g.factor(Table(substitution), nodes[start], nodes[end], name=f"to {end}") for start, end in BRANCHES
}

# %% [markdown]
# ## Up the tree, by hand
#
# A leaf that is known to be A says to its parent: "here is, for each base you may have, the probability that
# A came of it". That is a column of P. At the parent the columns are multiplied (their logarithms added), and
# the product crosses the next branch by a sum over the parent's base. At the root, the sum that is left is
# the probability of what we saw.

# %%
from_human = np.log(P[:, BASES.index("A")])
from_chimpanzee = np.log(P[:, BASES.index("A")])
from_hominini = np.log(P @ np.exp(from_human + from_chimpanzee))
from_gorilla = np.log(P[:, BASES.index("G")])
from_african = np.log(P @ np.exp(from_hominini + from_gorilla))
from_orangutan = np.log(P[:, BASES.index("G")])
log_likelihood = np.log(np.sum(0.25 * np.exp(from_african + from_orangutan)))

m = run(g)
print(f"log-likelihood by hand {log_likelihood:.6f}, by the engine {m.total:.6f}")
np.testing.assert_allclose(m.total, log_likelihood)
np.testing.assert_allclose(m.message(branch["hominini"], nodes["african apes"]), from_hominini)

# %% [markdown]
# ## Down again, and any single message
#
# The engine has passed messages down as well. Each one leaves out what it came from: the message from the
# root to the ancestor of the African apes knows of the orangutan and the prior, and nothing of gorillas,
# humans or chimpanzees.
#
# At every variable, the sum of all messages that arrive there is its belief, and summing a belief over the
# states gives the same log-likelihood wherever it is done. That is what makes the pass exact on a tree.

# %%
african = nodes["african apes"]
arriving = {
    "from the root": m.message(branch["african apes"], african),
    "from hominini": m.message(branch["hominini"], african),
    "from gorilla": m.message(branch["gorilla"], african),
}
belief = sum(arriving.values())
np.testing.assert_allclose(np.logaddexp.reduce(belief), m.total)
np.testing.assert_allclose(np.exp(belief - m.total), np.exp(m.belief["african apes"]))

for name in ("great apes", "african apes", "hominini"):
    p = np.exp(m.belief[name])
    print(f"{name:<13}", "  ".join(f"P({base}) = {q:.3f}" for base, q in zip(BASES, p, strict=True)))

# %% [markdown]
# ## What arrives at a parameter
#
# All six branches share the parameter log P. What arrives there is the derivative of the log-likelihood with
# respect to it, and for a table that is the expected number of times each entry was used: of the six
# branches, how many went from A to A, from G to A and so on. Learning a table (Baum-Welch, EM) is nothing but
# reading this message.
#
# The counts say how many substitutions to expect in this history. Parsimony would say one; the sum over all
# histories leaves room for more: 1.44.

# %%
counts = m.parameters["substitution"]
substitutions = counts.sum() - np.trace(counts)
print(f"branches {counts.sum():.3f}, of which with a substitution {substitutions:.3f}")
np.testing.assert_allclose(counts.sum(), 6)
assert 1.4 < substitutions < 1.5

step = np.zeros((4, 4))
step[2, 0] = 1e-6
sides = [run(g, values={"substitution": np.log(P) + sign * step}).total for sign in (1, -1)]
np.testing.assert_allclose((sides[0] - sides[1]) / 2e-6, counts[2, 0], rtol=1e-6)

# %% [markdown]
# ## A maximum for the sum
#
# Ask for the one best history instead of the sum over all of them, and only the crossing changes: max over
# the parent's base where the sum was. `total` is now the best score, and `assignment` the ancestors that
# reach it. The counts at the parameter are whole numbers: five branches kept their base, and one went from G
# to A.

# %%
best = run(g, MaxProduct())
ancestors = {name: BASES[best.assignment[name]] for name in ("great apes", "african apes", "hominini")}
print(ancestors)
assert list(ancestors.values()) == ["G", "G", "A"]
np.testing.assert_allclose(best.total, np.log(0.25) + 5 * np.log(stay) + np.log((1 - stay) / 3))
assert best.parameters["substitution"][2, 0] == 1 and best.parameters["substitution"].trace() == 5

# %% [markdown]
# ## Something not seen
#
# A missing observation (−1) is summed out: it sends a message that says nothing. What the others would
# predict of it is the message in the other direction.

# %%
hidden = run(g, values={"gorilla": -1})
gorilla = P.T @ np.exp(hidden.belief["african apes"])
print("unseen gorilla:", "  ".join(f"P({b}) = {q:.3f}" for b, q in zip(BASES, gorilla, strict=True)))
np.testing.assert_allclose(gorilla.sum(), 1)
# P(gorilla has G | the others) = P(all of them) / P(the others)
np.testing.assert_allclose(np.log(gorilla[2]), m.total - hidden.total)

# %% [markdown]
# ## The same tree in another algebra
#
# Body size also runs along this tree, as a number: a random walk along each branch (Felsenstein 1985). The
# messages are now Gaussian, written by their information vector h and precision Λ as h·x − ½ Λ x². They are
# still added at a variable. Crossing a branch still means integrating one end out; for a Gaussian that is a
# Schur complement instead of a sum.
#
# The leaves are rough adult body masses, as log₁₀ kg.

# %%
MASS = {"human": 1.79, "chimpanzee": 1.65, "gorilla": 2.10, "orangutan": 1.76}

size = FactorGraph()
x = {name: size.variable(name) for name in ("great apes", "african apes", "hominini")}
size.factor(Quadratic.prior(1.0, 4.0), x["great apes"])
drift = Quadratic.linear_gaussian(np.eye(1), 0.02 * np.eye(1))
for start, end in BRANCHES:
    if end in MASS:
        size.factor(Quadratic.observation(np.eye(1), 0.02 * np.eye(1), MASS[end]), x[start], name=f"to {end}")
    else:
        size.factor(drift, x[start], x[end], name=f"to {end}")

walk = run(size)
for name, node in x.items():
    mean, sd = float(walk.belief[node].mean), float(walk.belief[node].cov) ** 0.5
    low, high = 10 ** (mean - 1.96 * sd), 10 ** (mean + 1.96 * sd)
    print(f"{name:<13} {10**mean:5.0f} kg, 95 % between {low:.0f} and {high:.0f}")

# %% [markdown]
# With three unknowns the answer can be had from one dense linear system, and it is the same.

# %%
Λ, h = np.zeros((3, 3)), np.zeros(3)
place = {name: k for k, name in enumerate(x)}
Λ[0, 0], h[0] = 1 / 4.0, 1.0 / 4.0
for start, end in BRANCHES:
    i = place[start]
    Λ[i, i] += 1 / 0.02
    if end in MASS:
        h[i] += MASS[end] / 0.02
    else:
        j = place[end]
        Λ[j, j] += 1 / 0.02
        Λ[i, j] = Λ[j, i] = -1 / 0.02
np.testing.assert_allclose([float(walk.belief[n].mean) for n in x], np.linalg.solve(Λ, h))
np.testing.assert_allclose([float(walk.belief[n].cov) for n in x], np.diag(np.linalg.inv(Λ)))

# %% [markdown]
# ## The picture
#
# Left, what is believed of each ancestor. Right, the three messages that meet at the ancestor of the African
# apes, and their product. A message need not sum to one: it is a function of the base, free up to a constant.

# %%
COLOURS = dict(zip(BASES, ("#0072B2", "#CCCCCC", "#E69F00", "#888888"), strict=True))
AT = {
    "great apes": (0, 1.75),
    "african apes": (1, 1.0),
    "hominini": (2, 0.5),
    "human": (3, 0),
    "chimpanzee": (3, 1),
    "gorilla": (3, 2),
    "orangutan": (3, 3),
}

figure, (tree, bars) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained", width_ratios=(3, 2))
for start, end in BRANCHES:
    (x0, y0), (x1, y1) = AT[start], AT[end]
    tree.plot([x0, x0, x1], [y0, y1, y1], color="0.6", lw=1.2, zorder=0)
for name, (u, v) in AT.items():
    if name in SEEN:
        tree.text(u + 0.08, v, f"{name}: {SEEN[name]}", va="center", color="black")
        tree.plot(u, v, "o", color=COLOURS[SEEN[name]])
        continue
    left = u - 0.3
    for base, q in zip(BASES, np.exp(m.belief[name]), strict=True):
        tree.barh(v, 0.6 * q, 0.26, left, color=COLOURS[base], edgecolor="white", linewidth=0.5)
        if q > 0.12:
            ink = "white" if base == "A" else "black"
            tree.text(left + 0.3 * q, v, base, ha="center", va="center", color=ink)
        left += 0.6 * q
    tree.text(u, v + 0.34, name, ha="center", va="center", bbox={"color": "white", "pad": 1})
tree.set(xlim=(-0.6, 4.4), ylim=(3.4, -0.4), title="Posterior of each ancestor's base")
tree.axis("off")

for k, (label, message) in enumerate({**arriving, "their product": belief}.items()):
    own = np.arange(4) + (k - 1.5) * 0.2
    colour = ("#56B4E9", "#0072B2", "#E69F00", "#333333")[k]
    bars.bar(own, np.exp(message - message.max()), 0.18, label=label, color=colour)
bars.set_xticks(range(4), list(BASES))
bars.set(xlabel="base of the African apes' ancestor", ylabel="message (largest = 1)", ylim=(0, 1.35))
bars.set(yticks=(0, 0.5, 1), title="Messages that meet there")
bars.legend(frameon=False, ncols=2, loc="upper center")
bars.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/01_messages_on_a_small_tree.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "01_tree.png", dpi=150)
