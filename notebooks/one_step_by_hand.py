"""One training step of a tiny transformer, written out in NumPy and compared with groundup's: `marimo edit` this file,
or run it with python."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import numpy as np
    import torch

    from groundup.config import Optimizer
    from groundup.corpus import Tokenizer
    from groundup.model import ModelShape, Transformer
    from groundup.training import build_optimizer, clip_gradients, loss_sums

    torch.set_num_threads(1)
    return ModelShape, Optimizer, Tokenizer, Transformer, build_optimizer, clip_gradients, loss_sums, mo, np, torch


@app.cell
def _(mo):
    mo.md(r"""
    # One step by hand

    Training a language model is one step, repeated: **read** some tokens and guess each next one (forward), ask **how
    wrong** the guesses were (loss), ask of every weight **which way** it would have made them better (backward), and
    **move** every weight a little that way (the optimizer). Below, each of these is a few lines of NumPy. At the end
    groundup takes the same step, and every number is compared.

    Sizes: $B$ sequences of $T$ tokens, width $C$, $H$ heads of size $D$, inner width $F$ of the feed-forward layer,
    vocabulary $V$.
    """)
    return


@app.cell
def _(ModelShape, Tokenizer, np):
    tokenizer = Tokenizer.of_bytes()  # one token for each byte
    shape = ModelShape(
        arch="qwen3",
        vocab_size=tokenizer.vocab_size,
        layers=2,
        width=8,
        heads=2,
        kv_heads=2,
        head_dim=4,
        ffn_width=12,
        context=16,
        tied=False,
    )
    ids = np.array(tokenizer.encode("to be, or not to be, that is the question"))
    B, T = 2, 16
    # each token's target is the token after it
    inputs = ids[: B * T].reshape(B, T)
    targets = ids[1 : B * T + 1].reshape(B, T)
    print(f"{B} sequences of {T} tokens:", [tokenizer.decode(row) for row in inputs])
    return B, T, inputs, shape, targets


@app.cell
def _(mo):
    mo.md(r"""
    ## The weights

    All are drawn at random here. (groundup starts some matrices at zero, which learns better, and leaves nothing to see
    in a first step: what is multiplied by zero has no gradient.)
    """)
    return


@app.cell
def _(Transformer, np, shape):
    model = Transformer(shape)
    draw = np.random.default_rng(0)
    weights = {}
    for _name, _parameter in model.named_parameters():
        if _parameter.ndim == 1:  # the norms' weights are near 1
            weights[_name] = 1 + 0.1 * draw.standard_normal(_parameter.shape)
        else:
            weights[_name] = draw.standard_normal(_parameter.shape) / np.sqrt(_parameter.shape[1])
    print(f"{sum(w.size for w in weights.values()):,} weights in {len(weights)} tensors, such as")
    for _name in list(weights)[:6]:
        print(f"  {_name:<45} {weights[_name].shape}")
    return model, weights


@app.cell
def _(mo):
    mo.md(r"""
    ## Forward, and its way back

    Each piece comes as a pair: what it computes, and how a gradient goes back through it. If $L$ is the loss and a
    piece computes $y$ from $x$, the way back gets $\partial L/\partial y$ (written `dy`) and returns
    $\partial L/\partial x$ (`dx`), and the gradient of its weights if it has any. That is the chain rule, one piece at
    a time.

    **A matrix** $y = x W^T$.
    """)
    return


@app.cell
def _():
    def matrix(x, W):
        return x @ W.T

    def matrix_back(dy, x, W):
        dW = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])  # summed over all tokens
        return dy @ W, dW

    return matrix, matrix_back


@app.cell
def _(mo):
    mo.md(r"""
    **RMSNorm** (Zhang & Sennrich 2019, equation 4): $y = \hat x\, w$ with
    $\hat x = x / \sqrt{\mathrm{mean}(x^2) + \epsilon}$.
    A change of $x$ along $\hat x$ is normalized away, so the way back takes that part out of the gradient.
    """)
    return


@app.cell
def _(np, shape):
    def norm(x, w):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + shape.norm_eps) * w

    def norm_back(dy, x, w):
        r = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + shape.norm_eps)
        x_hat, dx_hat = x * r, dy * w
        dw = (dy * x_hat).reshape(-1, len(w)).sum(0)
        return r * (dx_hat - x_hat * (dx_hat * x_hat).mean(-1, keepdims=True)), dw

    return norm, norm_back


@app.cell
def _(mo):
    mo.md(r"""
    **Positions** (Su et al. 2021, RoPE): dimensions $i$ and $i + D/2$ of a query or key are turned by the angle
    $t\,\theta^{-2i/D}$ at position $t$. The way back turns by the negative angle.
    """)
    return


@app.cell
def _(T, np, shape):
    half = shape.head_dim // 2
    angles = np.outer(np.arange(T), shape.rope_theta ** (-np.arange(half) / half))  # (T, D/2)

    def turn(x, sign=1):
        a, b = x[..., :half], x[..., half:]
        cos, sin = np.cos(angles), sign * np.sin(angles)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    return (turn,)


@app.cell
def _(mo):
    mo.md(r"""
    **Attention** (Vaswani et al. 2017, equation 1): $A = \mathrm{softmax}(q k^T / \sqrt D)$ over the tokens so far, and
    $y = A v$. The way back of a softmax is $ds = A\,(dA - \sum_j A_j\,dA_j)$.
    """)
    return


@app.cell
def _(T, np, shape):
    later = np.triu(np.ones((T, T), dtype=bool), 1)

    def softmax(scores):
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    def attend(q, k, v):  # each (B, H, T, D)
        A = softmax(np.where(later, -np.inf, q @ k.swapaxes(-1, -2) / np.sqrt(shape.head_dim)))
        return A @ v, A

    def attend_back(dy, q, k, v, A):
        dA = dy @ v.swapaxes(-1, -2)
        ds = A * (dA - (A * dA).sum(-1, keepdims=True)) / np.sqrt(shape.head_dim)
        return ds @ k, ds.swapaxes(-1, -2) @ q, A.swapaxes(-1, -2) @ dy

    return attend, attend_back, softmax


@app.cell
def _(mo):
    mo.md(r"""
    **SwiGLU** (Shazeer 2020): $\mathrm{silu}(g)\,u$ with $\mathrm{silu}(g) = g\,\sigma(g)$.
    """)
    return


@app.cell
def _(np):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def swiglu(g, u):
        return g * sigmoid(g) * u

    def swiglu_back(dy, g, u):
        s = sigmoid(g)
        return dy * u * s * (1 + g * (1 - s)), dy * g * s

    return swiglu, swiglu_back


@app.cell
def _(mo):
    mo.md(r"""
    ## A block

    Both halves read the stream through a norm and add to it, so the gradient of the stream goes straight through, and
    what comes back through the half is added to it.
    """)
    return


@app.cell
def _(attend, attend_back, matrix, matrix_back, norm, norm_back, shape, swiglu, swiglu_back, turn):
    def heads(x):  # (B, T, H D) -> (B, H, T, D)
        return x.reshape(*x.shape[:2], shape.heads, shape.head_dim).swapaxes(1, 2)

    def joined(x):  # and back
        return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)

    def block(x, w):
        n1 = norm(x, w["input_layernorm"])
        q0, k0, v = (heads(matrix(n1, w[f"self_attn.{name}_proj"])) for name in "qkv")
        q, k = turn(norm(q0, w["self_attn.q_norm"])), turn(norm(k0, w["self_attn.k_norm"]))
        y, A = attend(q, k, v)
        x1 = x + matrix(joined(y), w["self_attn.o_proj"])
        n2 = norm(x1, w["post_attention_layernorm"])
        g, u = matrix(n2, w["mlp.gate_proj"]), matrix(n2, w["mlp.up_proj"])
        x2 = x1 + matrix(swiglu(g, u), w["mlp.down_proj"])
        return x2, (x, n1, q0, k0, q, k, v, y, A, x1, n2, g, u)

    def block_back(dx2, w, kept):
        x, n1, q0, k0, q, k, v, y, A, x1, n2, g, u = kept
        d = {}
        # feed-forward
        dgated, d["mlp.down_proj"] = matrix_back(dx2, swiglu(g, u), w["mlp.down_proj"])
        dg, du = swiglu_back(dgated, g, u)
        dn2_g, d["mlp.gate_proj"] = matrix_back(dg, n2, w["mlp.gate_proj"])
        dn2_u, d["mlp.up_proj"] = matrix_back(du, n2, w["mlp.up_proj"])
        dx1, d["post_attention_layernorm"] = norm_back(dn2_g + dn2_u, x1, w["post_attention_layernorm"])
        dx1 = dx1 + dx2
        # attention
        dy, d["self_attn.o_proj"] = matrix_back(dx1, joined(y), w["self_attn.o_proj"])
        dq, dk, dv = attend_back(heads(dy), q, k, v, A)
        dq0, d["self_attn.q_norm"] = norm_back(turn(dq, -1), q0, w["self_attn.q_norm"])
        dk0, d["self_attn.k_norm"] = norm_back(turn(dk, -1), k0, w["self_attn.k_norm"])
        dn1 = 0
        for name, part in (("q", dq0), ("k", dk0), ("v", dv)):
            back, d[f"self_attn.{name}_proj"] = matrix_back(joined(part), n1, w[f"self_attn.{name}_proj"])
            dn1 = dn1 + back
        dx, d["input_layernorm"] = norm_back(dn1, x, w["input_layernorm"])
        return dx + dx1, d

    return block, block_back


@app.cell
def _(mo):
    mo.md(r"""
    ## The model and its loss

    Tokens become rows of the embedding, go through the blocks, are normalized, and the head gives every token of the
    vocabulary a logit. The loss is $-\ln p$ of the right one, averaged over all $N = B\,T$ tokens. Its gradient is the
    simplest of all: $(p - \text{one-hot}) / N$.
    """)
    return


@app.cell
def _(B, T, block, block_back, matrix, matrix_back, norm, norm_back, np, shape, softmax):
    def of_block(weights, number):
        start = f"model.layers.{number}."
        return {n.removeprefix(start).removesuffix(".weight"): w for n, w in weights.items() if n.startswith(start)}

    def forward(weights, inputs, targets):
        x = weights["model.embed_tokens.weight"][inputs]
        kept = []
        for number in range(shape.layers):
            x, tensors = block(x, of_block(weights, number))
            kept.append(tensors)
        final = norm(x, weights["model.norm.weight"])
        p = softmax(matrix(final, weights["lm_head.weight"]))
        right = np.take_along_axis(p, targets[..., None], -1)
        return -np.log(right).mean(), (kept, x, final, p)

    def backward(weights, inputs, targets, saved):
        kept, x, final, p = saved
        d = {}
        dlogits = p.copy()
        np.put_along_axis(dlogits, targets[..., None], np.take_along_axis(p, targets[..., None], -1) - 1, -1)
        dlogits /= B * T
        dfinal, d["lm_head.weight"] = matrix_back(dlogits, final, weights["lm_head.weight"])
        dx, d["model.norm.weight"] = norm_back(dfinal, x, weights["model.norm.weight"])
        for number in reversed(range(shape.layers)):
            dx, of = block_back(dx, of_block(weights, number), kept[number])
            d |= {f"model.layers.{number}.{name}.weight": slope for name, slope in of.items()}
        d["model.embed_tokens.weight"] = np.zeros_like(weights["model.embed_tokens.weight"])
        np.add.at(d["model.embed_tokens.weight"], inputs, dx)  # a token that comes twice learns twice
        return d

    return backward, forward


@app.cell
def _(backward, forward, inputs, np, shape, targets, weights):
    loss, saved = forward(weights, inputs, targets)
    slopes = backward(weights, inputs, targets, saved)
    print(f"loss {loss:.6f} nats per token (guessing evenly would be ln V = {np.log(shape.vocab_size):.6f})")
    return loss, slopes


@app.cell
def _(mo):
    mo.md(r"""
    ## The update

    First the gradient as a whole is clipped: where its length is above 1, it is scaled to 1. Then AdamW (Kingma & Ba
    2015, Loshchilov & Hutter 2019), here at its first step $t = 1$, where both averages begin at 0:

    $$m = (1-\beta_1)\,g,\quad v = (1-\beta_2)\,g^2,\quad \hat m = \frac{m}{1-\beta_1^t},\quad
    \hat v = \frac{v}{1-\beta_2^t},\quad w \leftarrow w - \eta\left(\frac{\hat m}{\sqrt{\hat v} + \epsilon} +
    \lambda w\right)$$

    The decay $\lambda$ is for matrices alone, not for the weights of norms.
    """)
    return


@app.cell
def _(Optimizer, np, slopes, weights):
    settings = Optimizer(name="adamw", learning_rate=0.01, weight_decay=0.1)
    length = np.sqrt(sum((slope**2).sum() for slope in slopes.values()))
    clip = min(1.0, settings.clip / length)
    b1, b2 = settings.betas
    stepped = {}
    for _name, _w in weights.items():
        g = slopes[_name] * clip
        m, v = (1 - b1) * g, (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1), v / (1 - b2)
        decay = settings.weight_decay if _w.ndim == 2 else 0.0
        stepped[_name] = _w - settings.learning_rate * (m_hat / (np.sqrt(v_hat) + settings.eps) + decay * _w)
    print(f"length of the gradient {length:.6f}, so it is multiplied by {clip:.6f}")
    return length, settings, stepped


@app.cell
def _(forward, inputs, loss, stepped, targets):
    loss_after, _ = forward(stepped, inputs, targets)
    print(f"loss of the same tokens: {loss:.6f} before, {loss_after:.6f} after")
    return (loss_after,)


@app.cell
def _(mo):
    mo.md(r"""
    ## The same step by groundup

    The same weights, the same tokens, the functions that training uses: float32 there, float64 here.
    """)
    return


@app.cell
def _(build_optimizer, clip_gradients, inputs, loss_sums, model, settings, targets, torch, weights):
    model.load_state_dict({name: torch.tensor(w, dtype=torch.float32) for name, w in weights.items()})
    optimizers = build_optimizer(model, settings)
    _inputs, _targets = torch.tensor(inputs), torch.tensor(targets)
    _nll, _ = loss_sums(model, _inputs, _targets)
    their_loss = _nll / _targets.numel()
    their_loss.backward()
    their_slopes = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    their_length = clip_gradients(model.parameters(), settings.clip).item()
    optimizers.step(1.0)
    their_weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    with torch.no_grad():
        their_loss_after = (loss_sums(model, _inputs, _targets)[0] / _targets.numel()).item()
    return their_length, their_loss, their_loss_after, their_slopes, their_weights


@app.cell
def _(
    length,
    loss,
    loss_after,
    np,
    slopes,
    stepped,
    their_length,
    their_loss,
    their_loss_after,
    their_slopes,
    their_weights,
):
    differences = {
        "loss before": abs(loss - their_loss.item()),
        "length of the gradient": abs(length - their_length),
        "loss after": abs(loss_after - their_loss_after),
    }
    print(f"{'tensor':<48} {'gradient':>10} {'weight':>10}   largest differences")
    for _name in slopes:
        _pair = np.abs(slopes[_name] - their_slopes[_name]).max(), np.abs(stepped[_name] - their_weights[_name]).max()
        differences[f"gradient of {_name}"], differences[_name] = _pair
        print(f"{_name:<48} {_pair[0]:10.1e} {_pair[1]:10.1e}")
    largest = max(differences, key=differences.get)
    print(f"\nlargest of all: {differences[largest]:.1e} ({largest})")
    assert differences[largest] < 1e-5, "the two steps differ"
    return


if __name__ == "__main__":
    app.run()
