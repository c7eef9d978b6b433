# %% [markdown]
# # Where attention sends the gradient
#
# An encoder reads a sentence, a decoder writes another one. Without attention, all that the decoder knows of
# the source has come through one vector, and every message back to the source goes through it too, step by
# step. With attention a decoder step reads the whole source, and its message reaches a source word in one
# step, however far away that word is.
#
# This page trains both on a task where we know which source word each written word depends on, sends the loss
# of one written word back alone, and looks at where it arrives. Then it turns the attention sharper and more
# diffuse, and asks what becomes of the two messages that go through it: *what* to read, and *where*.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rnn import GRU, Attention, CrossEntropy, Embedding, EncoderDecoder, Linear, bptt

# %% [markdown]
# ## The task, and two networks
#
# Write eight letters backwards. Step t depends on source place 7 − t: the first one on its neighbour, the
# last one on a letter that the network read fifteen steps ago. Letters are 1 … 6, and 0 starts the decoder.

# %%
S, LETTERS = 8, 7


def sentences(count, seed):
    """(source, what the decoder reads, what it should write), each (8, count)."""
    source = np.random.default_rng(seed).integers(1, LETTERS, size=(S, count))
    target = source[::-1]
    return source, np.concatenate([np.zeros((1, count), int), target[:-1]]), target


def network(attends):
    rng = np.random.default_rng(0)
    return EncoderDecoder(
        GRU(6, 8, bidirectional=True, random_state=rng),
        GRU(6, 16, random_state=rng),
        Attention("general", 16, 16, random_state=rng) if attends else None,
        context="output",
        source_embedding=Embedding(LETTERS, 6, random_state=rng),
        target_embedding=Embedding(LETTERS, 6, random_state=rng),
        readout=Linear(16, LETTERS, random_state=rng),
        random_state=rng,
    )


with_attention, without = network(True), network(False)
source, inputs, target = sentences(200, seed=1)

# %% [markdown]
# ## Nothing but the state joins decoder steps
#
# Both are graphs. The report of edges says which slices feed which, and how many steps apart: the attention
# of a step reads `all` of the encoder, and what carries anything from one decoder step to the next is the
# decoder's state alone.

# %%
report = with_attention.graph((source, inputs)).edges()
print(report)
carriers = {name for name in report.carriers if name.startswith(("decoder", "attention", "context"))}
assert carriers == {"decoder.h_l0"}
assert {e.source for e in report if e.kind == "all"} == {"keys", "encoder.y_l0"}
assert all(not e.source.startswith("encoder.y") for e in without.graph((source, inputs)).edges())

# %% [markdown]
# ## Training
#
# Adam by hand, on fresh sentences each time: `bptt` gives what arrives at every weight by its key, and the
# graph of a batch is built once and run with new values.


# %%
def train(net, steps=400, rate=0.01):
    mean, square = ({k: np.zeros_like(w) for k, w in net.weights.items()} for _ in range(2))
    for k in range(1, steps + 1):
        x, inputs, target = sentences(32, seed=100 + k)
        m = bptt(net, (x, inputs), CrossEntropy(target, "mean"))
        for key, weight in net.weights.items():
            gradient = m.parameters[key]
            mean[key] += 0.1 * (gradient - mean[key])
            square[key] += 0.001 * (gradient**2 - square[key])
            weight -= rate * (mean[key] / (1 - 0.9**k)) / (np.sqrt(square[key] / (1 - 0.999**k)) + 1e-8)


def right(net):
    """Share of the letters of new sentences that it writes rightly, left to itself."""
    return float((net.generate(source, 0, S).tokens == target).mean())


untrained = network(True)
for net in (with_attention, without):
    train(net)
print(f"written rightly: {right(with_attention):.0%} with attention, {right(without):.0%} without")
assert right(with_attention) > 0.95 > right(without) + 0.2

# %% [markdown]
# ## The loss of one written letter, sent back alone
#
# A label of −1 says nothing, so with all labels but one unknown every message comes from that letter. What
# arrives at the rows of the encoder (`encoder.y_l0`, both directions side by side) has come through the
# attention, for nothing else reads them. We take its size for each pair of written letter and source place.


# %%
def sent_back(net, name):
    """Sizes of ∂(loss of letter t)/∂(row s of ``name``), (t, s), in the mean over sentences."""
    sizes = np.zeros((S, S))
    for t in range(S):
        only = np.full_like(target, -1)
        only[t] = target[t]
        m = bptt(net, (source, inputs), CrossEntropy(only))
        sizes[t] = np.linalg.norm(m.gradient[name], axis=-1).mean(axis=1)
    return sizes


weights = with_attention((source, inputs))[1].mean(axis=1)
arrived = sent_back(with_attention, "encoder.y_l0")
place = S - 1 - np.arange(S)
print("where it looks:     ", weights.argmax(axis=1))
print("where messages go:  ", arrived.argmax(axis=1))
assert (weights.argmax(axis=1) == place).all() and (arrived.argmax(axis=1) == place).all()
shares = arrived / arrived.sum(axis=1, keepdims=True)
likeness = np.corrcoef(weights.ravel(), shares.ravel())[0, 1]
print(f"correlation of attention and of each place's share of the message: {likeness:.2f}")
assert likeness > 0.8

# %% [markdown]
# The message goes where the attention looks: ∂L/∂m_s = a_s ∂L/∂c + (what comes through the scores), and the
# first part is the attention itself times one vector.
#
# ## A long way, and a short one
#
# How large is the message of letter t at the *vector of the letter that it depends on*? Without attention it
# has crossed 2t + 1 states of the decoder and of the encoder's first direction, or eight through the other
# direction, and each is a product with a Jacobian.

# %%
at_letter = {
    name: sent_back(net, "encoder.x")[np.arange(S), place]
    for name, net in (("attention", with_attention), ("untrained", untrained), ("bottleneck", network(False)))
}
fall = {name: sizes[-1] / sizes[0] for name, sizes in at_letter.items()}
print("last letter's message over the first one's:", {k: f"{v:.1e}" for k, v in fall.items()})
assert fall["bottleneck"] < 0.05
assert fall["untrained"] > 10 * fall["bottleneck"] and fall["attention"] > 100 * fall["bottleneck"]

# %% [markdown]
# Before training, the gradient of the network without attention falls by orders of magnitude along the way,
# so that it does not learn the letters that are far. Attention starts out diffuse: each place gets about an
# eighth of the message, but near and far ones alike, and that is what lets it learn to look.
#
# ## Sharp and diffuse
#
# The scores of the trained network are multiplied by a factor: 0 looks everywhere alike, a large one at a
# single place. Two messages pass the attention. One is about *what* was read: row s gets a_s ∂L/∂c. The other
# is about *where* to look: ∂L/∂a crosses the softmax, diag(a) − a aᵀ, and then the factor. `attention` is a
# sequence, so that ∂L/∂a is read as any other message.


# %%
def with_scale(scale):
    made = network(True)
    made.attention = Attention("general", 16, 16, scale=scale)
    made.parts["attention."] = made.attention
    return made.load_state_dict(with_attention.weights)


scales = np.logspace(-2, 2.5, 19)
places, what, where, rare = [], [], [], []
for scale in scales:
    m = bptt(with_scale(scale), (source, inputs), CrossEntropy(target, "mean"))
    a, at_weights = m.forward["attention"], m.gradient["attention"]
    at_scores = scale * a * (at_weights - (a * at_weights).sum(axis=-1, keepdims=True))
    through = np.linalg.norm(at_scores, axis=-1) / np.linalg.norm(at_weights, axis=-1)
    places.append(np.exp(-(a * np.log(np.maximum(a, 1e-300))).sum(axis=-1)).mean())
    what.append(a[np.arange(S), :, place].mean())
    where.append(np.median(through))
    rare.append(np.mean(through > 0.01))
what, where = np.array(what), np.array(where)
print(f"places that share the attention: {places[0]:.1f} diffuse, {places[-1]:.2f} sharp")
print(f"share of the message at the right place: {what[0]:.2f} diffuse, {what[-1]:.2f} sharp")
print(
    f"a step's message about where to look: {where[0]:.4f}, at best {where.max():.2f}, {where[-1]:.1e} sharp"
)
print(f"steps that get one when it is sharp: {rare[-1]:.1%}")
assert abs(places[0] - S) < 0.1 and places[-1] < 1.05
assert abs(what[0] - 1 / S) < 0.02 and what[-1] > 0.9
assert 3 < where.argmax() < 15 and where[0] < 0.02 * where.max() and where[-1] < 1e-6
assert 0 < rare[-1] < 0.1

# %% [markdown]
# A diffuse attention spreads the message: the right place gets an eighth of it, seven wrong ones the rest,
# and the scores hardly matter. A sharp one delivers it to one place; but its softmax is flat, a (1 − a) → 0.
# The typical step then hears nothing about where to look: if it looks at the wrong place, it stays there. The
# few steps that are undecided hear something, multiplied by the factor: gradients that are rare and large. In
# between both messages arrive. Training started from the left and ended in the middle.

# %%
figure, axes = plt.subplots(2, 2, figsize=(8.6, 7.0), layout="constrained")
for ax, values, title in (
    (axes[0, 0], weights, "Where each step looks"),
    (axes[0, 1], shares, "Where its loss arrives (shares)"),
):
    ax.imshow(values, cmap="cividis", vmin=0, vmax=0.8)
    ax.set(xlabel="place in the source", ylabel="written letter", title=title)
ax = axes[1, 0]
for name, label, style in (
    ("bottleneck", "without attention, untrained", {"color": "#56B4E9", "marker": "o"}),
    ("untrained", "with attention, untrained", {"color": "#E69F00", "marker": "^"}),
    ("attention", "with attention, trained", {"color": "#D55E00", "marker": "s"}),
):
    ax.semilogy(np.arange(S), at_letter[name] / at_letter[name][0], label=label, ms=4, lw=1.4, **style)
ax.set(
    xlabel="written letter, from near to far",
    ylabel="size of its message at its source letter\n(that of the first = 1)",
    title="A long way and a short one",
    ylim=(3e-3, 3e3),
)
ax.legend(frameon=False, fontsize=8, loc="upper left")
ax = axes[1, 1]
ax.semilogx(scales, what, color="#009E73", marker="o", ms=4, lw=1.4)
ax.semilogx(
    scales,
    where / where.max(),
    color="#CC79A7",
    marker="s",
    ms=4,
    lw=1.4,
    label="where: at the scores (median)",
)
ax.axvline(1, color="0.6", lw=0.8, ls=":")
ax.text(0.9, 0.97, "as trained", fontsize=8, color="0.4", ha="right")
ax.set(
    xlabel="factor of the scores", ylabel="message", title="Diffuse (left) and sharp (right)", ylim=(0, 1.05)
)
ax.text(330, 0.87, "what (right place)", fontsize=8, color="#009E73", ha="right")
ax.text(330, 0.06, "where (median step)", fontsize=8, color="#CC79A7", ha="right")
for ax in axes[1]:
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/17_where_attention… FOLDER
    figure.savefig(Path(sys.argv[1]) / "17_attention.png", dpi=150)
