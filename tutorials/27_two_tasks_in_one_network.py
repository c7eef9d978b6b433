# %% [markdown]
# # Two tasks in one network
#
# A network that learns two things at once is pulled in two directions. Each task has a gradient of its own at
# the weights that both share; their sum is what training follows, and the louder task has the say. This page
# gives a small network two tasks that want opposite things, looks at where and when they pull apart, and then
# follows better directions than the sum.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rnn import RNN, Linear, Several, SquaredError, bptt, fit
from rnn.multitask import MGDA, CAGrad, ConflictRecorder, PCGrad, conflicts, task_gradients

# %% [markdown]
# ## Remember everything, remember nothing
#
# The input is a row of steps ±1. The first task is to say where the walker is: the sum of all steps so far.
# That takes units that forget nothing. The second is to say which step was the last but one: that takes a
# unit that forgets at once. The state has three numbers for both. And the first task has larger units, so
# that its loss is 36 times as loud.

# %%
T, B, H, LOUD = 30, 40, 3, 6.0
x = np.random.default_rng(0).choice([-1.0, 1.0], size=(T, B, 1))
walk = np.cumsum(x, axis=0) / np.sqrt(T)
before = np.zeros_like(x)
before[1:] = x[:-1]


def start(seed):
    """The network and its loss, as they are before training."""
    heads = {"walk": Linear(H, 1, random_state=100 + seed), "before": Linear(H, 1, random_state=200 + seed)}
    losses = (
        SquaredError(target, readout=heads[task], task=task, reduction="mean")
        for task, target in (("walk", LOUD * walk), ("before", before))
    )
    return RNN(1, H, random_state=seed), Several(*losses)


scale = np.array([LOUD**2 * np.mean(walk**2), np.mean(before**2)]) / 2  # the loss of saying 0

# %% [markdown]
# ## Two gradients from one sweep
#
# The losses have names, so one backward pass carries two messages where it would carry one. What arrives at
# the weights is a gradient for each task, the same as from two separate runs, and their sum is the gradient
# of the sum.

# %%
net, loss = start(2)
found = task_gradients(net, x, loss)
print(found)
for one in loss.losses:
    alone = bptt(net, x, one).parameters["weight_hh_l0"]
    np.testing.assert_allclose(found.by_task[one.task]["weight_hh_l0"], alone, rtol=1e-9, atol=1e-12)
both = sum(found.by_task[task]["weight_hh_l0"] for task in found.tasks)
np.testing.assert_allclose(both, found.messages.parameters["weight_hh_l0"], rtol=1e-9, atol=1e-12)

# %% [markdown]
# ## Where they pull apart, and when
#
# Early on the two are now for, now against each other. The more has been learned, the more it is that what
# one gains the other loses. After a while of training on the sum, the report says at which weights the
# gradients point away from each other, and which time steps that comes from: g_a · g_b is a sum over steps,
# and the negative terms are the conflict.

# %%
recorder = ConflictRecorder(x, loss, every=10)
settings = {"optimizer": "adam", "tol": None, "progress": False}
history = fit(net, x, loss, lr=0.003, n_iter=600, callbacks=recorder, **settings)
report = conflicts(net, x, loss)
print(report)
pair = report["walk", "before"]
assert pair.conflicting and report["walk", "before", "weight_hh_l0"].conflicting
np.testing.assert_allclose(pair.by_step.sum(), pair.dot, rtol=1e-9)
cosines = recorder.cosines()[:, 0, 1]
assert cosines[-20:].max() < -0.3

# %% [markdown]
# ## Surgery
#
# Three ways to make one direction of two.
#
# PCGrad takes from each gradient what goes against the other. MGDA takes the shortest vector between the two,
# here after they were brought to one length: it lowers both losses, or stops where that cannot be done.
# CAGrad stays within a ball around the mean and does as much as it can there for the task that gains least.

# %%
gradients = report.gradients.matrix()
a, b = gradients
for method in (PCGrad(), MGDA(normalise=True), CAGrad(0.5)):
    d = method(gradients).direction
    with_a, with_b = (d @ g / np.linalg.norm(d) / np.linalg.norm(g) for g in (a, b))
    print(f"{method}: cosine with walk {with_a:+.2f}, with before {with_b:+.2f}")
    assert d @ b > gradients.mean(axis=0) @ b
    assert isinstance(method, CAGrad) or min(d @ a, d @ b) > 0

# %% [markdown]
# Now train with each, from five starts, and see how much of either task is left unlearned (its loss over that
# of always saying 0).

# %%
methods = {"sum": None, "PCGrad": PCGrad(), "MGDA": MGDA(normalise=True), "CAGrad": CAGrad(0.5)}
left_over = {name: [] for name in methods}
for name, surgery in methods.items():
    for seed in range(10, 15):
        net, loss = start(seed)
        fit(net, x, loss, lr=0.02, n_iter=300, surgery=surgery, **settings)
        totals = task_gradients(net, x, loss).totals
        left_over[name].append([totals["walk"], totals["before"]] / scale)
ends = {name: np.mean(found, axis=0) for name, found in left_over.items()}
worst = {name: np.mean(np.max(found, axis=1)) for name, found in left_over.items()}
for name, (walked, said) in ends.items():
    print(f"{name:7s} leaves: walk {walked:.1%}, before {said:.1%}; the worse of a run {worst[name]:.1%}")

# %% [markdown]
# The sum has served the loud task. PCGrad and CAGrad leave much less undone at the worse of the two, and take
# little or nothing from the other. MGDA, which does not care which is loud, lets the quiet task have the
# whole network as soon as it can lower its loss without raising the other's.

# %%
assert max(worst["PCGrad"], worst["CAGrad"]) < 0.5 * worst["sum"]
assert worst["MGDA"] < worst["sum"]
assert ends["sum"][0] < ends["sum"][1] and ends["MGDA"][1] < ends["MGDA"][0]

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.4, 3.6), layout="constrained")
left.plot(recorder.epochs, recorder.cosines()[:, 0, 1], color="#0072b2", lw=1.6, label="all shared weights")
left.plot(
    recorder.epochs, recorder.cosines("weight_ih_l0")[:, 0, 1], color="#d55e00", lw=1.1, label="input weights"
)
left.plot(
    recorder.epochs,
    recorder.cosines("weight_hh_l0")[:, 0, 1],
    color="#009e73",
    lw=1.1,
    label="recurrent weights",
)
left.axhline(0, color="#6b6b6b", lw=0.6)
left.set(xlabel="epoch", ylabel="cosine", title="Between the tasks' gradients", ylim=(-1.05, 1.05))
left.legend(frameon=False)
middle.bar(np.arange(T), pair.by_step, color=np.where(pair.by_step < 0, "#d55e00", "#0072b2"))
middle.axhline(0, color="#6b6b6b", lw=0.6)
middle.set(xlabel="step", ylabel="share of g · g′", title="Which steps the conflict comes from")
places = np.arange(len(methods))
for k, (task, shade) in enumerate((("walk", "#0072b2"), ("before", "#d55e00"))):
    right.bar(places + 0.4 * k - 0.2, [ends[name][k] for name in methods], 0.38, color=shade, label=task)
right.set_xticks(places, list(methods))
right.set(ylabel="share not learned", title="After 300 epochs, mean of five starts")
right.legend(frameon=False)
for axes in (left, middle, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/27_two_tasks_in_one_network.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "27_two_tasks.png", dpi=150)
