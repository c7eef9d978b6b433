# %% [markdown]
# # Decoding a noisy message
#
# Send 600 bits through a channel that flips seven of a hundred, and get all of them back: that takes a code,
# and a way to read it. A low-density parity-check code adds as many bits again, such that small groups of six
# have an even number of ones. It is a factor graph of 1200 variables and 600 parity factors, full of loops;
# exact inference on it is out of reach, and loopy propagation decodes it in milliseconds (Gallager 1963).
# Telephones, satellites and disks do it this way.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass import FactorGraph, Flooding, JunctionTree, MaxProduct, run
from msgpass.codes import (
    BinaryErasure,
    BinarySymmetric,
    Decoder,
    LinearCode,
    error_rates,
    gallager,
    parity_checks,
)
from msgpass.drawing import style

# %% [markdown]
# ## A code is a graph
#
# The Hamming code of seven bits and three checks is small enough to see everything. `parity_checks` adds a
# `Parity` factor for each row of its matrix. Every word is as likely as any other before something arrives:
# 2⁴ words, and each bit is on in half of them.

# %%
hamming = LinearCode([[0, 2, 4, 6], [1, 2, 5, 6], [3, 4, 5, 6]], 7)
g = FactorGraph()
x = g.sequence("x", length=7, states=2)
(checks,) = parity_checks(g, x, hamming)
m = run(g, schedule=JunctionTree())
print(hamming, checks)
assert np.isclose(m.total, 4 * np.log(2))

# %% [markdown]
# What the channel says of each bit is a table of its own. Bit 5 arrives flipped. Exact inference finds it; so
# do loopy messages, though their probabilities are off: evidence comes back around the loops and is counted
# again.

# %%
channel = BinarySymmetric(0.05)
received = hamming.encode([1, 0, 1, 1])
received[5] ^= 1
evidence = channel.log_evidence(received)
exact = Decoder(hamming, schedule=JunctionTree()).decode(evidence)
loopy = Decoder(hamming, schedule=Flooding(order="flood", tol=1e-9)).decode(evidence)
for name, found in (("exact", exact), ("loopy", loopy)):
    print(f"{name}: P(bit is on) {np.exp(found.belief[:, 1]).round(3)}")
    assert hamming.message(found.word).tolist() == [1, 0, 1, 1]

# %% [markdown]
# ## Twelve hundred bits
#
# `gallager` draws a code: each bit is in three checks, each check reads six bits. The message is a picture of
# 24 × 25 pixels, whose 600 bits are some of the 1200 that are sent.

# %%
code = gallager(1200, seed=0)
print(code)
row, column = np.mgrid[1.3:-1.2:24j, -1.3:1.3:25j]
heart = (column**2 + row**2 - 0.8) ** 3 < column**2 * row**3
message = np.zeros(code.dimension, int)
message[:600] = heart.ravel()
sent = code.encode(message)
assert not code.syndrome(sent).any()

rng = np.random.default_rng(3)
channel = BinarySymmetric(0.07)
received = channel.send(sent, rng)
evidence = channel.log_evidence(received)
print(f"{(received != sent).sum()} bits are flipped, {code.syndrome(received).sum()} of {code.m} checks fail")

# %% [markdown]
# In each iteration every check tells each of its bits what the others make of it, and every bit adds up what
# it heard. A message of a parity check over six bits is 2⁵ configurations added up, or a product of five
# numbers: `Parity` never builds the table. Decoding stops at the first word that passes all checks.

# %%
snapshots = {0: received}
for iterations in (4, 8, 50):
    found = Decoder(code, schedule=Flooding(order="flood", max_iter=iterations)).decode(evidence)
    snapshots[found.iterations] = found.word
    wrong = (found.word != sent).sum()
    print(f"{found.iterations:2d} iterations: {wrong:2d} bits are wrong, valid: {found.valid}")
assert found.valid and (found.word == sent).all()

# %% [markdown]
# ## Erasures are exact
#
# A channel may lose bits rather than flip them. What arrives is then certain: a log table with −∞ in it, and
# messages that carry −∞ as it is. Such a decoder can do one thing only, fill in a bit that is the last
# unknown one of a check; and its beliefs end up as 0, 1, or exactly one half. With ε lost, the share x of
# messages that still say nothing obeys, in codes without short loops, x ← ε (1 − (1 − x)⁵)². It dies out
# below a threshold; so it does here, some way below, as 1200 bits are few.


# %%
def stuck(lost, x=1.0):
    """Share of messages without content in the end."""
    for _ in range(5000):
        x = lost * (1 - (1 - x) ** 5) ** 2
    return x


shares = np.linspace(0.3, 0.5, 2001)
threshold = shares[np.array([stuck(s) for s in shares]) < 1e-6].max()
print(f"threshold {threshold:.4f}")
assert abs(threshold - 0.4294) < 5e-4

eraser = Decoder(code, schedule=Flooding(order="flood", max_iter=200))
for lost in (0.36, 0.47):
    erasures = BinaryErasure(lost)
    found = eraser.decode(erasures.log_evidence(erasures.send(sent, rng)))
    on = np.exp(found.belief[:, 1])
    print(f"{lost:.0%} lost: {(on == 0.5).sum()} bits stay unknown after {found.iterations} iterations")
    assert set(on) <= {0.0, 0.5, 1.0}
    assert (found.word == sent)[on != 0.5].all()
    assert (on == 0.5).any() == (lost > threshold)

# %% [markdown]
# ## The cliff
#
# How many words are lost, as a channel gets worse? `error_rates` sends the same messages through each. With
# sums (P of each bit) and with maxima (the best word, "min-sum" to engineers, as its messages need additions
# and minima alone) there is a cliff. For words without end, no code of rate ½ gets past 11 % flips (Shannon),
# and this ensemble gives up at 8.4 % (Richardson and Urbanke 2001); 1200 bits are not without end.

# %%
flips = np.array([0.04, 0.055, 0.065, 0.075, 0.085, 0.1])
channels = [BinarySymmetric(p) for p in flips]
rates = {
    "sum-product": error_rates(Decoder(code), channels, words=20, seed=0),
    "max-product": error_rates(Decoder(code, MaxProduct()), channels, words=20, seed=0),
}
for name, rate in rates.items():
    print(f"{name}: words lost {rate.words}, of which told {rate.detected}")
    assert rate.words[0] == 0 and rate.words[-1] == 1

# %% [markdown]
# A word that is lost is known to be lost: it fails a check. In none of these runs has the channel turned one
# word into another.

# %%
assert all((rate.words == rate.detected).all() for rate in rates.values())

with style():
    figure, axes = plt.subplot_mosaic(
        [["0", "1", "2", "3"], ["cliff"] * 4], figsize=(9, 6), layout="constrained"
    )
    for place, (iterations, word) in zip("0123", snapshots.items(), strict=True):
        ax = axes[place]
        ax.imshow(code.message(word)[:600].reshape(24, 25), cmap="Greys", vmin=0, vmax=1.6)
        ax.set(xticks=[], yticks=[], title="received" if not iterations else f"after {iterations} iterations")
        wrong = np.argwhere(code.message(word != sent)[:600].reshape(24, 25))
        ax.scatter(wrong[:, 1], wrong[:, 0], s=9, marker="s", color="C1")
        ax.set_xlabel(f"{len(wrong)} pixels are wrong")
    ax = axes["cliff"]
    for (name, rate), color in zip(rates.items(), ("C0", "C2"), strict=True):
        ax.plot(flips, rate.words, "o-", color=color, label=name)
    for where, height, text in ((0.084, 0.93, "limit of long codes like this"), (0.11, 0.05, "limit of all")):
        ax.axvline(where, color="0.6", lw=1, ls="--")
        ax.annotate(text, (where, height), xytext=(-4, 0), textcoords="offset points", ha="right")
    ax.set(xlabel="share of bits that the channel flips", ylabel="share of words lost", ylim=(-0.03, 1.03))
    ax.legend(loc="upper left")
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "32_decoding.png", dpi=150)
