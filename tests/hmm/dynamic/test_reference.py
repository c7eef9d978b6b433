"""Reference numbers, and every model against enumeration of all assignments."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import msgpass.data
from hmm import (
    CategoricalHMM,
    CoupledHMM,
    DynamicBayesianNetwork,
    FactorialHMM,
    GaussianHMM,
    HierarchicalHMM,
    PoissonHMM,
)
from msgpass import JunctionTree
from msgpass.errors import ImpossibleEvidenceError
from msgpass.sweeps.interface import interface_layout

UMBRELLA = {
    "states": {"rain": 2, "umbrella": 2},
    "parents": {"rain": [("rain", -1)], "umbrella": ["rain"]},
    "columns": ["umbrella"],
}


def umbrella():
    model = DynamicBayesianNetwork(**UMBRELLA)
    model.initial_cpds_ = {"rain": [0.5, 0.5]}
    model.cpds_ = {"rain": [[0.7, 0.3], [0.3, 0.7]], "umbrella": [[0.1, 0.9], [0.8, 0.2]]}
    return model


def test_the_umbrella():
    model, X = umbrella(), [[1], [1], [0], [1], [1]]
    assert model.score(X) == pytest.approx(-3.372502044332175, abs=1e-12)
    filtered = [0.8181818182, 0.8833570413, 0.1906679397, 0.7307940046, 0.8673388896]
    np.testing.assert_allclose(model.filter(X)["rain"][:, 0], filtered, atol=1e-10)
    smooth = [0.8673388896, 0.8204190536, 0.3074835760, 0.8204190536, 0.8673388896]
    np.testing.assert_allclose(model.predict_proba(X)["rain"][:, 0], smooth, atol=1e-10)
    score, path = model.decode(X)
    assert score == pytest.approx(-4.459028291034797, abs=1e-12)
    np.testing.assert_array_equal(path[:, 0], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(path[:, 1], np.ravel(X))


def test_one_step_of_em_on_the_umbrella():
    model = DynamicBayesianNetwork(**UMBRELLA, n_iter=1, tol=0, params="t", init_params="")
    model.initial_cpds_ = {"rain": [0.5, 0.5]}
    model.cpds_ = {"rain": [[0.7, 0.3], [0.3, 0.7]], "umbrella": [[0.9, 0.1], [0.2, 0.8]]}
    model.fit([[0], [0], [1], [0], [0]])
    np.testing.assert_allclose(
        model.cpds_["rain"], [[0.7387915322, 0.2612084678], [0.6209996622, 0.3790003378]], atol=1e-10
    )
    np.testing.assert_allclose(
        model.cpds_["umbrella"], [[0.9165127285, 0.0834872715], [0.4741714948, 0.5258285052]], atol=1e-10
    )


def pgmpys_docstring():
    """Z → next Z, Z → X → Y: REFERENCE's network."""
    model = DynamicBayesianNetwork(
        {"Z": 2, "X": 2, "Y": 2}, {"Z": [("Z", -1)], "X": ["Z"], "Y": ["X"]}, columns=["Y"]
    )
    model.initial_cpds_ = {"Z": [0.5, 0.5]}
    model.cpds_ = {
        "Z": [[0.4, 0.6], [0.7, 0.3]],
        "X": [[0.6, 0.4], [0.9, 0.1]],
        "Y": [[0.2, 0.8], [0.3, 0.7]],
    }
    return model


def test_the_network_of_pgmpys_docstring():
    model = pgmpys_docstring()
    assert model.predict_proba([1, 0, 1])["X"][2, 0] == pytest.approx(0.7673873589, abs=1e-10)
    assert model.filter([1, 0, 1])["X"][2, 0] == pytest.approx(0.7673873589, abs=1e-10)
    assert model.predict_proba([0, 1, 1])["X"][0, 0] == pytest.approx(0.6659438223, abs=1e-10)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_evidence_on_the_interface(seed):
    """Z, which carries the past on, is seen at some steps, and asked for beside others in several slices."""
    rng, T = np.random.default_rng(seed), 4
    model = pgmpys_docstring().set_params(columns=["Z", "Y"])
    X = rng.integers(2, size=(T, 2)).astype(float)
    X[rng.random(X.shape) < 0.5] = np.nan

    def density(at):
        return float(
            all(at[n, t] == X[t, k] for k, n in enumerate("ZY") for t in range(T) if X[t, k] == X[t, k])
        )

    network = model.network()
    check(model, X, network, density, T)
    brute = Brute(network, T, density)
    places = [("X", 1), ("Z", 3), ("Y", 0), ("Z", 0)]
    np.testing.assert_allclose(model.joint_proba(X, places), brute.marginal(*places), atol=1e-10)


class Brute:
    """Posterior over all assignments of a discrete network, one array axis a node and slice."""

    def __init__(self, network, T, density):
        self.names = [(n, t) for t in range(T) for n in network.sizes]
        sizes = [network.sizes[n] for n, _ in self.names]
        self.p = np.zeros(sizes)
        for states in itertools.product(*map(range, sizes)):
            at = dict(zip(self.names, states, strict=True))
            p = density(at)
            for relation in network.relations:
                table = relation.table(network.probabilities[relation.parameter])
                for t in range(T):
                    if (relation.when == "first" and t) or (relation.when == "later" and not t):
                        continue
                    p *= table[tuple(at[n, t - lag] for n, lag in relation.variables)]
            self.p[states] = p
        self.z = self.p.sum()

    def marginal(self, *keys):
        axes = [self.names.index(k) for k in keys]
        over = tuple(a for a in range(self.p.ndim) if a not in axes)
        found = self.p.sum(axis=over) / self.z
        return np.transpose(found, np.argsort(np.argsort(axes)))


def check(model, X, network, density, T):
    """All readings of a model whose posteriors come as a list."""
    brute = Brute(network, T, density)
    assert model.score(X) == pytest.approx(np.log(brute.z), abs=1e-9)
    found = model.predict_proba(X)
    found = list(found.values()) if isinstance(found, dict) else found
    names = model.nodes()
    for name, own in zip(names, found, strict=True):
        for t in range(T):
            np.testing.assert_allclose(own[t], brute.marginal((name, t)), atol=1e-9)
    places = [(names[0], 0), (names[-1], T - 1), (names[0], T - 1)][: 2 if len(names) == 1 else 3]
    np.testing.assert_allclose(model.joint_proba(X, places), brute.marginal(*places), atol=1e-9)
    score, path = model.decode(X)
    assert score == pytest.approx(np.log(brute.p.max()), abs=1e-9)
    assert path.shape == (T, len(names))
    own = brute.p[brute.p > 0] / brute.z
    assert model.posterior_entropy(X) == pytest.approx(-np.sum(own * np.log(own)), abs=1e-9)


def random_rows(rng, *shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_factorial(seed):
    rng = np.random.default_rng(seed)
    sizes, T = (2, 3), 3
    model = FactorialHMM(sizes)
    model.startprob_ = [random_rows(rng, K) for K in sizes]
    model.transmat_ = [random_rows(rng, K, K) for K in sizes]
    model.means_, model.covars_ = [rng.normal(size=(K, 2)) for K in sizes], np.array([[1.0, 0.3], [0.3, 0.8]])
    X = rng.normal(size=(T, 2))
    X[1, 0] = np.nan

    def density(at):
        p = 1.0
        for t in range(T):
            seen = np.isfinite(X[t])
            mean = sum(model.means_[m][at[f"z{m}", t]] for m in range(2))
            gap = (X[t] - mean)[seen]
            cov = model.covars_[np.ix_(seen, seen)]
            p *= np.exp(-0.5 * gap @ np.linalg.solve(cov, gap)) / np.sqrt(np.linalg.det(2 * np.pi * cov))
        return p

    check(model, X, model.network(), density, T)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_coupled(seed):
    rng, T = np.random.default_rng(seed), 3
    parts = [CategoricalHMM(2, n_features=3), CategoricalHMM(3, n_features=2)]
    model = CoupledHMM([(parts[0], [0]), (parts[1], [1])], coupling=[[1, 1], [0, 1]])
    model.startprob_ = [random_rows(rng, 2), random_rows(rng, 3)]
    model.transmat_ = [random_rows(rng, 2, 2), random_rows(rng, 2, 3, 3)]
    for part, shape in zip(parts, [(2, 3), (3, 2)], strict=True):
        part.emissionprob_ = random_rows(rng, *shape)
    model.parts_ = parts
    X = np.array([[0, 1], [2, np.nan], [1, 0]])

    def density(at):
        seen = [(m, t) for m in range(2) for t in range(T) if np.isfinite(X[t, m])]
        return np.prod([parts[m].emissionprob_[at[f"z{m}", t], int(X[t, m])] for m, t in seen])

    check(model, X, model.network(), density, T)


@settings(max_examples=6)
@given(st.integers(0, 10**6), st.sampled_from([(2,), (2, 2), (1, 2, 2)]))
def test_hierarchical(seed, sizes):
    rng, T = np.random.default_rng(seed), 3
    model = HierarchicalHMM(sizes, GaussianHMM())
    D = len(sizes)
    model.startprob_ = [random_rows(rng, *sizes[: d + 1]) for d in range(D)]
    model.transmat_ = [random_rows(rng, *sizes[: d + 1], sizes[d]) for d in range(D)]
    model.endprob_ = [rng.uniform(0.1, 0.9, sizes[: d + 1]) for d in range(1, D)]
    model.part_ = GaussianHMM(int(np.prod(sizes)))
    model.part_.means_ = rng.normal(size=(int(np.prod(sizes)), 1))
    model.part_.covars_ = np.ones((int(np.prod(sizes)), 1))
    X = rng.normal(size=(T, 1))

    def density(at):
        joint = [np.ravel_multi_index([at[f"q{d + 1}", t] for d in range(D)], sizes) for t in range(T)]
        gap = X[:, 0] - model.part_.means_[joint, 0]
        return np.prod(np.exp(-0.5 * gap**2) / np.sqrt(2 * np.pi))

    check(model, X, model.network(), density, T)


def test_a_hierarchy_walks_as_it_is_meant_to():
    """Levels move only when what is below has ended."""
    model = HierarchicalHMM((2, 2), CategoricalHMM())
    model.startprob_ = [[0.5, 0.5], [[0.7, 0.3], [0.2, 0.8]]]
    model.transmat_ = [[[0.1, 0.9], [0.6, 0.4]], [[[0.5, 0.5], [0.3, 0.7]], [[0.9, 0.1], [0.4, 0.6]]]]
    model.endprob_ = [[[0.2, 0.4], [0.1, 0.3]]]
    model.part_ = CategoricalHMM(4)
    model.part_.emissionprob_ = np.eye(4)
    _, states = model.sample(40_000, random_state=0)
    joint = 2 * states[:, 0] + states[:, 1]
    counts = np.zeros((4, 4))
    np.add.at(counts, (joint[:-1], joint[1:]), 1)
    flat = np.zeros((4, 4))
    s1, a0, a1, e = (np.array(v) for v in (model.startprob_[1], *model.transmat_, model.endprob_[0]))
    for k, i, l, j in itertools.product(range(2), repeat=4):
        stays = (1 - e[k, i]) * a1[k, i, j] * (k == l)
        flat[2 * k + i, 2 * l + j] = stays + e[k, i] * a0[k, l] * s1[l, j]
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), flat, atol=0.02)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_any_network(seed):
    """Evidence on nodes that carry the past on, missing cells, an input."""
    rng, T = np.random.default_rng(seed), 3
    states = {"a": 2, "b": 2, "u": 2, "c": 2}
    parents = {"a": [("a", -1), ("u", -1)], "b": ["a", ("b", -1), "u"], "c": ["b", ("a", -1)]}
    model = DynamicBayesianNetwork(states, parents, inputs=["u"], columns=["u", "c", "a"])
    tables = {key: random_rows(rng, *model._shape(n, first)) for key, n, first in model.tables()}
    model.cpds_ = {key[2:]: p for key, p in tables.items() if key[0] == "t"}
    model.initial_cpds_ = {key[2:]: p for key, p in tables.items() if key[0] == "i"}
    X = rng.integers(2, size=(T, 3)).astype(float)
    X[:, 1:][rng.random((T, 2)) < 0.4] = np.nan
    known = [("u", 0), ("c", 1), ("a", 2)]

    def density(at):
        return float(all(at[n, t] == X[t, k] for n, k in known for t in range(T) if np.isfinite(X[t, k])))

    check(model, X, model.network(), density, T)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_one_step_of_em_takes_expected_counts(seed):
    """Missing cells on nodes that carry the past on; a leaf that is seen throughout."""
    rng, T = np.random.default_rng(seed), 3
    parents = {"a": [("a", -1)], "b": ["a", ("b", -1)], "c": ["b"]}
    model = DynamicBayesianNetwork({"a": 2, "b": 3, "c": 2}, parents, n_iter=1, tol=0, init_params="")
    tables = {key: random_rows(rng, *model._shape(n, first)) for key, n, first in model.tables()}
    model.cpds_ = {key[2:]: p for key, p in tables.items() if key[0] == "t"}
    model.initial_cpds_ = {key[2:]: p for key, p in tables.items() if key[0] == "i"}
    X = np.column_stack([rng.integers(k, size=T) for k in (2, 3, 2)]).astype(float)
    X[:, :2][rng.random((T, 2)) < 0.6] = np.nan
    known = [(n, k) for k, n in enumerate("abc")]
    network = model.network()
    brute = Brute(
        network,
        T,
        lambda at: float(
            all(at[n, t] == X[t, k] for n, k in known for t in range(T) if np.isfinite(X[t, k]))
        ),
    )
    model.fit(X)
    for relation in network.relations:
        steps = {"first": [0], "later": range(1, T), "every": range(T)}[relation.when]
        places = [[(n, t - lag) for n, lag in relation.variables] for t in steps]
        counts = sum(brute.marginal(*own) for own in places)
        rows = counts.sum(axis=-1, keepdims=True)
        old = network.probabilities[relation.parameter]
        wanted = np.where(rows > 1e-12, counts / np.maximum(rows, 1e-300), old)
        found = (model.initial_cpds_ if relation.when == "first" else model.cpds_)[relation.parameter[2:]]
        np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize(("sizes", "largest"), [((3, 3), 2 * 3**3), ((3, 3, 3), 4 * 3**4)])
def test_a_hierarchy_keeps_levels_and_flags_apart(sizes, largest):
    """Two to the flags' number times K^(levels + 1) in place of K^(2·levels)."""
    model = HierarchicalHMM(sizes, GaussianHMM(covariance_type="diag"), n_iter=1, tol=0, random_state=0)
    model.fit(np.random.default_rng(0).normal(size=(40, 1)))
    graph = model.graph(np.zeros((20, 1)))
    (block,) = graph.plan().blocks
    assert interface_layout(graph.plan(), 0, block, JunctionTree()).largest == largest


@pytest.mark.parametrize(
    ("K", "total", "rates"),
    [(2, -341.878701012, [15.42076, 26.01823]), (3, -328.527483380, [13.13376, 19.71316, 29.70972])],
)
def test_earthquakes(K, total, rates):
    """One chain, and one level, are Poisson hidden Markov models."""
    counts = msgpass.data.load("earthquakes").values.reshape(-1, 1)
    settings = {"n_init": 3, "random_state": 0, "n_iter": 1000, "tol": 1e-8}
    coupled = CoupledHMM([(PoissonHMM(K), [0])], **settings).fit(counts)
    deep = HierarchicalHMM((K,), PoissonHMM(), **settings).fit(counts)
    for model, part in ((coupled, coupled.parts_[0]), (deep, deep.part_)):
        assert model.score(counts) == pytest.approx(total, abs=1e-5)
        np.testing.assert_allclose(np.sort(part.lambdas_.ravel()), rates, atol=1e-2)


def test_impossible_evidence_names_the_row():
    model = umbrella()
    model.cpds_ = {"rain": [[1.0, 0.0], [0.3, 0.7]], "umbrella": [[0.0, 1.0], [1.0, 0.0]]}
    X = [1, 1, 0, 1]  # rain, which is for ever, after which there is no umbrella
    assert model.score(X) == -np.inf
    for read in (model.predict_proba, model.filter, model.predict, lambda X: model.sample_paths(X, 2)):
        with pytest.raises(ImpossibleEvidenceError, match="row"):
            read(X)
    with pytest.raises(ImpossibleEvidenceError, match="look for zeros"):
        model.set_params(init_params="").fit(X)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_chains_are_one_chain_of_all_their_states(seed):
    rng, sizes, T = np.random.default_rng(seed), (2, 3, 2), 60
    model, flat = FactorialHMM(sizes), GaussianHMM(12, covariance_type="tied")
    model.startprob_ = [random_rows(rng, K) for K in sizes]
    model.transmat_ = [random_rows(rng, K, K) for K in sizes]
    model.means_, model.covars_ = [rng.normal(size=(K, 2)) for K in sizes], np.array([[0.5, 0.1], [0.1, 0.8]])
    X, _ = model.sample(T, random_state=seed)
    X[rng.random(X.shape) < 0.2] = np.nan
    X[20:25] = np.nan
    (s, t, u), (A, B, C), (a, b, c) = model.startprob_, model.transmat_, model.means_
    flat.startprob_, flat.transmat_ = np.kron(np.kron(s, t), u), np.kron(np.kron(A, B), C)
    flat.means_ = (a[:, None, None] + b[:, None] + c).reshape(12, 2)
    flat.covars_ = model.covars_
    lengths = [35, 25]
    assert model.score(X, lengths=lengths) == pytest.approx(flat.score(X, lengths=lengths))
    assert model.posterior_entropy(X, lengths) == pytest.approx(flat.posterior_entropy(X, lengths))
    for name in ("predict_proba", "filter"):
        joint = getattr(flat, name)(X, lengths).reshape(T, *sizes)
        for m, own in enumerate(getattr(model, name)(X, lengths)):
            np.testing.assert_allclose(own, joint.sum(axis=tuple({1, 2, 3} - {m + 1})), atol=1e-10)
    best, path = model.decode(X, lengths)
    assert best == pytest.approx(flat.decode(X, lengths)[0])
    # Where nothing is seen two paths may be exactly as likely: the path is judged by its own score.
    states = np.ravel_multi_index(path.T, sizes)
    density = flat.chain().emission.log_density(flat.chain().emission.prepare(X))
    own = np.log(flat.startprob_[states[[0, 35]]]).sum() + density[np.arange(T), states].sum()
    inner = np.delete(np.arange(1, T), 34)
    assert own + np.log(flat.transmat_[states[inner - 1], states[inner]]).sum() == pytest.approx(best)
