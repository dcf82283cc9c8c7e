"""One real next-token distribution, and what temperature, top-k, top-p and min-p make of it."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from groundup.inference import SamplingSettings
from groundup.inference.sampling import choose, probabilities
from groundup.insight.passage import choose_passage
from groundup.insight.subject import Subject

TOP, DRAWS = 8, 8
PLAIN = SamplingSettings(temperature=1.0, top_k=0)
SETTINGS = {
    "plain": PLAIN,
    "T 0.5": dataclasses.replace(PLAIN, temperature=0.5),
    "T 1.5": dataclasses.replace(PLAIN, temperature=1.5),
    "top-k 5": dataclasses.replace(PLAIN, top_k=5),
    "top-p 0.9": dataclasses.replace(PLAIN, top_p=0.9),
    "min-p 0.1": dataclasses.replace(PLAIN, min_p=0.1),
    "default": SamplingSettings(),
    "greedy": dataclasses.replace(PLAIN, temperature=0.0),
}


@torch.no_grad()
def explain_sampling(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """What may come after a `prompt` (`text`, else the first half of a held-out sentence, whose `next` token is known).

    `tokens` are the likeliest TOP by the plain distribution softmax(logits). For each of `settings`: the `settings`
    changed, how many tokens are `kept`, the `mass` that these have in the plain distribution, `entropy` in nats
    (-sum p ln p; even over n tokens it is ln n), the `probabilities` of `tokens` now, and the first DRAWS tokens
    `drawn` with the seed, which are those that `generate` begins its samples with. Computed by the functions that
    `generate` uses (inference/sampling.py).
    """
    assert subject
    passage = choose_passage(subject, text, seed=seed)
    model, tokenizer = subject.model, subject.tokenizer
    prompt, following = passage.text, None
    if text is None:
        prompt = prompt[: prompt.rfind(" ", 0, 2 * len(prompt) // 3)] if " " in prompt else prompt
        rest = tokenizer.encode(passage.text[len(prompt) :])
        following = tokenizer.piece(rest[0]) if rest else None
    ids = [tokenizer.eos_id, *tokenizer.encode(prompt)][-model.shape.context :]
    logits = model(torch.tensor([ids]))[0, -1, : tokenizer.vocab_size].float()
    plain = probabilities(logits, PLAIN)
    top = plain.topk(min(TOP, len(plain))).indices
    return {
        "checkpoint": str(subject.checkpoint),
        "prompt": prompt,
        "source": passage.source,
        "next": following,
        "seed": seed,
        "vocab_size": len(plain),
        "tokens": [
            {"id": token, "token": tokenizer.piece(token), "logit": logits[token].item()} for token in top.tolist()
        ],
        "settings": [
            {"name": name, **_figures(plain, probabilities(logits, settings), top, settings)}
            | {"drawn": [tokenizer.piece(choose(probabilities(logits, settings), seed, n, 0)) for n in range(DRAWS)]}
            for name, settings in SETTINGS.items()
        ],
    }


def _figures(plain: Tensor, changed: Tensor, top: Tensor, settings: SamplingSettings) -> dict[str, Any]:
    entropy = torch.special.entr(changed).sum().item()
    return {
        "settings": {name: getattr(settings, name) for name in ("temperature", "top_k", "top_p", "min_p")},
        "kept": int((changed > 0).sum()),
        "mass": plain[changed > 0].sum().item(),
        "entropy": entropy,
        "probabilities": changed[top].tolist(),
    }
