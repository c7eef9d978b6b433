# %% [markdown]
# # A character model
#
# Given all characters so far, which one comes next? A table can answer from the last few: it counts what has
# followed them before. With every character more that it looks at, the table grows and its cells become
# rarer. A recurrent network carries a state instead, and nobody says how far back it looks. Both are measured
# here by perplexity, the number of characters between which the model hesitates as if they were equally
# likely.

# %%
import re
import sys
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnn import GRU, CrossEntropy, Embedded, Embedding, Linear, fit
from rnn.learning_rates import Cosine, Warmup

# %% [markdown]
# ## The text
#
# Python brings its language reference with it, for `help()`: some 400 000 characters. White space is made
# one blank, capitals small, and what is rarer than fifty is left out. The last twentieth is kept for tests.

# %%
text = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics))).lower()[:430_000]
alphabet = sorted(char for char, count in Counter(text).items() if count >= 50)
code = {char: k for k, char in enumerate(alphabet)}
tokens = np.array([code[char] for char in text if char in code])
K = len(alphabet)
train, test = np.split(tokens, [int(0.95 * len(tokens))])
print(f"{len(tokens)} characters, {K} different: {''.join(alphabet)}")

# %% [markdown]
# ## Tables
#
# An n-gram model predicts from the n − 1 characters before. Where these have been seen c times, followed by
# d different characters, Witten and Bell's (1991) estimate trusts the table by c / (c + d), and for the rest
# the model that looks at one character less. Up to n = 5 a longer memory helps; beyond, the cells are too
# rare to be trusted.


# %%
def n_grams(train, test, order):
    """p(next character) at each place of the test text from `order` on, and the cells of the table."""
    p = np.full(len(test) - order, 1 / K)
    cells = 0
    for n in range(1, order + 1):
        place = K ** np.arange(n)[::-1]  # n characters as one number
        seen, count = np.unique(sliding_window_view(train, n) @ place, return_counts=True)
        contexts, first = np.unique(seen // K, return_index=True)
        total, kinds = np.add.reduceat(count, first), np.diff([*first, len(seen)])
        asked = sliding_window_view(test, n)[order - n + 1 :] @ place
        c, d = look(contexts, total, asked // K), look(contexts, kinds, asked // K)
        p = (look(seen, count, asked) + d * p) / np.maximum(c + d, 1) + (c + d == 0) * p
        cells = len(seen)
    return p, cells


def look(keys, values, asked):
    """The values of keys, 0 where there is none."""
    where = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[where] == asked, values[where], 0)


SKIPPED = 10  # all models are measured on the same characters
tables = {}
for order in range(1, 8):
    p, cells = n_grams(train, test[SKIPPED - order :], order)
    tables[order] = np.exp(-np.log(p).mean())
    print(f"{order}-grams: perplexity {tables[order]:5.2f}, {cells} cells")

# %% [markdown]
# ## A network
#
# Each character becomes a vector, a GRU reads the vectors, and a linear readout says how likely each next
# character is. The text is cut into windows of a hundred characters, which are shuffled and taken 16 at a
# time; each begins with an empty state. The learning rate rises for a fifth of an epoch and falls along a
# cosine; gradients longer than 1 are cut.

# %%
WINDOW, HIDDEN, EPOCHS = 100, 96, 8
net = Embedded(
    Embedding(K, 24, dtype="float32", random_state=0),
    GRU(24, HIDDEN, batch_first=True, dtype="float32", random_state=1),
)
readout = Linear(HIDDEN, K, dtype="float32", random_state=2)
n = (len(train) - 1) // WINDOW
x, y = (train[k : k + n * WINDOW].reshape(n, WINDOW) for k in (0, 1))


def log_p(x, y, state=None):
    """log p of the characters y, each after the characters of x up to it."""
    z = readout(net(x, state)[0]).astype(float)
    z -= z.max(axis=-1, keepdims=True)
    return np.take_along_axis(z, y[..., None], axis=-1)[..., 0] - np.log(np.exp(z).sum(axis=-1))


course = []


def watch(report):
    """After each epoch: the test text as one sequence, with a state that is never emptied."""
    course.append((np.exp(report.loss), np.exp(-log_p(test[:-1], test[1:])[SKIPPED - 1 :].mean())))
    print(f"epoch {report.epoch + 1}: perplexity {course[-1][0]:.2f}, on the test text {course[-1][1]:.2f}")


history = fit(
    net,
    x,
    CrossEntropy(y, "mean", readout),
    "adam",
    lr=Warmup(Cosine(0.015, EPOCHS), 0.2),
    n_iter=EPOCHS,
    tol=None,
    batch_size=16,
    clip_norm=1.0,
    callbacks=watch,
)
weights = sum(w.size for w in (*net.weights.values(), *readout.weights.values()))
print(history)
print(f"{weights} weights, perplexity {course[-1][1]:.2f}; 4-grams {tables[4]:.2f}")
assert course[-1][1] < tables[4] < tables[3] < tables[2]

# %% [markdown]
# The network comes out between the tables of 4-grams and of 5-grams, with about as many numbers as these
# have cells, and after reading the text eight times. A table reads it once.

# %% [markdown]
# ## How far back it looks
#
# Windows that begin at many places of the test text show how the guess improves with each character that is
# read. A table of order n stands still after n − 1. The network, which remembers by what it has
# learned to keep, gains for a dozen characters and more.

# %%
starts = np.arange(0, len(test) - WINDOW - 1, 10)
windows = test[starts[:, None] + np.arange(WINDOW + 1)]
by_place = -log_p(windows[:, :-1], windows[:, 1:]).mean(axis=0)
edges = np.array([0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 24, 36, 60, WINDOW])
by_span = np.exp(np.add.reduceat(by_place, edges[:-1]) / np.diff(edges))
early, middle, late = (by_span[np.searchsorted(edges, read)] for read in (3, 11, 60))
print(f"after 4 characters {early:.2f}, after 12 to 16 {middle:.2f}, after 61 to 100 {late:.2f}")
assert early > middle > late

# %% [markdown]
# ## What it writes
#
# One character at a time, drawn from what the network expects and given back to it as the next input.
# Dividing the logarithms by a temperature below 1 makes it more careful.


# %%
def write(start, length, temperature=0.6, seed=0):
    """The start, and what the network makes of it."""
    rng = np.random.default_rng(seed)
    output, state = net(np.array([code[char] for char in start]))
    written = start
    for _ in range(length):
        z = readout(output[-1]).astype(float) / temperature
        p = np.exp(z - z.max())
        token = rng.choice(K, p=p / p.sum())
        written += alphabet[token]
        output, state = net(np.array([token]), state)
    return written


sample = write("the function ", 300)
print(sample)
words = set(re.findall("[a-z]{3,}", "".join(alphabet[k] for k in train)))
known = [word in words for word in re.findall("[a-z]{3,}", sample)]
print(f"{np.mean(known):.0%} of its words of three letters and more are in the text")
assert np.mean(known) > 0.5

# %% [markdown]
# ## The figure
#
# Left: the course of training, beside the tables. Right: perplexity by the number of characters that have
# been read. The best table needs more cells than the network has weights, and a longer one is worse.

# %%
BLUE, ORANGE, GREY = "#2a6fbb", "#d9822b", "#9a9a9a"
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
epochs = np.arange(1, EPOCHS + 1)
axes[0].plot(epochs, [c[0] for c in course], "o-", color=GREY, label="network, training windows")
axes[0].plot(epochs, [c[1] for c in course], "o-", color=BLUE, label="network, test text")
for order in (3, 4, 5):
    axes[0].axhline(tables[order], color=ORANGE, lw=1)
    axes[0].annotate(f"{order}-grams", (1, tables[order]), va="bottom", color=ORANGE, fontsize=9)
axes[0].set(xlabel="epoch", ylim=(3, 8))
axes[0].set_title("Perplexity in training", loc="left", fontsize=11)
axes[1].loglog((edges[:-1] + 1 + edges[1:]) / 2, by_span, "o-", color=BLUE, label="network")
axes[1].loglog(np.arange(1, 7), [tables[o] for o in range(2, 8)], "o-", color=ORANGE, label="n-grams")
axes[1].set(xlabel="characters read")
axes[1].set_title("Perplexity on the test text", loc="left", fontsize=11)
axes[1].set_yticks([3, 4, 6, 10, 20], labels=["3", "4", "6", "10", "20"])
axes[1].set_xticks([1, 3, 10, 30, 100], labels=["1", "3", "10", "30", "100"])
axes[1].minorticks_off()
for ax in axes:
    ax.legend(frameon=False, fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/15_a_character_model.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "15_character_model.png", dpi=150)
