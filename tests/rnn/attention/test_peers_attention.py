"""Attention and the encoder-decoder, built by hand in torch with the same weights: outputs and gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn import GRU, LSTM, RNN, Attention, CrossEntropy, Embedding, EncoderDecoder, Linear, bptt

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

CELLS = {"RNN": (RNN, torch.nn.RNN), "LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}
CLOSE = {"rtol": 1e-8, "atol": 1e-11}


def scores(kind, w, q, memory, scale):
    """(B, S) of one query (B, Q) over a memory (S, B, M)."""
    if kind == "additive":
        hidden = torch.tanh((q @ w["weight_query"].T) + memory @ w["weight_memory"].T + w.get("bias", 0))
        return (hidden @ w["v"]).T * scale
    if kind == "general":
        memory = memory @ w["weight_memory"].T
    elif w:
        q, memory = q @ w["weight_query"].T, memory @ w["weight_memory"].T
    return torch.einsum("bq,sbq->bs", q, memory) * scale


def torch_stack(net, module_of, weights, prefix):
    """torch's own module over the leaves of our weights."""
    module = module_of(
        net.input_size, net.hidden_size, net.num_layers, bidirectional=net.bidirectional, dtype=torch.float64
    )
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return lambda x, *state: torch.func.functional_call(module, own, (x, *state))


def decoded(net, names, weights, source, tokens, lengths):
    """Logits (T, B, V) and attention, step by step."""
    encode = torch_stack(net.encoder, CELLS[names[0]][1], weights, "encoder.")
    x = weights["source_embedding.weight"][torch.tensor(source)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    memory, last = encode(packed)
    memory, _ = torch.nn.utils.rnn.pad_packed_sequence(memory, total_length=len(source))
    last = last if isinstance(last, tuple) else (last,)
    parts = {s: v for s, v in zip(net.encoder.cell.states, last, strict=True)}
    directions = 1 + net.encoder.bidirectional
    starts = []
    for state in net.decoder.cell.states:
        layers = []
        for layer in range(net.decoder.num_layers):
            from_layer = layer + net.encoder.num_layers - net.decoder.num_layers
            rows = parts.get(state, last[0])[from_layer * directions : (from_layer + 1) * directions]
            joined = torch.cat(list(rows), dim=-1)
            key = f"bridge.{state}0_l{layer}"
            kind = net.bridge
            if kind in ("linear", "tanh"):
                joined = joined @ weights[f"{key}.weight"].T + weights[f"{key}.bias"]
            joined = torch.tanh(joined) if kind == "tanh" else joined
            layers.append(
                torch.zeros(len(joined), net.decoder.hidden_size).double() if kind == "zero" else joined
            )
        starts.append(torch.stack(layers))
    state = starts
    decode = torch_stack(net.decoder, CELLS[names[1]][1], weights, "decoder.")
    own = {k.removeprefix("attention."): v for k, v in weights.items() if k.startswith("attention.")}
    mask = torch.arange(len(source))[None] < torch.tensor(lengths)[:, None]
    combined = torch.zeros(source.shape[1], net.decoder.hidden_size).double()
    outputs, attention = [], []

    def read(query):
        e = scores(net.attention.score, own, query, memory, net.attention.scale)
        a = torch.softmax(e.masked_fill(~mask, -torch.inf), dim=-1)
        attention.append(a)
        return torch.einsum("bs,sbm->bm", a, memory)

    for row in tokens:
        fed = [weights["target_embedding.weight"][torch.tensor(row)]]
        if net.context != "output":
            context = read(state[0][-1])
            fed.append(context)
        if net.input_feeding:
            fed.append(combined)
        given = tuple(state) if len(state) > 1 else state[0]
        out, state = decode(torch.cat(fed, dim=-1)[None], given)
        state = list(state) if isinstance(state, tuple) else [state]
        out = out[0]
        if net.context == "output":
            context = read(out)
        if net.context != "cell":
            joined = torch.cat([context, out], dim=-1)
            out = combined = torch.tanh(joined @ weights["combine.weight"].T + weights["combine.bias"])
        outputs.append(out @ weights["readout.weight"].T + weights["readout.bias"])
    for a in attention:
        a.retain_grad()
    return torch.stack(outputs), attention


@st.composite
def problems(draw):
    """A random encoder-decoder over tokens, ragged sources and labels of which some are unknown."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    names = draw(st.sampled_from(list(CELLS))), draw(st.sampled_from(list(CELLS)))
    layers = draw(st.sampled_from([(1, 1), (2, 1), (2, 2)]))
    both, score = (
        draw(st.booleans()),
        draw(st.sampled_from(["additive", "dot", "scaled", "general", "projected"])),
    )
    context = draw(st.sampled_from(["cell", "output", "both"]))
    feeding = context != "cell" and draw(st.booleans())
    V, U, E, F, H = 6, 5, 2, 3, 3
    encoder = CELLS[names[0]][0](E, H, layers[0], bidirectional=both, random_state=rng)
    M = encoder.output_size
    K = M if score in ("dot", "scaled") else 4
    decoder = CELLS[names[1]][0](F + M * (context != "output") + K * feeding, K, layers[1], random_state=rng)
    attention = Attention(
        "scaled" if score == "projected" else score,
        K,
        M,
        3 if score in ("additive", "projected") else None,
        scale=draw(st.sampled_from([None, 2.5])),
        bias=score == "additive" and draw(st.booleans()),
        random_state=rng,
    )
    bridge = draw(st.sampled_from([None, "linear", "tanh", "zero"]))
    net = EncoderDecoder(
        encoder,
        decoder,
        attention,
        context=context,
        input_feeding=feeding,
        bridge=bridge,
        source_embedding=Embedding(V, E, random_state=rng),
        target_embedding=Embedding(U, F, padding_idx=0, random_state=rng),
        readout=Linear(K, U, random_state=rng),
        random_state=rng,
    )
    S, T, B = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    lengths = rng.integers(1, S + 1, size=B)
    labels = rng.integers(-1, U, size=(T, B))
    return net, names, rng.integers(V, size=(S, B)), rng.integers(U, size=(T, B)), lengths, labels


@settings(max_examples=60)
@given(problems())
def test_outputs_and_gradients(problem):
    net, names, source, tokens, lengths, labels = problem
    weights = {k: torch.tensor(v, requires_grad=True) for k, v in net.weights.items()}
    logits, attention = decoded(net, names, weights, source, tokens, lengths)
    theirs = torch.nn.functional.cross_entropy(
        logits.reshape(-1, 5), torch.tensor(labels.reshape(-1)), ignore_index=-1, reduction="sum"
    )
    output, weights_of_source = net((source, tokens), lengths=lengths)
    np.testing.assert_allclose(output, logits.detach().numpy(), **CLOSE)
    np.testing.assert_allclose(weights_of_source, torch.stack(attention).detach().numpy(), **CLOSE)
    m = bptt(net, (source, tokens), CrossEntropy(labels), lengths=lengths)
    assert m.total == pytest.approx(theirs.item(), rel=1e-11, abs=1e-12)
    assert list(m.parameters) and set(m.parameters) == set(net.weights)
    if not (labels >= 0).any():
        return
    theirs.backward()
    for key, value in weights.items():
        wanted = np.zeros(value.shape) if value.grad is None else value.grad.numpy().copy()
        if key == "target_embedding.weight":
            wanted[0] = 0  # padding_idx
        np.testing.assert_allclose(m.parameters[key], wanted, err_msg=key, **CLOSE)
    for t, a in enumerate(attention):
        mask = np.arange(len(source))[None] < lengths[:, None]
        found, wanted = m.gradient["attention"][t], a.grad.numpy()
        np.testing.assert_allclose(found * mask, wanted * mask, **CLOSE)


def test_single_precision():
    rng = np.random.default_rng(0)
    made = {"dtype": "float32", "random_state": 0}
    encoder, decoder = LSTM(5, 8, bidirectional=True, **made), LSTM(4 + 16, 8, **made)
    net = EncoderDecoder(encoder, decoder, Attention("additive", 8, 16, **made), random_state=1)
    source, inputs = (rng.standard_normal(s, dtype=np.float32) for s in ((20, 6, 5), (15, 6, 4)))
    labels = rng.integers(8, size=(15, 6))
    m = bptt(net, (source, inputs), CrossEntropy(labels))
    exact = EncoderDecoder(
        LSTM(5, 8, bidirectional=True), LSTM(20, 8), Attention("additive", 8, 16)
    ).load_state_dict(net.state_dict())
    wanted = bptt(exact, (source.astype(float), inputs.astype(float)), CrossEntropy(labels))
    for key, value in wanted.parameters.items():
        assert m.parameters[key].dtype == np.float32
        np.testing.assert_allclose(m.parameters[key], value, rtol=2e-3, atol=2e-4 * np.abs(value).max())


def test_embedding_is_torchs():
    module = torch.nn.Embedding(7, 3, padding_idx=2)
    ours = Embedding(7, 3, padding_idx=2, dtype="float32").load_state_dict(module.state_dict())
    tokens = np.array([[1, 2], [6, 1]])
    np.testing.assert_array_equal(ours(tokens), module(torch.tensor(tokens)).detach().numpy())
