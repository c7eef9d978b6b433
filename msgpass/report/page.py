"""The report as one HTML page that needs no other file and no network: figures are embedded as SVG."""

from __future__ import annotations

import re
from html import escape

from msgpass import __version__
from msgpass.report import wording
from msgpass.report.figures import Captioned
from msgpass.report.study import Study

STYLE = """
:root { --ink: #222; --soft: #5a5a5a; --line: #dcdcdc; --hmm: #0072b2; --rnn: #b84e00; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 50rem; color: var(--ink); background: #fff;
       font: 16px/1.55 "Source Serif 4", "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 600; } h2 { font-size: 1.25rem;
margin: 2.6rem 0 .6rem; font-weight: 600; } .about, figcaption, .note, footer { color: var(--soft); font-size:
.9rem; line-height: 1.45; } figure { margin: .6rem 0 0; break-inside: avoid; } figure svg { width: 100%;
height: auto; display: block; } figcaption { margin-top: .4rem; } table { border-collapse: collapse; width:
100%; margin: .6rem 0; font: .86rem/1.4 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
        font-variant-numeric: tabular-nums; break-inside: avoid; }
th { text-align: left; font-weight: 600; border-bottom: 1px solid var(--ink); padding: .3rem .6rem .3rem 0;
vertical-align: bottom; } td { border-bottom: 1px solid var(--line); padding: .35rem .6rem .35rem 0;
vertical-align: top; } td.n, th.n { text-align: right; padding-right: 0; padding-left: 1.2rem; white-space:
nowrap; } td small { color: var(--soft); display: block; } .hmm { color: var(--hmm); } .rnn { color:
var(--rnn); } .broken { color: #b00020; font-weight: 600; } sub { font-size: .72em; line-height: 0; } .scroll
{ overflow-x: auto; } footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print { body { padding: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; } }
"""


def page(study: Study, figures: list[tuple[Captioned, str]]) -> str:
    """The whole page.

    Parameters
    ----------
    study : Study
    figures : list of (Captioned, SVG text)
    """
    series = study.series
    source = ". ".join(
        part for part in (series.source, f"Licence: {series.licence}" if series.licence else "") if part
    )
    span = f"{len(series)} steps, {series.index[0]} to {series.index[-1]}, {series.kind}."
    parts = [
        f"<h1>{escape(series.title)}</h1>",
        f'<p class="about">{escape(f"{span} {source}".strip())}</p>',
        _opening(study),
        "<h2>Side by side</h2>",
        _pairs(wording.fit_rows(study)),
        *(f'<p class="note">{escape(note)}</p>' for note in wording.notes(study)),
        "<h2>What the states stand for</h2>",
        _states(study),
        *(_figure(captioned, svg, study) for captioned, svg in figures),
        "<h2>The identities, measured</h2>",
        _identities(study),
        f"<footer>Made by msgpass {__version__}, seed {study.seed}. Every number on this page and behind its "
        "figures is in <code>numbers.json</code> beside it, every figure in <code>figures</code>.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" '
        'content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(series.title)}: an HMM and a recurrent net, side by "
        f"side</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{chr(10).join(parts)}\n</body>\n</html>\n"
    )


def _opening(study: Study) -> str:
    hmm, net = study.hmm, study.net
    holds = sum(one.holds for one in study.identities)
    verdict = "All hold" if holds == len(study.identities) else f"{holds} of {len(study.identities)} hold"
    largest = wording.gap(max(one.relative for one in study.identities))
    return (
        f'<p>Two models have read this series. A <b class="hmm">hidden Markov model</b> with {hmm.states} '
        "states was fitted by "
        f'Baum-Welch, and a <b class="rnn">recurrent net</b> with {net.hidden} hidden units was trained by '
        "back-propagation through time. They are usually taught as two subjects. Here both are factor "
        "graphs, and one engine has passed messages over both: <i>forward</i>, what the past says about each "
        "step, and <i>backward</i>, what the future says.</p><p>The HMM's backward message β<sub>t</sub> is "
        "a function of the state: how well each state explains all that comes later. The net's state is a "
        "single known point, so that of its backward message only the slope at that point is left: the "
        "adjoint λ<sub>t</sub> that back-propagation carries. And β<sub>t</sub> itself is an adjoint, "
        "∂Z/∂α<sub>t</sub>, of the forward recursion. What arrives at a parameter is in either model the "
        "derivative of the total: expected counts for Baum-Welch, the gradient for descent.</p><p>Read the "
        "figures with three questions. What does each model know before a value comes? What does the future "
        "add? And from how far does it still speak? The table at the end computes both sides of ten "
        f"statements of the theory by different routes, on these very models. {verdict}; the largest "
        f"relative gap is {largest}.</p>"
    )


def _pairs(rows) -> str:
    head = '<th></th><th class="n hmm">hidden Markov model</th><th class="n rnn">recurrent net</th>'
    body = "".join(
        f'<tr><td>{escape(a)}</td><td class="n">{escape(b)}</td><td class="n">{escape(c)}</td></tr>'
        for a, b, c in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _states(study: Study) -> str:
    share = study.posterior.mean(axis=0)
    body = "".join(
        f'<tr><td>state {k}</td><td>{escape(phrase)}</td><td class="n">{share[k]:.0%}</td></tr>'
        for k, phrase in enumerate(wording.emissions(study))
    )
    head = '<th></th><th>emits</th><th class="n">share of steps</th>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(captioned: Captioned, svg: str, study: Study) -> str:
    extra = _pairs(wording.reach(study)) if captioned.name == "look-back" else ""
    label = escape(captioned.title, quote=True)
    return (
        f'<h2>{escape(captioned.title)}</h2>\n<figure role="group" aria-label="{label}">{svg}'
        f"<figcaption>{_formula(captioned.caption)}</figcaption></figure>{extra}"
    )


def _identities(study: Study) -> str:
    rows = []
    for one in study.identities:
        left, right = one.example
        verdict = wording.gap(one.gap) if one.holds else f'<span class="broken">{wording.gap(one.gap)}</span>'
        rows.append(
            f"<tr><td>{one.number}</td><td>{_formula(one.statement)}<small>{_formula(one.left_is)} | "
            f"{_formula(one.right_is)}. "
            f'{escape(one.source)}.</small></td><td class="n">{wording.short(left, 6)}</td><td '
            f'class="n">{wording.short(right, 6)}</td><td class="n">{verdict}</td></tr>'
        )
    head = '<th></th><th>identity</th><th class="n">left</th><th class="n">right</th><th class="n">gap</th>'
    return (
        "<div "
        f'class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div><p '
        'class="note">Left and right are one of the numbers compared, as either route has it; the '
        "gap is the largest absolute difference over all of them. Identities 5 and 6 are about "
        "linear-Gaussian chains and 11 is about an episode of rewards; they use random ones, the others the "
        "two models above on the first steps of the series.</p>"
    )


def _formula(text: str) -> str:
    """Escaped text with subscripts: γ_t, α_{t−1}."""
    return re.sub(r"(?<=\w)_(?:\{([^}]*)\}|(\w))", lambda m: f"<sub>{m[1] or m[2]}</sub>", escape(text))
