"""EncoderDecoder: gradients of every option, edges, messages, padding, axes, training, files, refusals."""

import numpy as np
import pytest

from msgpass import Checkpointed, Truncated, check_gradients, run
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import (
    GRU,
    LSTM,
    RNN,
    Attention,
    CrossEntropy,
    Embedding,
    EncoderDecoder,
    Linear,
    SquaredError,
    bptt,
    curvature,
    fit,
    load,
)

S, T, B = 4, 3, 2
LENGTHS = [4, 2]


def made(
    encoder=GRU,
    decoder=GRU,
    score="general",
    context="cell",
    layers=(1, 1),
    both=True,
    feeding=False,
    tokens=False,
    readout=False,
    decoder_options=None,
    encoder_options=None,
    seed=0,
    **more,
):
    """A small network: sources of 2 numbers or 5 tokens, inputs of 1 number or 4 tokens."""
    rng = np.random.default_rng(seed)
    common = {k: more[k] for k in ("dtype",) if k in more}
    first = encoder(2, 3, layers[0], bidirectional=both, random_state=rng, **common, **encoder_options or {})
    M, H = first.output_size, 3 if score is None or not both else 4
    H = M if score == "dot" else H
    X = 2 if tokens else 1
    fed = M * (context != "output" and score is not None) + H * feeding
    options = decoder_options or {}
    second = decoder(X + fed, H, layers[1], random_state=rng, **common, **options)
    attention = None if score is None else Attention(score, second.output_size, M, random_state=rng, **common)
    return EncoderDecoder(
        first,
        second,
        attention,
        context=context,
        input_feeding=feeding,
        bridge=more.get("bridge"),
        source_embedding=Embedding(5, 2, random_state=rng, **common) if tokens else None,
        target_embedding=Embedding(4, 2, random_state=rng, **common) if tokens else None,
        readout=Linear(second.output_size, 4, random_state=rng, **common) if readout else None,
        random_state=rng,
    )


def data(net, seed=1):
    """Source and inputs of (S, B) and (T, B), and a loss."""
    rng = np.random.default_rng(seed)
    tokens = net.source_embedding is not None
    source = rng.integers(5, size=(S, B)) if tokens else rng.normal(size=(S, B, 2)).astype(net.dtype)
    inputs = rng.integers(4, size=(T, B)) if tokens else rng.normal(size=(T, B, 1)).astype(net.dtype)
    if net.readout is not None:
        return (source, inputs), CrossEntropy(rng.integers(-1, 4, size=(T, B)))
    return (source, inputs), SquaredError(rng.normal(size=(T, B, net.output_size)))


OPTIONS = {
    "additive": {"score": "additive"},
    "dot": {"score": "dot", "encoder": RNN, "decoder": LSTM},
    "output": {"context": "output", "encoder": LSTM, "decoder": LSTM},
    "both": {"context": "both", "score": "additive"},
    "input feeding": {"context": "output", "feeding": True, "decoder": RNN},
    "both fed": {"context": "both", "feeding": True, "decoder": LSTM},
    "stacked": {"layers": (2, 2), "encoder": LSTM, "decoder": GRU},
    "deeper decoder": {"layers": (1, 2), "both": False, "decoder": RNN},
    "tokens": {"tokens": True, "readout": True},
    "copied": {"bridge": "copy", "both": False},
    "copied both ways": {"bridge": "copy", "score": "dot"},
    "linear bridge": {"bridge": "linear", "encoder": GRU, "decoder": LSTM},
    "no bridge": {"bridge": "zero"},
    "learned starts": {"decoder_options": {"initial": "learned"}, "encoder_options": {"initial": "learned"}},
    "no attention": {"score": None},
    "projected": {"decoder": LSTM, "decoder_options": {"proj_size": 2}, "encoder": RNN},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradients_of_every_option(option, lengths):
    net = made(**OPTIONS[option])
    x, loss = data(net)
    graph = net.graph(x, loss, lengths=lengths)
    names = list(net.weights) + [n for n in ("encoder.x", "decoder.x") if hasattr(graph.nodes[n], "value")]
    check_gradients(graph, names, entries=1)


def test_curvature_by_differences():
    net = made(score="additive", context="both", tokens=True, readout=True)
    x, loss = data(net)
    check_gradients(net.graph(x, loss, lengths=LENGTHS), list(net.weights), entries=1, hvp=True)
    H = curvature(net, x, loss, ["attention.v"])
    assert H.shape == (4, 4) and np.isfinite(H @ np.ones(4)).all()


@pytest.mark.parametrize("context", ["cell", "output", "both"])
def test_nothing_but_the_state_joins_decoder_steps(context):
    """Edges across time start from a state; all else reaches a decoder step from the whole source."""
    net = made(context=context, layers=(1, 2), both=False, encoder=LSTM, decoder=LSTM)
    x, loss = data(net)
    report = net.graph(x, loss, lengths=LENGTHS).edges()
    states = {f"{s}_l{k}" for s in "hc" for k in range(2)}
    decoder = {n for n in report.carriers if not n.startswith("encoder.")}
    assert decoder == {f"decoder.{s}" for s in states}
    assert all(lags == (1,) for lags in report.carriers.values())
    asked = [e.lag for e in report if (e.factor, e.source) == ("attention.attend", "decoder.h_l1")]
    assert asked == [0 if context == "output" else 1]
    whole = {(e.factor, e.source) for e in report if e.kind == "all"}
    assert whole == {
        ("attention.attend", "keys"),
        ("attention.attend", "encoder.mask"),
        ("attention.read", "encoder.h_l0"),
    }
    fed = made(context="output", feeding=True, both=False, decoder=RNN).graph(x)
    assert fed.edges().carriers["combined"] == (1,)


def test_attention_is_a_sequence_with_messages():
    net = made(context="output")
    x, loss = data(net)
    m = bptt(net, x, loss, lengths=LENGTHS)
    output, attention = net(x, lengths=LENGTHS)
    np.testing.assert_array_equal(m.forward["attention"], attention)
    np.testing.assert_array_equal(m.forward[net.output], output)
    np.testing.assert_allclose(attention.sum(axis=-1), 1)
    assert not attention[:, 1, 2:].any()
    crossed = np.einsum("tbm,sbm->tbs", m.gradient["context"], m.forward["encoder.y_l0"])
    np.testing.assert_allclose(m.gradient["attention"], crossed, rtol=1e-12, atol=1e-15)


def test_padding_of_a_source_says_nothing():
    net = made(score="additive")
    (source, inputs), loss = data(net)
    changed = source.copy()
    changed[2:, 1] = 7.0
    one, other = (bptt(net, (s, inputs), loss, lengths=LENGTHS) for s in (source, changed))
    assert one.total == other.total
    for key in net.weights:
        np.testing.assert_array_equal(one.parameters[key], other.parameters[key])
    assert not one.gradient["encoder.x"][2:, 1].any()
    alone = net((source[:2, 1:], inputs[:, 1:]))[0]
    np.testing.assert_allclose(net((source, inputs), lengths=LENGTHS)[0][:, 1:], alone, rtol=1e-12)


def test_the_axes_are_those_of_the_inputs():
    net = made(encoder_options={"batch_first": True}, decoder_options={"batch_first": True})
    plain = made().load_state_dict(net.state_dict())
    (source, inputs), _ = data(plain)
    output, attention = net((source.swapaxes(0, 1), inputs.swapaxes(0, 1)), lengths=LENGTHS)
    wanted, weights = plain((source, inputs), lengths=LENGTHS)
    np.testing.assert_allclose(output, wanted.swapaxes(0, 1), rtol=1e-12)
    np.testing.assert_allclose(attention, weights.swapaxes(0, 1), rtol=1e-12)
    alone, own = plain((source[:, 0], inputs[:, 0]))
    np.testing.assert_allclose(alone, wanted[:, 0], rtol=1e-12)
    assert own.shape == (T, S)


def test_one_precision_from_end_to_end():
    net = made(tokens=True, readout=True, score="additive", dtype="float32")
    x, loss = data(net)
    m = bptt(net, x, loss, lengths=LENGTHS)
    exact = made(tokens=True, readout=True, score="additive").load_state_dict(net.state_dict())
    wanted = bptt(exact, x, loss, lengths=LENGTHS)
    for key, value in wanted.parameters.items():
        assert m.parameters[key].dtype == np.float32
        np.testing.assert_allclose(m.parameters[key], value, rtol=1e-3, atol=1e-5)
    assert net(x)[0].dtype == net(x)[1].dtype == np.float32


@pytest.mark.parametrize("option", ["dot", "both fed", "tokens"])
def test_schedules_and_the_flat_graph_change_nothing(option):
    net = made(**OPTIONS[option])
    x, loss = data(net)
    one = bptt(net, x, loss, lengths=LENGTHS)
    flat = run(net.graph(x, loss, lengths=LENGTHS).unroll())
    for other in (bptt(net, x, loss, Checkpointed(2), lengths=LENGTHS), flat):
        assert other.total == pytest.approx(one.total, rel=1e-12)
        for key in net.weights:
            np.testing.assert_allclose(one.parameters[key], other.parameters[key], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(flat.gradient["attention[1]"], one.gradient["attention"][1], rtol=1e-10)


def test_windows_drop_what_comes_from_afar():
    net = made(both=False)
    x, loss = data(net)
    whole, cut = (bptt(net, x, loss, Truncated(k, k)).parameters for k in (S, 1))
    exact = bptt(net, x, loss).parameters
    for key in net.weights:
        np.testing.assert_allclose(whole[key], exact[key], rtol=1e-12, atol=1e-15)
    assert not np.allclose(cut["encoder.weight_hh_l0"], exact["encoder.weight_hh_l0"], rtol=0.1)
    both = made()
    with pytest.raises(UnsupportedError, match=r"encoder\.h_l0_reverse runs against the clock"):
        bptt(both, *data(both), Truncated(2, 2))


def test_dropout_is_drawn_in_both_parts():
    options = {"dropout": 0.5}
    net = made(layers=(2, 2), encoder_options=options, decoder_options=options)
    x, loss = data(net)
    drawn = [bptt(net, x, loss, random_state=seed).total for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] != bptt(net, x, loss).total
    graph = net.graph(x, loss, random_state=0)
    assert {"encoder.dropout_l0", "decoder.dropout_l0"} <= set(graph.nodes)
    check_gradients(graph, list(net.weights), entries=1)


def test_gates_are_sequences():
    net = made(context="output", decoder=LSTM)
    x, loss = data(net)
    m = bptt(net, x, loss, gates=True)
    assert m.gradient["decoder.gates_l0"].shape == (T, B, 16)
    assert m.gradient["encoder.gates_l0_reverse"].shape == (S, B, 12)
    assert m.total == pytest.approx(bptt(net, x, loss).total, rel=1e-12)


def test_it_learns_to_reverse():
    """Three tokens backwards: the loss falls, the attention ends on the right places."""
    rng = np.random.default_rng(0)
    source = rng.integers(1, 5, size=(3, 40))
    inputs = np.concatenate([np.zeros((1, 40), int), source[::-1][:-1]])
    net = EncoderDecoder(
        GRU(4, 6, bidirectional=True, random_state=0),
        GRU(4 + 12, 12, random_state=1),
        Attention("general", 12, 12, random_state=2),
        source_embedding=Embedding(5, 4, random_state=3),
        target_embedding=Embedding(5, 4, random_state=4),
        readout=Linear(12, 5, random_state=5),
        random_state=6,
    )
    history = fit(
        net, (source, inputs), CrossEntropy(source[::-1], "mean"), n_iter=40, tol=None, progress=False
    )
    assert history.best < 0.05 < 1 < history.losses[0]
    written = net.generate(source, 0, 3)
    assert (written.tokens == source[::-1]).mean() > 0.98


@pytest.mark.parametrize("option", ["additive", "both fed", "tokens", "learned starts", "copied both ways"])
def test_weights_by_key_and_in_files(option, tmp_path):
    net = made(**OPTIONS[option])
    x, _ = data(net)
    other = made(**OPTIONS[option], seed=5)
    assert not np.array_equal(other(x)[0], net(x)[0])
    net.save(tmp_path / "net")
    for same in (other.load_state_dict(net.state_dict()), load(tmp_path / "net")):
        assert repr(same) == repr(net) and list(same.weights) == list(net.weights)
        np.testing.assert_array_equal(same(x)[0], net(x)[0])
    once, again = ({k: v.copy() for k, v in net.reset(3).weights.items()} for _ in range(2))
    assert all((again[k] == v).all() for k, v in once.items())
    with pytest.raises(DataError, match=r"lacks .*encoder\.weight_ih_l0"):
        net.load_state_dict({})


BAD = {
    "a decoder of two directions": (
        lambda: made(decoder_options={"bidirectional": True}),
        DataError,
        "one direction",
    ),
    "sizes of the attention": (
        lambda: EncoderDecoder(GRU(2, 3), GRU(4, 4), Attention("general", 4, 4)),
        ShapeError,
        "a row of the encoder 3",
    ),
    "no room for inputs": (
        lambda: EncoderDecoder(GRU(2, 3), GRU(3, 4), Attention("general", 4, 3)),
        ShapeError,
        "more than 3",
    ),
    "the size of an embedding": (
        lambda: EncoderDecoder(
            GRU(2, 3), GRU(4, 4), Attention("general", 4, 3), target_embedding=Embedding(5, 2)
        ),
        ShapeError,
        "make it 5",
    ),
    "a copy of another size": (
        lambda: EncoderDecoder(GRU(2, 3), GRU(4, 4), Attention("general", 4, 3), bridge="copy"),
        ShapeError,
        "take 'tanh' or 'linear'",
    ),
    "a bridge to learned starts": (
        lambda: made(bridge="tanh", decoder_options={"initial": "learned"}),
        DataError,
        "weights of its own",
    ),
    "feeding what is not there": (lambda: made(feeding=True), DataError, "needs attention with"),
    "a readout of another size": (
        lambda: EncoderDecoder(GRU(2, 3), GRU(1, 4), readout=Linear(3, 2)),
        ShapeError,
        "puts out 4",
    ),
    "no network": (lambda: EncoderDecoder(Linear(1, 1), GRU(1, 4)), DataError, "encoder must be an RNN"),
    "no attention": (lambda: EncoderDecoder(GRU(1, 1), GRU(1, 4), "dot"), DataError, "an Attention"),
    "precisions": (lambda: EncoderDecoder(GRU(1, 1), GRU(1, 4, dtype="float32")), DataError, "float32"),
    "axes": (lambda: EncoderDecoder(GRU(1, 1), GRU(1, 4, batch_first=True)), DataError, "batch_first"),
    "one array": (lambda: made()(np.zeros((S, B, 2))), DataError, r"\(source, inputs\)"),
    "batches": (lambda: made()((np.zeros((S, B, 2)), np.zeros((T, 3, 1)))), ShapeError, "as many"),
    "inputs": (lambda: made()((np.zeros((S, B, 2)), np.zeros((T, B, 2)))), ShapeError, "I = 1"),
    "tokens": (lambda: made(tokens=True)((np.zeros((S, B), int), np.full((T, B), 4))), DataError, "token 4"),
    "two readouts": (
        lambda: bptt(
            made(readout=True),
            (np.zeros((S, B, 2)), np.zeros((T, B, 1))),
            CrossEntropy(np.zeros((T, B), int), readout=Linear(4, 4)),
        ),
        DataError,
        "leave one out",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_refusals(what):
    act, error, words = BAD[what]
    with pytest.raises(error, match=words):
        act()
