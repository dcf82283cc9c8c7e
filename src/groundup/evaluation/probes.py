"""What the model would say next: the likeliest tokens after a few fixed prompts, recorded at every evaluation."""

from collections.abc import Sequence
from typing import Any

import torch

from groundup.corpus import Tokenizer
from groundup.model import Transformer

TOP = 5


@torch.no_grad()
def probe(model: Transformer, tokenizer: Tokenizer, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """For each prompt the five likeliest next tokens with their probabilities, in float32."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for prompt in prompts:
        ids = [tokenizer.eos_id, *tokenizer.encode(prompt)][-model.shape.context :]
        logits = model(torch.tensor([ids], device=device))[0, -1, : tokenizer.vocab_size]
        probabilities, tokens = logits.float().softmax(-1).topk(min(TOP, tokenizer.vocab_size))
        top = [
            {"token": _show(tokenizer, token), "probability": round(probability, 6)}
            for token, probability in zip(tokens.tolist(), probabilities.tolist(), strict=True)
        ]
        rows.append({"prompt": prompt, "top": top})
    model.train(was_training)
    return rows


def _show(tokenizer: Tokenizer, token: int) -> str:
    return "<end>" if token == tokenizer.eos_id else tokenizer.piece(token)


def choose_prompts(texts: Sequence[str], count: int) -> list[str]:
    """Openings of held-out texts, about six words each, for probes and samples."""
    prompts: list[str] = []
    for text in texts:
        for paragraph in text.split("\n"):
            words = paragraph.split(" ")
            if len(words) >= 8 and all(word.isascii() or word.isalpha() for word in words[:6]):
                prompt = " ".join(words[:6])
                if prompt.strip() and prompt not in prompts:
                    prompts.append(prompt)
                    break
        if len(prompts) == count:
            return prompts
    return prompts or [texts[0][:20] if texts else "The"]


def few_shot_prompt(texts: Sequence[str]) -> str | None:
    """Two openings with their continuations and a third to continue: does the model pick up the pattern?"""
    shown: list[tuple[str, str]] = []
    for text in texts:
        for paragraph in text.split("\n"):
            words = paragraph.split()
            if 8 <= len(words) <= 24 and len(shown) < 3:
                shown.append((" ".join(words[:4]), " ".join(words[4:10])))
                break
    if len(shown) < 3:
        return None
    examples = "".join(f"Begin: {begin}\nGo on: {rest}\n\n" for begin, rest in shown[:2])
    return f"{examples}Begin: {shown[2][0]}\nGo on:"
