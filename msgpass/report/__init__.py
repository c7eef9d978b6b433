"""The report of ``msgpass compare``: study.py fits and measures; terminal, figures, page and numbers show.

hidden_markov.py and recurrent.py are the two models, written out on the engine alone so that a student can
read them beside each other; the packages ``hmm`` and ``rnn`` hold the full ones.
"""
