# %% [markdown]
# # The states of letters
#
# Markov himself began with letters: he counted vowels and consonants in *Eugene Onegin*. Cave and Neuwirth
# (1980) turned it round. Nobody told their hidden Markov model what a vowel is; it was shown nothing but text
# and found out. Here the text is Lincoln's address at Gettysburg, 1420 letters and blanks.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import msgpass.data
from hmm import CategoricalHMM

series = msgpass.data.load("letters")
letters, names = series.values, np.array(series.categories)
M = len(names)
print("".join(names[letters[:62]]))

# %% [markdown]
# ## Two states
#
# EM finds a top, not the highest one, so it starts ten times and keeps the best. What a state emits can be
# read: in one of them nearly all vowels, in the other nearly no vowels.

# %%
two = CategoricalHMM(2, n_init=10, random_state=0, tol=1e-5).fit(letters)
share = two.emissionprob_ / two.emissionprob_.sum(axis=0)  # P(state | letter), states equally often
e = int(two.emissionprob_[:, list(names).index("e")].argmax())
ordered = names[np.argsort(-share[e])]
print(f"state {e}:", " ".join(n for n in ordered if share[e, list(names).index(n)] > 0.5))
print(f"state {1 - e}:", " ".join(n for n in ordered if share[e, list(names).index(n)] <= 0.5))
vowels = set("aeio_")
assert all(share[e, list(names).index(v)] > 0.9 for v in vowels)
assert sum(share[1 - e, list(names).index(c)] > 0.9 for c in "bcdfglmnprstvw") >= 12
print("P(next is of the other kind):", (1 - np.diagonal(two.transmat_)).round(2))

# %% [markdown]
# (The blank counts as a vowel: both stand between consonants.)
#
# ## How many states?
#
# A letter costs log₂ 24 = 4.6 bits if nothing is known, and 4.05 bits if its frequency is. Every state more
# makes the text cheaper; Schwarz's criterion asks whether it pays for its parameters, and for so short a text
# it thinks that few do. On letters that no model has seen, it is right: the last third of the address.

# %%
seen, unseen = letters[:950], letters[950:]
frequency = (np.bincount(seen, minlength=M) + 1) / (len(seen) + M)
print(f"by frequency alone: {-np.log2(frequency[unseen]).mean():.3f} bits a letter")
bits = {}
for K in (1, 2, 3, 4, 6):
    # A little of everything, so that no letter is impossible in any state.
    settings = {"n_features": M, "emissionprob_prior": 1.1, "n_init": 6, "random_state": 0, "tol": 1e-3}
    model = CategoricalHMM(K, **settings).fit(seen)
    bits[K] = -model.score(unseen) / len(unseen) / np.log(2)
    print(f"{K} states: {bits[K]:.3f} bits a letter not seen before, BIC {model.bic(seen):.0f}")
assert bits[2] < bits[1] - 0.05 and bits[3] < bits[1]

# %% [markdown]
# ## Saying what one knows
#
# States have no names: that the vowels are state 0 here and state 1 there is chance. Where some states are
# known they can be given, −1 for the others, and the rest is learned around them. The first two lines are
# enough to fix the names.

# %%
known = np.full(len(letters), -1)
known[:120] = np.where(np.isin(names[letters[:120]], list("aeiou_")), 0, 1)
for seed in range(3):
    named = CategoricalHMM(2, random_state=seed, tol=1e-4).fit(letters, labels=known)
    likelier = named.emissionprob_.argmax(axis=0)
    print("state 0:", " ".join(names[likelier == 0]))
    assert all(likelier[list(names).index(v)] == 0 for v in vowels)

# %% [markdown]
# ## What comes next?
#
# The filter of the text so far, carried one step on, says what letter to expect. After "th" it is not hard to
# guess with a longer memory, but two states only know that a vowel or a blank is due.

# %%
text = "".join(names[letters])
at = text.index("nation") + 1
ahead = two.forecast(letters[:at], steps=1)
best = np.argsort(-ahead.probabilities[0])[:4]
print(f"after …{text[at - 9 : at]}:", ", ".join(f"{names[k]} {ahead.probabilities[0, k]:.2f}" for k in best))
assert names[best[0]] in vowels

# %% [markdown]
# ## The picture

# %%
order = np.argsort(-share[e])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", width_ratios=(2, 3))
left.barh(np.arange(M), share[e, order], color="#D55E00", alpha=0.8)
left.barh(np.arange(M), -share[1 - e, order], color="#0072B2", alpha=0.8)
left.set_yticks(np.arange(M), names[order], fontsize=8)
left.invert_yaxis()
left.set(xlim=(-1.05, 1.05), xticks=[-1, 0, 1], xticklabels=["1", "0", "1"], title="P(state | letter)")
stretch = slice(0, 62)
posterior = two.predict_proba(letters)[stretch, e]
gap = 0.12  # room for the letters
right.bar(np.arange(62), posterior, bottom=gap, color="#D55E00", alpha=0.8)
right.bar(np.arange(62), posterior - 1, bottom=-gap, color="#0072B2", alpha=0.8)
for t, name in enumerate(names[letters[stretch]]):
    right.text(t, 0, name, ha="center", va="center", fontsize=8, family="monospace")
right.set(ylim=(-1.15, 1.15), xlim=(-1, 62), yticks=[], xticks=[], title="P(state | text) of the first words")
for axes in (left, right):
    axes.spines[["top", "right", "left"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/07_the_states_of_letters.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "07_letters.png", dpi=150)
