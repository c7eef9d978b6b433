"""What the terminal and the page say of a study in words and short numbers."""

from __future__ import annotations

from msgpass.report.study import Study

MODEL = {"counts": "Poisson", "real": "Gaussian", "categorical": "categorical"}
LOSS = {"counts": "Poisson", "real": "Gaussian (squared error)", "categorical": "softmax (cross-entropy)"}


ROUNDING = 1e-15


def short(value: float, digits: int = 4) -> str:
    """A number for a table; a true minus sign, no needless zeros.

    >>> short(-341.8787019), short(0.000012345)
    ('−341.9', '1.234e−05')
    """
    return f"{value:.{digits}g}".replace("-", "−")


def gap(value: float) -> str:
    """A measured gap: 0 or its order of magnitude.

    >>> gap(0.0), gap(3.2e-15)
    ('0', '3e−15')
    """
    return "0" if value == 0 else f"{value:.0e}".replace("-", "−")


def emissions(study: Study) -> list[str]:
    """One phrase a state: what it emits, and how long it lasts."""
    hmm, unit = study.hmm, study.series.unit
    phrases = []
    for k in range(hmm.states):
        if hmm.kind == "counts":
            what = f"rate {short(hmm.emission['rate'][k])} {unit}".strip()
        elif hmm.kind == "real":
            mean, sd = hmm.emission["mean"][k], hmm.emission["variance"][k] ** 0.5
            what = f"mean {short(mean)}, sd {short(sd, 3)} {unit}".strip()
        else:
            row = hmm.emission["probability"][k]
            best = sorted(range(len(row)), key=lambda j: -row[j])[:6]
            what = "mostly " + " ".join(study.series.categories[j] for j in best)
        stay = hmm.transition[k, k]
        phrases.append(
            f"{what}; lasts {_many(short(1 / (1 - stay), 3), 'step')}"
            if stay < 1 - 1e-9
            else f"{what}; is never left"
        )
    return phrases


def error_name(study: Study) -> str:
    """What the column of forecast errors holds."""
    if study.series.kind == "categorical":
        return "share of wrong guesses"
    return f"RMS error ({study.series.unit})" if study.series.unit else "RMS error"


def fit_rows(study: Study) -> list[tuple[str, str, str]]:
    """(what, HMM, net) of the fit table."""
    hmm, net = study.hmm, study.net
    iterations = (len(hmm.log_likelihoods), len(net.losses))
    likelihood = [
        study.fitted[name].log_density * (len(study.series) - study.missing) for name in ("hmm", "rnn")
    ]
    rows = [
        (
            "emissions, loss",
            f"{MODEL[hmm.kind]}, {_many(hmm.states, 'state')}",
            f"{LOSS[net.kind]}, {_many(net.hidden, 'hidden unit')}",
        ),
        ("learned by", "Baum-Welch", "L-BFGS on BPTT's gradient"),
        ("free parameters", str(hmm.free_parameters), str(net.free_parameters)),
        ("iterations", str(iterations[0]), str(iterations[1])),
        (
            "log-likelihood",
            f"{likelihood[0]:.2f}".replace("-", "−"),
            f"{likelihood[1]:.2f}".replace("-", "−"),
        ),
        (
            f"one step ahead: {error_name(study)}",
            short(study.fitted["hmm"].error),
            short(study.fitted["rnn"].error),
        ),
    ]
    held = study.held_out
    steps = len(study.series) - study.held_out_from
    rows += [
        (
            f"the last {steps} steps, held out: {error_name(study)}",
            short(held["hmm"].error),
            short(held["rnn"].error),
        ),
        (
            f"the last {steps} steps, held out: mean log-density",
            short(held["hmm"].log_density),
            short(held["rnn"].log_density),
        ),
    ]
    return rows


def reach(study: Study) -> list[tuple[str, str, str]]:
    """(what, HMM, net) of the table of how far each looks back."""
    hmm, rnn = study.influence["hmm"], study.influence["rnn"]

    def steps(values):
        below = [int(k) for k, v in zip(hmm.lag, values, strict=False) if v < 0.1]
        return _many(below[0], "step") if below else f"more than {len(values) - 1} steps"

    def size(value) -> str:
        # What is left of a message is a difference of numbers of order 1: rounding is all there is below.
        return short(value, 2) if value > ROUNDING else "< 1e−15"

    rows = [("messages fall below a tenth after", steps(hmm.actual), steps(rnn.actual))]
    lag = min(5, len(hmm.lag) - 1)
    rows.append((f"left after {lag} steps", size(hmm.actual[lag]), size(rnn.actual[lag])))
    rows.append((f"worst message after {lag} steps", size(hmm.worst[lag]), size(rnn.worst[lag])))
    rows.append((f"bound after {lag} steps", size(hmm.bound[lag]), size(rnn.bound[lag])))
    return rows


def notes(study: Study) -> list[str]:
    """What a reader must know about the data and the figures."""
    found = []
    if study.missing:
        found.append(
            f"{study.missing} of {len(study.series)} values are missing. The HMM sums them out; the net is "
            "given the last known value as its input and has no loss there."
        )
    held = study.held_out["independent"]
    found.append(
        f"A model without dynamics, fitted to the same steps, has on the held-out ones: {error_name(study)} "
        f"{short(held.error)}, mean log-density {short(held.log_density)}."
    )
    return found


def _many(n: int | str, thing: str) -> str:
    return f"{n} {thing}" if str(n) == "1" else f"{n} {thing}s"
