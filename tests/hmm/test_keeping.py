"""Models in files: what comes back is the model to the bit, and a stranger's file can only fail to load."""

import json
import os
import stat
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from hmm import CategoricalHMM, GaussianHMM, MixedHMM, PoissonHMM
from hmm.base import BaseHMM
from hmm.emissions import Poisson
from hmm.keeping import FORMAT, load, save
from msgpass.errors import DataError, NotFittedError
from tests.hmm.drawn import KINDS, drawn, make

FILES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def header_of(path):
    content = path.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + n])


def forged(path, change):
    """The file with its JSON changed by a function."""
    content = path.read_bytes()
    header = header_of(path)
    metadata = header["__metadata__"]
    document = json.loads(metadata["model"])
    changed = change(document)
    document = document if changed is None else changed
    path.write_bytes(to_bytes(from_bytes(content), {**metadata, "model": json.dumps(document)}))
    return path


@FILES
@given(drawn(sequences=2, n_iter=3, tol=0, random_state=5))
def test_what_is_loaded_is_the_model_to_the_bit(tmp_path, case):
    model, X, lengths = case.model, case.X, case.lengths
    for fitted in (False, True):
        if fitted:
            model.fit(X, lengths=lengths)
        save(model, tmp_path / "model")
        other = load(tmp_path / "model")
        assert type(other) is type(model) and other.get_params() == model.get_params()
        assert other.score(X, lengths=lengths) == model.score(X, lengths=lengths)
        np.testing.assert_array_equal(other.predict_proba(X, lengths), model.predict_proba(X, lengths))
        assert other.monitor_.history == model.monitor_.history
        assert other.monitor_.iter == model.monitor_.iter
        assert other.monitor_.converged == model.monitor_.converged
        assert set(vars(other)) >= {name for name in vars(model) if name.endswith("_")}
        np.testing.assert_array_equal(other.sample(5)[0], model.sample(5)[0])


def test_priors_names_and_special_numbers_are_kept(tmp_path, rng):
    pandas = pytest.importorskip("pandas")
    prior = np.array([[2.0, 1.5], [1.0, 3.0]])
    model = PoissonHMM(2, transmat_prior=prior, tol=-np.inf, n_iter=2, startprob_prior=[2.0, 3.0])
    frame = pandas.DataFrame({"north": rng.poisson(3, 20), "south": rng.poisson(5, 20)})
    model.fit(frame)
    model.save(tmp_path / "model")
    other = load(tmp_path / "model")
    np.testing.assert_array_equal(other.transmat_prior, prior)
    assert other.tol == -np.inf and other.startprob_prior == [2.0, 3.0]
    assert other.feature_names_in_.tolist() == ["north", "south"] and other.n_features_in_ == 2


def test_a_generator_is_not_kept(tmp_path, rng):
    model = make("poisson", 2, 1, rng, random_state=np.random.default_rng(1))
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").random_state is None


def test_a_model_of_ones_own(tmp_path):
    class PairsHMM(PoissonHMM):
        def emission(self, X=None):
            return Poisson(self.table_["rates"].lambdas, *self.table_["priors"])

        def has(self, field):
            return field == "lambdas" or super().has(field)

    model = PairsHMM(1)
    model.startprob_, model.transmat_ = np.ones(1), np.ones((1, 1))
    model.table_ = {"rates": Poisson(np.array([[2.0]])), "priors": (0.0, np.float64(0)), "label": None}
    model.save(tmp_path / "model")
    other = load(tmp_path / "model")
    assert type(other) is PairsHMM and other.table_["priors"] == (0.0, 0.0)
    assert other.score([1, 2]) == model.score([1, 2])
    model.table_ = {"rates": Poisson(np.array([[2.0]])), "priors": (0.0, 0), "function": print}
    with pytest.raises(DataError, match="function is a builtin"):
        model.save(tmp_path / "other")
    assert os.listdir(tmp_path) == ["model"]


def test_models_within_models(tmp_path, rng):
    X = np.column_stack([rng.poisson(3, 30), rng.normal(size=30)])
    parts = [(PoissonHMM(lambdas_prior=1.0), [0]), (GaussianHMM(), [1])]
    model = MixedHMM(2, models=parts, random_state=0, n_iter=3, tol=0).fit(X)
    model.save(tmp_path / "model")
    other = load(tmp_path / "model")
    assert other.score(X) == model.score(X) and other.models[0][0].lambdas_prior == 1.0
    np.testing.assert_array_equal(other.parts_[1].means_, model.parts_[1].means_)


def test_a_model_without_parameters_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        GaussianHMM(2).save(tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_writing_replaces_at_once_or_not_at_all(tmp_path, rng, monkeypatch):
    path, model = tmp_path / "model", make("poisson", 2, 1, rng)
    model.save(path)
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044 & ~_umask()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        make("poisson", 3, 1, rng).save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model"]


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# -- strangers' files ----------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path, rng):
    make("full", 2, 2, rng).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_file_holds_nothing_that_runs(path):
    header = header_of(path)
    assert header["__metadata__"]["format"] == FORMAT
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F64"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: {**d, "class": "Popen"}, "'Popen' is not known"),
        (lambda d: {**d, "class": "BaseHMM"}, "not known"),
        (lambda d: {**d, "class": ["GaussianHMM"]}, "not known"),
        (lambda d: {**d, "class": "ConvergenceMonitor"}, "not known"),
        (lambda d: d["attributes"].update(fit="x"), "not the name of a fitted attribute"),
        (lambda d: d["attributes"].update(__class__="x"), "not the name of a fitted attribute"),
        (lambda d: d["attributes"].update(monitor_="x"), "not the name of a fitted attribute"),
        (lambda d: d["params"].update(n_components=7), "startprob_ has shape"),
        (lambda d: d["params"].update(n_components=10**9), "startprob_ has shape"),
        (lambda d: d["params"].update(covariance_type="diag"), "covars_"),
        (lambda d: d["params"].update(surprise=1), "damaged"),
        (lambda d: d["attributes"].update(means_={"array": "elsewhere"}), "damaged"),
        (lambda d: d["attributes"].update(means_={"code": "1+1"}), "not a kind of value"),
        (lambda d: d["attributes"].__delitem__("means_"), "no means_"),
        (lambda d: d["attributes"].update(n_features_in_=5), "n_features_in_"),
        (lambda d: d["attributes"].update(x_={"emission": "Emission", "fields": {}}), "not known"),
        (lambda d: d["attributes"].update(x_={"emission": "Poisson", "fields": {"rate": 1}}), "damaged"),
        (lambda d: d.update(history=["a"]), "damaged"),
        (lambda d: [], "damaged"),
        (lambda d: "model", "damaged"),
    ],
)
def test_a_forged_header_only_fails(path, change, text):
    forged(path, change)
    with pytest.raises(DataError, match=text):
        load(path)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({}, "not of a model"),
        ({"format": "other"}, "not of a model"),
        ({"format": FORMAT, "version": "2", "model": "{}"}, "upgrade"),
        ({"format": FORMAT, "version": "9" * 5000, "model": "{}"}, "upgrade"),
        ({"format": FORMAT, "version": "-1", "model": "{}"}, "not of a model"),
        ({"format": FORMAT, "version": "1"}, "damaged"),
        ({"format": FORMAT, "version": "1", "model": "[" * 100_000}, "damaged"),
        ({"format": FORMAT, "version": "1", "model": "NaN"}, "holds NaN"),
        ({"format": FORMAT, "version": "1", "model": "1" * 10_000}, "damaged"),
    ],
)
def test_a_strange_header_only_fails(tmp_path, metadata, text):
    (tmp_path / "model").write_bytes(to_bytes({"a": np.zeros(2)}, metadata))
    with pytest.raises(DataError, match=text):
        load(tmp_path / "model")


def test_dtypes_that_no_model_has(tmp_path):
    header = json.dumps({"a": {"dtype": "F8_E5M2", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(DataError, match="dtype F8_E5M2"):
        load(tmp_path / "model")


def test_no_file(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            load(path)


@FILES
@given(st.binary(max_size=200))
def test_any_bytes_only_fail(tmp_path, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(DataError):
        load(tmp_path / "model")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_fails_or_is_a_model(path, data):
    """Bytes change, pieces go and come: it fails, or loads as a model whose parameters are sound."""
    content = bytearray(path.read_bytes())
    original = bytes(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if kind == "flip":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + data.draw(st.integers(1, 40))]
        else:
            content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        if not content:
            break
    path.write_bytes(content)
    try:
        model = load(path)
    except DataError:
        pass
    else:
        assert isinstance(model, BaseHMM) and np.isfinite(model.chain().transition.matrix).all()
    finally:
        path.write_bytes(original)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["array", "tuple", "dict", "float", "strings", "emission", "fields", "x_"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_json_in_place_of_a_value_fails_or_is_a_model(path, data):
    original = path.read_bytes()

    def change(document):
        where = document[data.draw(st.sampled_from(["params", "attributes"]))]
        where[data.draw(st.sampled_from(sorted(where)))] = data.draw(json_values)

    try:
        model = load(forged(path, change))
    except DataError:
        pass
    else:
        assert isinstance(model.chain().transition.matrix, np.ndarray)
        assert isinstance(model.n_components, int)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_names_it_says(kind, tmp_path, rng):
    model = make(kind, 2, 2, rng)
    model.save(str(tmp_path / "model"))
    other = load(str(tmp_path / "model"))
    assert type(other) in (CategoricalHMM, PoissonHMM, GaussianHMM)
    for field in ("startprob_", "transmat_", *(f"{f}_" for f in model.EMISSION.LETTERS.values())):
        np.testing.assert_array_equal(getattr(other, field), getattr(model, field))
