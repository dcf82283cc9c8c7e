"""The forward pass of a small decoder-only transformer in plain NumPy, with three checks of its behavior.

Run `python tiny_transformer.py`. The weights are random, so the model knows nothing yet: its loss must lie
near ln V, and changing a later token must leave every earlier prediction untouched.
Shapes: B sequences, T positions, C channels, N heads of D channels, V tokens.
"""

from dataclasses import dataclass

import numpy as np

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config:
    vocab: int = 256
    layers: int = 4
    channels: int = 64
    heads: int = 4
    hidden: int = 172  # about 8/3 of the channels: three matrices then cost what two of width 4C would


def initialize(config: Config, rng: np.random.Generator) -> Weights:
    """Normal weights of standard deviation 0.02; gains at 1; outputs into the stream scaled by depth."""
    V, C, H = config.vocab, config.channels, config.hidden

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return rng.normal(0.0, 0.02 * scale, shape)

    # 2L branches add into the residual stream; without this factor its variance would grow with depth.
    branch = (2 * config.layers) ** -0.5
    weights: Weights = {"embedding": normal(V, C), "head": normal(C, V), "norm": np.ones(C)}
    for i in range(config.layers):
        weights |= {f"{i}.norm1": np.ones(C), f"{i}.norm2": np.ones(C)}
        weights |= {f"{i}.{name}": normal(C, C) for name in ("q", "k", "v")}
        weights |= {f"{i}.gate": normal(C, H), f"{i}.up": normal(C, H)}
        weights |= {f"{i}.o": normal(C, C, scale=branch), f"{i}.down": normal(H, C, scale=branch)}
    return weights


def rms_norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Divide each vector by the root of its mean square, then scale each channel; (..., C)."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * gain


def softmax(x: np.ndarray) -> np.ndarray:
    """Exponentials that sum to 1 over the last axis."""
    # Subtracting the largest value changes nothing in the quotient and prevents an overflow.
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def rotate(x: np.ndarray) -> np.ndarray:
    """Rotary positions for (B, N, T, D): pair i turns by t * 10000^(-2i/D) at position t."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[-2])[:, None] * 10000.0 ** (-np.arange(half) / half)  # (T, D/2)
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)


def attention(x: np.ndarray, weights: Weights, layer: int, heads: int) -> np.ndarray:
    """Causal multi-head attention, (B, T, C) to (B, T, C)."""
    B, T, C = x.shape

    def split(name: str) -> np.ndarray:  # (B, T, C) -> (B, N, T, D)
        return (x @ weights[f"{layer}.{name}"]).reshape(B, T, heads, C // heads).transpose(0, 2, 1, 3)

    q, k, v = rotate(split("q")), rotate(split("k")), split("v")
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(C // heads)  # (B, N, T, T)
    future = np.triu(np.ones((T, T), dtype=bool), k=1)
    mixed = softmax(np.where(future, -np.inf, scores)) @ v  # (B, N, T, D)
    return mixed.transpose(0, 2, 1, 3).reshape(B, T, C) @ weights[f"{layer}.o"]


def feed_forward(x: np.ndarray, weights: Weights, layer: int) -> np.ndarray:
    """SwiGLU: one projection, passed through z / (1 + exp(-z)), gates the other; (B, T, C) to (B, T, C)."""
    gate = x @ weights[f"{layer}.gate"]
    return (gate / (1 + np.exp(-gate)) * (x @ weights[f"{layer}.up"])) @ weights[f"{layer}.down"]


def forward(ids: np.ndarray, weights: Weights, config: Config) -> np.ndarray:
    """Token ids (B, T) to logits (B, T, V): position t holds the scores for token t + 1."""
    x = weights["embedding"][ids]
    for i in range(config.layers):
        x = x + attention(rms_norm(x, weights[f"{i}.norm1"]), weights, i, config.heads)
        x = x + feed_forward(rms_norm(x, weights[f"{i}.norm2"]), weights, i)
    return rms_norm(x, weights["norm"]) @ weights["head"]


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean of -ln P(target) in nats; logits (B, T, V), targets (B, T)."""
    probabilities = softmax(logits)
    return float(-np.log(np.take_along_axis(probabilities, targets[..., None], axis=-1)).mean())


def main() -> None:
    config, rng = Config(), np.random.default_rng(0)
    weights = initialize(config, rng)
    print(f"{sum(w.size for w in weights.values()):,} parameters")

    text = "A model that has learned nothing is not wrong; it is undecided."
    ids = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(int)[
        None
    ]  # (1, T): the bytes are the tokens
    logits = forward(ids[:, :-1], weights, config)
    print(f"logits have shape {logits.shape}")
    loss = cross_entropy(logits, ids[:, 1:])
    print(f"loss {loss:.3f}, and ln {config.vocab} = {np.log(config.vocab):.3f}")

    changed = ids[:, :-1].copy()
    changed[0, 40] = (changed[0, 40] + 1) % config.vocab
    difference = np.abs(forward(changed, weights, config) - logits).max(axis=-1)[0]  # (T,)
    print(f"largest change before position 40: {difference[:40].max():.1e}")
    print(f"largest change from there on:      {difference[40:].max():.1e}")


if __name__ == "__main__":
    main()
