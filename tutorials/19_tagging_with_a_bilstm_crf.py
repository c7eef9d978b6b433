# %% [markdown]
# # Tagging with a BiLSTM-CRF
#
# Where does a word end when nobody writes the blanks? Chinese is written that way; here blanks are taken
# out of English, which everybody can check. Every letter gets a tag: it **B**egins a word, is **I**nside
# one, **E**nds one, or is a word by itself, **S**. The text is Python's own documentation, which every
# Python brings along.

# %%
import re
import sys
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

from rnn import LSTM, CRFTagger, CrossEntropy, Linear, bptt, fit

text = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)))
phrases: dict[str, None] = {}
for run in re.findall(r"(?:\b[a-z]+ ){6,}", text):
    words = run.split()
    while words:
        phrase: list[str] = []
        while words and sum(map(len, phrase)) < 35:
            phrase.append(words.pop(0))
        if sum(map(len, phrase)) >= 20:
            phrases[" ".join(phrase)] = None
order = np.random.default_rng(0).permutation(len(phrases))
lines = [list(phrases)[k].split() for k in order]
train, test = lines[:500], lines[-400:]
print(f"{len(lines)} phrases, such as", "".join(test[0]))

# %% [markdown]
# Phrases differ in length, so a batch is padded and `lengths` says where each ends. Letters go in as they
# are, one of 26.

# %%
TAGS = B, I, E, S = range(4)


def tags_of(word: str) -> list[int]:
    """Tags of a word's letters."""
    return [S] if len(word) == 1 else [B, *[I] * (len(word) - 2), E]


def arrays(lines: list[list[str]]):
    """Letters (T, B, 26), tags (T, B), lengths (B,)."""
    lengths = np.array([sum(map(len, words)) for words in lines])
    x = np.zeros((lengths.max(), len(lines), 26), np.float32)
    y = np.full(x.shape[:2], -1)
    for b, words in enumerate(lines):
        for t, letter in enumerate("".join(words)):
            x[t, b, ord(letter) - ord("a")] = 1
        y[: lengths[b], b] = [tag for word in words for tag in tags_of(word)]
    return x, y, lengths


x, y, lengths = arrays(train)
x_test, y_test, n_test = arrays(test)

# %% [markdown]
# ## One letter at a time
#
# A bidirectional LSTM reads the whole phrase before it says anything, so each letter's tag is an informed
# guess. But each is a guess of its own: nothing makes neighbours agree. B can be followed by I and E only,
# and a softmax a letter does not know it.

# %%
ALLOWED = np.zeros((4, 4), bool)
ALLOWED[B, [I, E]] = ALLOWED[I, [I, E]] = ALLOWED[E, [B, S]] = ALLOWED[S, [B, S]] = True
SETTINGS = {"n_iter": 65, "tol": None, "lr": 0.02, "lengths": lengths, "progress": False}


def words_in(tags) -> set[tuple[int, int]]:
    """(first, last) letter of every word that a tagging has."""
    found, first = set(), 0
    for t, tag in enumerate(tags):
        first = t if tag in (B, S) else first
        if tag in (E, S):
            found.add((first, t))
    return found


def judge(tagging) -> tuple[float, float]:
    """(F1 of words, share of phrases that contradict themselves)."""
    hits = found = wanted = broken = 0
    for b, n in enumerate(n_test):
        own, right = words_in(tagging[:n, b]), words_in(y_test[:n, b])
        hits, found, wanted = hits + len(own & right), found + len(own), wanted + len(right)
        broken += not ALLOWED[tagging[: n - 1, b], tagging[1:n, b]].all()
    return 2 * hits / (found + wanted), broken / len(test)


def per_letter(labels):
    """Tags of the test phrases by a BiLSTM and a softmax a letter."""
    net = LSTM(26, 24, bidirectional=True, dtype="float32", random_state=0)
    readout = Linear(48, 4, dtype="float32", random_state=1)
    fit(net, x, CrossEntropy(labels, "mean", readout=readout), "adam", **SETTINGS)
    output, _ = net(x_test, lengths=n_test)
    return readout(output).argmax(axis=-1)


alone = judge(per_letter(y))
print(f"a softmax a letter: F1 {alone[0]:.3f}, {alone[1]:.0%} of phrases contradict themselves")
assert alone[1] > 0.3

# %% [markdown]
# ## A chain of tags on top
#
# A conditional random field scores whole taggings: the network's scores, plus a table for neighbours, p(z |
# x) ∝ exp Σ (output[t, z_t] + transition[z_{t−1}, z_t]). In the graph this is one discrete sequence `tags`
# above the two directions of the LSTM, conditioned on the labels. Its forward-backward messages are summed
# over all taggings; what they say to the network is a difference of two marginals, and BPTT goes on from
# there. There is one backward sweep and no special code.

# %%


def tagger():
    """A BiLSTM-CRF in which tags follow each other as words need it."""
    net = LSTM(26, 24, bidirectional=True, dtype="float32", random_state=0)
    return CRFTagger(net, 4, allowed=ALLOWED, random_state=1)


crf = tagger()
print(bptt(crf.net, x[:, :2], crf.loss(y[:, :2]), lengths=lengths[:2]).graph.plan())
crf.fit(x, y, "adam", **SETTINGS)
together = judge(crf.decode(x_test, lengths=n_test))
print(f"a chain of tags: F1 {together[0]:.3f}, {together[1]:.0%} contradict themselves")
assert together[1] == 0
assert together[0] > alone[0]

# %% [markdown]
# ## Where it doubts
#
# Marginals say how sure each tag is, and Viterbi's list has the next best readings of the whole phrase,
# with their probabilities. A letter's own softmax has neither: the product of its guesses is no probability
# of a segmentation.

# %%


def spelled(tags, b: int) -> str:
    """A phrase of the test with blanks where the tags have them."""
    letters = "".join(test[b])
    return "".join(c + " " * (t in (E, S)) for c, t in zip(letters, tags, strict=False)).strip()


p = crf.marginals(x_test, lengths=n_test)
log_p, readings = crf.decode_best(x_test, 3, lengths=n_test)
unsure = int(np.argsort(log_p[:, 0])[len(test) // 3])  # neither the easiest nor the hardest
for score, tags in zip(log_p[unsure], readings[:, :, unsure], strict=True):
    print(f"{np.exp(score):5.2f}  {spelled(tags, unsure)}")
certain, exact = (
    np.exp(log_p[:, 0]),
    np.array([(readings[0, :n, b] == y_test[:n, b]).all() for b, n in enumerate(n_test)]),
)
high = certain > np.median(certain)
print(f"entirely right: {exact[high].mean():.0%} of the surer half, {exact[~high].mean():.0%} of the other")
assert exact[high].mean() > 2 * exact[~high].mean()

# %% [markdown]
# ## Half of the labels
#
# Labels that are not known (−1) are summed out: the chain is conditioned on what there is. With half of the
# tags hidden, the rest still say much about their neighbours, since a word that begins must end. The
# softmax loses these labels altogether.

# %%
partly = np.where(np.random.default_rng(1).random(y.shape) < 0.5, -1, y)
half_alone = judge(per_letter(partly))
half = tagger()
half.fit(x, partly, "adam", **SETTINGS)
half_together = judge(half.decode(x_test, lengths=n_test))
print(f"half of the labels: a softmax a letter {half_alone[0]:.3f}, a chain {half_together[0]:.3f}")
assert half_together[0] > half_alone[0]

# %% [markdown]
# ## The picture

# %%
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#d9d9d9"
figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained", width_ratios=[2.4, 1])
n, letters = int(n_test[unsure]), "".join(test[unsure])
ends = p[:n, unsure][:, [E, S]].sum(axis=-1)
true = np.isin(y_test[:n, unsure], [E, S])
axes[0].bar(np.arange(n), ends, color=[BLUE if t else ORANGE for t in true], width=0.8)
axes[0].set_xticks(np.arange(n), letters, fontsize=9, family="monospace")
axes[0].tick_params(axis="x", length=0)
axes[0].set_ylabel("p(a word ends here | all letters)")
axes[0].set_title(
    "What the chain believes: blue where a word does end, orange where not", loc="left", fontsize=11
)
for k, pair in enumerate([(alone, together), (half_alone, half_together)]):
    for shift, (score, colour) in enumerate(zip(pair, (GREY, BLUE), strict=True)):
        at = k + 0.38 * (shift - 0.5)
        axes[1].bar(at, score[0], width=0.36, color=colour, label=None if k else ["softmax", "chain"][shift])
        axes[1].text(at, score[0] + 0.01, f"{score[0]:.2f}", ha="center", fontsize=9)
axes[1].set_xticks([0, 1], ["all labels", "half of them"])
axes[1].set_ylim(0, 1)
axes[1].set_title("F1 of words", loc="left", fontsize=11)
axes[1].legend(frameon=False, loc="upper right")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
if __name__ == "__main__" and len(sys.argv) == 2:  # python tutorials/19_tagging_with_a_bilstm_crf.py FOLDER
    figure.savefig(Path(sys.argv[1]) / "19_tagging.png", dpi=150)
