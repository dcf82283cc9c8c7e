"""The rates and the decay that are planned where the user leaves them open, each with its reason.

They are here and not in `groundup.planning` because the diagnosis compares with them, and loads no torch for that.
"""

# 1 was best of 0.1 to 4 on a text read 21 times, 2 came to the same at 43 times (docs/experiments.md)
DECAY_PER_EPOCH, LEAST_DECAY, MOST_DECAY = 0.05, 0.1, 2.0


def usual_rates(name: str, width: int) -> dict[str, tuple[float, str]]:
    """Setting -> (peak rate, reason) for the optimizer `name` ("muon" or "adamw") and a model `width` wide."""
    if name == "muon":
        narrow = width < 128
        embedding, head = (0.04, 0.008) if narrow else (0.02, 0.004)
        reason = "measured better than half of it below 128 wide" if narrow else "goes with .02 for the matrices"
        return {
            "optimizer.learning_rate": (0.02, "measured best of .02 and .03 at 128 wide"),
            "optimizer.embedding_rate": (embedding, reason),
            "optimizer.head_rate": (head, reason),
        }
    rate = round(3e-3 * (128 / width) ** 0.5, 6)
    reason = "3e-3 at 128 wide (measured best of 3e-3 and 6e-3), less for wider ones"
    return {"optimizer.learning_rate": (rate, reason)}


def usual_decay(epochs: float) -> tuple[float, str]:
    """(weight decay, reason) for a text that is read `epochs` times."""
    decay = round(min(max(LEAST_DECAY, DECAY_PER_EPOCH * epochs), MOST_DECAY), 3)
    return decay, f"{DECAY_PER_EPOCH} for each of {epochs:.1f} epochs, {LEAST_DECAY} to {MOST_DECAY}"
