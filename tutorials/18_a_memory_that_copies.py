# %% [markdown]
# # A memory that copies
#
# A network is shown some rows of bits, then a mark, and must say the rows again, in order, while its input is
# empty. All that is said must have been kept. A plain recurrent network has to keep it in h, which every step
# multiplies and squashes. A Neural Turing Machine (Graves, Wayne & Danihelka 2014) has slots beside it: a
# write head puts rows there, a read head fetches them, and where nobody writes a slot stays as it is.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from msgpass.drawing import FIRST, GREY, SECOND, THIRD, style
from rnn import RNN, BinaryCrossEntropy, Linear, Memory, bptt, diagnose, fit
from rnn.diagnose import diagnosis, focus

BITS, LONGEST = 3, 4
rng = np.random.default_rng(3)

# %% [markdown]
# ## The task
#
# Sequences of one to four rows; a last channel carries the mark. Targets of steps before the answer are NaN:
# nothing is wanted there. The batch is ragged, so `lengths` goes with it.


# %%
def copies(rows: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Inputs, targets and length of one sequence, padded to ``steps``."""
    n = len(rows)
    x, y = np.zeros((steps, BITS + 1)), np.full((steps, BITS), np.nan)
    x[:n, :BITS], x[n, BITS], y[n + 1 : 2 * n + 1] = rows, 1, rows
    return x, y, 2 * n + 1


def batch(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random sequences of the given numbers of rows: (T, B, 4), (T, B, 3), (B,)."""
    steps = 2 * int(max(sizes)) + 1
    made = [copies(rng.integers(0, 2, (n, BITS)), steps) for n in sizes]
    x, y, lengths = (np.stack(part) for part in zip(*made, strict=True))
    return x.swapaxes(0, 1), y.swapaxes(0, 1), lengths


x, y, lengths = training = batch(np.repeat(np.arange(1, LONGEST + 1), 80))

# %% [markdown]
# ## The network
#
# An LSTM of twenty units sees the input and what was read a step ago. Beside it lie eight slots of six
# numbers, with one head to write and one to read. A head finds its slot by content, or by moving one slot on
# from where it was; all of it is smooth, so that messages cross it. Each weighting and each slot at each
# step is a sequence of the factor graph, as h is.

# %%
net = Memory(BITS + 1, 20, slots=8, width=6, random_state=0)
readout = Linear(net.output_size, BITS, random_state=1)
settings = {"n_iter": 38, "batch_size": 16, "lr": 0.02, "clip_norm": 1.0, "tol": None, "random_state": 0}
loss = BinaryCrossEntropy(y, "mean", readout)
history = fit(net, x, loss, "adam", lengths=lengths, progress=False, **settings)
print(f"loss a bit {history.losses[0]:.3f} → {history.best:.5f}")
assert history.best < 0.01


def share_right(sizes: np.ndarray) -> float:
    """Bits of the answer that are right, on new sequences."""
    x, y, lengths = batch(sizes)
    said, _ = net(x, lengths=lengths)
    asked = ~np.isnan(y)
    return float(((readout(said) > 0) == (y > 0.5))[asked].mean())


for n in range(1, LONGEST + 3):
    seen = "" if n <= LONGEST else "  (longer than any it was trained on)"
    print(f"{n} rows: {share_right(np.full(200, n)):.1%} of the bits{seen}")
assert all(share_right(np.full(200, n)) > 0.95 for n in range(1, LONGEST + 1))

# %% [markdown]
# ## Where the heads look
#
# One sequence of four rows. While it listens, the write head moves from slot to slot; while it answers, the
# read head goes over the same slots in the same order. Nobody told it so: both heads found the procedure by
# following gradients.

# %%
x, y, lengths = batch(np.array([LONGEST]))
m = bptt(net, x, BinaryCrossEntropy(y, "sum", readout))
writing, reading = m.forward["w_write"][:, 0, 0], m.forward["w_read"][:, 0, 0]
written, fetched = writing[:LONGEST].argmax(axis=1), reading[LONGEST + 1 :].argmax(axis=1)
print("rows are written to slots", written.tolist(), "and read from", fetched.tolist())
assert (written == fetched).all()

# %% [markdown]
# ## What comes back
#
# The message at a slot, ∂L/∂M_t, is what the answer still wants of it. What is written multiplies a slot by
# 1 − w e, so that where the heads do not write, the message of one step is that of the next plus what the
# read head adds: it neither shrinks nor grows on its way to the step that wrote. The message at r_t goes to
# the slots as w_read · ∂L/∂r_t (and a little through the addressing by content). A head that spreads over
# all N slots sends each 1/N of it, which is the price of looking everywhere: a signal that is dispersed, not
# one that has vanished through time.

# %%
sharp, diffuse = focus(reading[LONGEST + 1 :]), focus(np.full((1, 8), 1 / 8))
print("while it answers, the trained head", repr(sharp).strip("<>").removeprefix("Focus: "))
print("a head that looks everywhere     ", repr(diffuse).strip("<>").removeprefix("Focus: "))
assert (sharp.largest > 5 * diffuse.largest).all()

# %% [markdown]
# ## Three paths
#
# The transported Jacobian from the last step back, along each part of the state: the slots, the LSTM's c and
# its h. Beside them a plain network of 24 units that was trained on the same task. Over so few steps none of
# them vanishes, but the slots lose least.

# %%
plain = RNN(BITS + 1, 24, random_state=0)
alone = BinaryCrossEntropy(training[1], "mean", Linear(24, BITS, random_state=1))
fit(plain, training[0], alone, "adam", lengths=training[2], progress=False, **settings)
d = diagnosis(m)
other = diagnose(plain, x, BinaryCrossEntropy(y, "sum", alone.readout))
carried = {
    "memory": d.paths["memory"],
    "LSTM, c": d.paths["c"],
    "LSTM, h": d.paths["h"],
    "plain": other.norms,
}
for name, path in carried.items():
    print(f"{name:8}: after {len(path) - 1} steps a message is {path[-1]:.2g} times as long")
assert carried["memory"][-1] > carried["LSTM, h"][-1]

# %%
at_memory = np.linalg.norm(m.gradient["memory"][:, 0], axis=2)
with style():
    figure, axes = plt.subplots(2, 2, figsize=(7.5, 4.2), layout="constrained")
    for ax, picture, title in (
        (axes[0, 0], writing, "Where it writes"),
        (axes[0, 1], reading, "Where it reads"),
        (axes[1, 0], at_memory, "Message at each slot, |∂L/∂M|"),
    ):
        ax.imshow(picture.T, aspect="auto", cmap="Blues", origin="lower")
        ax.axvline(LONGEST, color=SECOND, linewidth=0.8)
        ax.set(title=title, ylabel="slot", xlabel="step")
    for (name, path), colour in zip(carried.items(), (FIRST, THIRD, GREY, SECOND), strict=True):
        axes[1, 1].plot(path, color=colour, label=name)
    axes[1, 1].set(title="What comes through k steps", xlabel="lag k", yscale="log")
    axes[1, 1].legend(loc="upper left")
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "a_memory_that_copies.png", dpi=150)
