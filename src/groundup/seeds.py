"""Randomness has one owner: every random draw comes from a generator named by (seed, purpose, step)."""

import hashlib


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """A seed in [0, 2**63) for one purpose at one step; a pure function, so that resuming repeats every draw."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
