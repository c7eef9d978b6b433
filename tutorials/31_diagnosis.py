# %% [markdown]
# # Diagnosis
#
# Two networks that have been used to explain reasoning under uncertainty since the eighties: the chest clinic
# of Lauritzen & Spiegelhalter (1988), eight variables, and ALARM of Beinlich et al. (1989), which watches
# over a patient under anaesthesia. Both have loops. `JunctionTree` groups variables into cliques that make a
# tree, and sends messages over it to the root and back: exact marginals of everything at once.
#
# pgmpy brings the networks as BIF files.

# %%
import gzip
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pgmpy

from msgpass import JunctionTree, MaxProduct, marginal_map, run
from msgpass.drawing import style
from msgpass.errors import ImpossibleEvidenceError
from msgpass.interop.bif import parse_bif

FOLDER = Path(pgmpy.__file__).parent / "utils" / "example_models"


def bundled(name):
    return parse_bif(gzip.decompress((FOLDER / f"{name}.bif.gz").read_bytes()).decode())


def probability(m, name, state):
    """P(name = state) in a run."""
    return float(np.exp(m.belief[name][m.graph.state_names[name].index(state)]))


# %% [markdown]
# ## The chest clinic
#
# A patient is short of breath. Tuberculosis, lung cancer or bronchitis? Evidence is given by the names of
# states; what has been asked of a graph before, its cliques and its tables, is kept.

# %%
asia, exact = bundled("asia"), JunctionTree()
diseases = ("tub", "lung", "bronc")
rows = []
for evidence in (
    {},
    {"dysp": "yes"},
    {"dysp": "yes", "asia": "yes"},
    {"dysp": "yes", "asia": "yes", "smoke": "yes"},
    {"dysp": "yes", "asia": "yes", "smoke": "yes", "xray": "no"},
):
    m = run(asia, schedule=exact, values=evidence)
    rows.append([probability(m, d, "yes") for d in diseases])
    told = ", ".join(f"{k} {v}" for k, v in evidence.items()) or "nothing"
    print(f"{told:42}", *(f"{d} {p:.3f}" for d, p in zip(diseases, rows[-1], strict=True)))
assert rows[1][2] > 0.8  # shortness of breath is bronchitis before anything else
assert rows[2][0] > 4 * rows[1][0]  # a visit to Asia makes tuberculosis likelier
assert rows[4][0] < 0.01 and rows[4][1] < 0.01  # a clear picture rules out both

# %% [markdown]
# The cliques, with what each shares with its parent. A message is a table over a separator.

# %%
m = run(asia, schedule=exact, values={"dysp": "yes"})
print(m.cliques)

# %% [markdown]
# ## Explaining away
#
# Before anything is known, smoking apart, tuberculosis and lung cancer have nothing to do with each other. A
# bad X-ray has one of them as its cause, and then each speaks against the other: a joint query says how much.

# %%
m = run(asia, schedule=exact, values={"xray": "yes"})
joint = np.exp(m.joint(asia["tub"], asia["lung"]))
alone, given = joint[0].sum(), joint[0, 0] / joint[:, 0].sum()
print(f"P(tub | xray) = {alone:.3f}; and given lung cancer, too, {given:.3f}")
assert given < 0.2 * alone

# %% [markdown]
# Not all that can be written down can be: "either" is true where one of the two is. The first observation
# that those before it exclude is named.

# %%
try:
    run(asia, schedule=exact, values={"lung": "yes", "either": "no"}).belief["tub"]
except ImpossibleEvidenceError as problem:
    print(problem)
else:
    raise AssertionError("impossible evidence")

# %% [markdown]
# ## ALARM
#
# 37 variables, 46 arrows: eight things that may be wrong, sixteen instruments, and what lies between. The
# largest clique has five variables. Here is what instruments say one after the other, and what of it follows.

# %%
alarm = bundled("alarm")
faults = {
    "HYPOVOLEMIA": "TRUE",
    "LVFAILURE": "TRUE",
    "ANAPHYLAXIS": "TRUE",
    "INSUFFANESTH": "TRUE",
    "PULMEMBOLUS": "TRUE",
    "INTUBATION": "ONESIDED",
    "KINKEDTUBE": "TRUE",
    "DISCONNECT": "TRUE",
}
findings = [("BP", "LOW"), ("PAP", "HIGH"), ("PCWP", "HIGH"), ("CVP", "HIGH"), ("HRBP", "HIGH")]
evidence, course = {}, []
for name, state in [(None, None), *findings]:
    evidence |= {name: state} if name else {}
    m = run(alarm, schedule=exact, values=evidence)
    course.append([probability(m, f, s) for f, s in faults.items()])
course = np.array(course)
for f, before, after in zip(faults, course[0], course[-1], strict=True):
    print(f"{f:14}{before:8.3f} → {after:.3f}")

# %% [markdown]
# ## What best explains it
#
# Three questions that are easily mixed up: the likeliest state of each fault by itself; the faults of the
# likeliest assignment of all 37 variables (`MaxProduct`); and the likeliest combination of faults, all else
# summed out (`marginal_map`). Here they agree; where they do not, only the last answers "which faults?".

# %%
alone = {f: alarm.state_names[f][int(np.argmax(m.belief[f]))] for f in faults}
best = run(alarm, MaxProduct(), exact, evidence)
whole = {f: alarm.state_names[f][int(best.assignment[f])] for f in faults}
together = marginal_map(alarm, list(faults), evidence)
combined = {f: alarm.state_names[f][int(together.assignment[f])] for f in faults}
for what, states in (("each alone", alone), ("of the best of all", whole), ("together", combined)):
    wrong = [f"{f} {states[f]}" for f in faults if states[f] not in ("FALSE", "NORMAL")]
    print(f"{what:20}", ", ".join(wrong) or "nothing wrong")
posterior = np.exp(together.score - m.total)
print(f"P(these faults | findings) = {posterior:.3f}")
ranked = best.k_best("INTUBATION", 5)
print("the best five assignments:", np.exp(ranked.scores[0] - m.total).round(4))
clamped = run(alarm, schedule=exact, values=evidence | combined)
assert abs(together.score - clamped.total) < 1e-9
assert combined["HYPOVOLEMIA"] == "TRUE" and combined["PULMEMBOLUS"] == "FALSE"

# %% [markdown]
# ## Where to look next
#
# Back to the moment when only the first two findings were in. What is an instrument worth that has not been
# read yet? Its mutual information with the fault in question, which their joint distribution has:
# I = Σ p(a, b) log p(a, b) / (p(a) p(b)), in bits.

# %%
early = dict(findings[:2])
m = run(alarm, schedule=exact, values=early)
suspect = "HYPOVOLEMIA"
instruments = ["CVP", "PCWP", "HRBP", "HREKG", "HRSAT", "SAO2", "EXPCO2", "MINVOL", "PRESS", "HISTORY"]


def information(m, a, b):
    p = np.exp(m.joint(m.graph[a], m.graph[b]))
    apart = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    return float((p[p > 0] * np.log2(p[p > 0] / apart[p > 0])).sum())


bits = {i: information(m, i, suspect) for i in instruments}
ordered = sorted(bits, key=bits.__getitem__)
print(f"about {suspect}:", ", ".join(f"{i} {bits[i]:.3f}" for i in reversed(ordered[-4:])))
assert ordered[-1] == "PCWP"

# %% [markdown]
# The same number from another road: the entropy of the suspect now, less what remains of it on average once
# the instrument has been read.


# %%
def entropy(m):
    return float(-(np.exp(m.belief[suspect]) * m.belief[suspect] / np.log(2)).sum())


i = ordered[-1]
left = sum(
    probability(m, i, state) * entropy(run(alarm, schedule=exact, values=early | {i: state}))
    for state in alarm.state_names[i]
)
np.testing.assert_allclose(entropy(m) - left, bits[i], atol=1e-9)

# %% [markdown]
# ## The picture
#
# Left, how the faults' probabilities move as findings come in; right, what each instrument would tell.

# %%
with style():
    figure, (left_axis, right_axis) = plt.subplots(
        1, 2, figsize=(10, 4.2), layout="constrained", gridspec_kw={"width_ratios": [1.5, 1]}
    )
    steps = np.arange(len(course))
    for f, line in zip(faults, course.T, strict=True):
        moved = np.ptp(line) > 0.05
        left_axis.plot(
            steps,
            line,
            marker="o",
            lw=2 if moved else 1,
            label=f if moved else None,
            color=None if moved else "0.8",
        )
    left_axis.set_xticks(steps, ["before", *(f"{n}\n{s}" for n, s in findings)])
    left_axis.set(ylabel="probability given the findings so far", ylim=(0, 1), title="ALARM: faults")
    left_axis.legend(title="grey: hardly move")
    right_axis.barh(ordered, [bits[i] for i in ordered])
    right_axis.set(xlabel="bits", title=f"After two: what a reading tells\nabout {suspect}")
    if len(sys.argv) > 1:
        figure.savefig(Path(sys.argv[1]) / "31_diagnosis.png", dpi=150)
