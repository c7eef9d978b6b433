"""Networks in files: the same network comes back, a file of a stranger can do nothing but fail to load."""

import json

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import files
from msgpass.errors import DataError, UnsupportedError
from rnn import GRU, RNN, Linear, Memory, load, load_file, save_file
from rnn.networks import RecurrentNetwork
from tests.rnn.architectures import cases


@settings(max_examples=40)
@given(cases())
def test_a_network_comes_back_to_the_bit(tmp_path_factory, case):
    path = tmp_path_factory.mktemp("nets") / "net.safetensors"
    case.net.save(path)
    again = load(path)
    assert type(again) is type(case.net) and repr(again) == repr(case.net)
    assert list(again.weights) == list(case.net.weights)
    for key, value in case.net.weights.items():
        np.testing.assert_array_equal(again.weights[key], value)
    np.testing.assert_array_equal(again(case.x, **case.data())[0], case.net(case.x, **case.data())[0])


def test_a_readout_and_a_network_of_ones_own_come_back(tmp_path):
    class Doubled(RNN):
        """A class that the library does not know."""

    memory = Memory(2, 4, 5, 3, reach=None, initial="learned", random_state=0)
    for net in (Linear(3, 2, False, dtype="float32", random_state=0), Doubled(1, 2, 1, "relu"), memory):
        net.save(tmp_path / "net")
        again = load(tmp_path / "net")
        assert type(again) is type(net) and again.dtype == net.dtype
        assert all((again.weights[k] == v).all() for k, v in net.weights.items())


def test_state_dicts_go_by_themselves(tmp_path):
    net = GRU(2, 3, random_state=0)
    save_file(net.state_dict(), tmp_path / "weights")
    other = GRU(2, 3, random_state=1).load_state_dict(load_file(tmp_path / "weights"))
    assert all((other.weights[k] == v).all() for k, v in net.weights.items())
    with pytest.raises(DataError, match=r"not of a network.*load_file"):
        load(tmp_path / "weights")
    net.save(tmp_path / "net")
    assert set(load_file(tmp_path / "net")) == set(net.weights)


def test_half_precision_is_read(tmp_path):
    from safetensors.numpy import save_file as write

    values = np.array([1.5, -2.0, 0.15625])
    write({"a": values.astype(np.float16)}, tmp_path / "half")
    np.testing.assert_array_equal(load_file(tmp_path / "half")["a"], values)
    bits = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "brain").write_bytes(len(header).to_bytes(8, "little") + header + bits)
    np.testing.assert_array_equal(load_file(tmp_path / "brain")["a"], values)


def write(path, document, arrays=None, version="1"):
    header = {"format": "msgpass-rnn", "version": version, "model": json.dumps(document)}
    files.write(path, RNN(1, 2, random_state=0).weights if arrays is None else arrays, header)


SETTINGS = {"input_size": 1, "hidden_size": 2, "dtype": "float64"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"class": "os.system", "settings": {}}, "'os.system' is not known here"),
        ({"class": "RecurrentNetwork", "settings": SETTINGS}, "does not hold a network|damaged"),
        ({"class": "Network", "settings": {}}, "'Network' is not known here"),
        ({"class": ["RNN"], "settings": {}}, "is not known here"),
        ({"class": "RNN", "settings": SETTINGS | {"hidden_size": 3}}, r"weight_ih_l0.*\(2, 1\).*\(3, 1\)"),
        ({"class": "RNN", "settings": SETTINGS | {"hidden_size": 10**9}}, "no array has as many numbers"),
        ({"class": "RNN", "settings": SETTINGS | {"nonlinearity": "eval"}}, "nonlinearity must be one of"),
        ({"class": "RNN", "settings": SETTINGS | {"colour": 1}}, "damaged: TypeError"),
        ({"class": "LSTM", "settings": SETTINGS}, "weight_ih_l0"),
        ({"settings": SETTINGS}, "damaged: KeyError"),
        ([], "damaged"),
        (None, "damaged"),
    ],
)
def test_a_wrong_file_fails_to_load(tmp_path, document, words):
    write(tmp_path / "net", document)
    with pytest.raises(DataError, match=words):
        load(tmp_path / "net")


def test_files_of_others_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "nothing")
    (tmp_path / "text").write_bytes(b"not a file of arrays")
    with pytest.raises(DataError, match="not a safetensors file"):
        load(tmp_path / "text")
    write(tmp_path / "later", {"class": "RNN", "settings": SETTINGS}, version="2")
    with pytest.raises(DataError, match=r"version 2 of the format.*upgrade"):
        load(tmp_path / "later")
    write(tmp_path / "short", {"class": "RNN", "settings": SETTINGS}, {"weight_ih_l0": np.zeros((2, 1))})
    with pytest.raises(DataError, match="lacks weight_hh_l0"):
        load(tmp_path / "short")
    with pytest.raises(DataError, match="cannot write"):
        RNN(1, 2).save(tmp_path / "no folder" / "net")
    with pytest.raises(DataError, match="takes a dict"):
        save_file([1], tmp_path / "list")
    with pytest.raises(DataError, match="'a' holds object"):
        save_file({"a": np.array([None])}, tmp_path / "object")


def test_a_function_has_no_place_in_a_file(tmp_path):
    class Own(RecurrentNetwork):
        def __init__(self, function, *, random_state=None):
            self.function = function
            super().__init__(1, 2, random_state=random_state)

        def _cell(self):
            return RNN(1, 2).cell

    with pytest.raises(UnsupportedError, match=r"Own's function is .*save_file"):
        Own(np.tanh).save(tmp_path / "net")


@pytest.mark.parametrize("value", [[[1.0], [1.0, 2.0]], np.longdouble([1.0]), "abc"])
def test_what_is_no_array_of_a_file_is_not_written(tmp_path, value):
    if isinstance(value, np.ndarray) and value.itemsize <= 8:
        pytest.skip("long double is double here")
    with pytest.raises(DataError):
        save_file({"w": value}, tmp_path / "w.safetensors")


def test_a_version_in_other_digits_is_no_version(tmp_path):
    path = tmp_path / "net.safetensors"
    net = GRU(1, 2, random_state=0)
    files.write(path, net.state_dict(), {"format": "msgpass-rnn", "version": "²", "model": "{}"})
    with pytest.raises(DataError, match="not of a network"):
        load(path)


def test_a_weight_beyond_float32_is_refused():
    net = GRU(1, 2, dtype="float32", random_state=0)
    state = net.state_dict() | {"bias_hh_l0": np.full(6, 1e300)}
    with pytest.raises(DataError, match="infinite"):
        net.load_state_dict(state)
