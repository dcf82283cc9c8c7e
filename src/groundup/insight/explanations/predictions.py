"""What the model says next after the same prompts, from before training to its end, beside plain counts of the text."""

from typing import Any

import numpy as np

from groundup.evaluation import choose_prompts, probe
from groundup.insight.counts import count_after, count_tokens
from groundup.insight.passage import checked
from groundup.insight.subject import Subject
from groundup.runs import read_journal

TOP = 5
MOMENTS = 6  # steps shown, spread evenly over the recorded ones
PROMPTS = 3


def explain_predictions(subject: Subject | None, *, text: str | None = None) -> dict[str, Any]:
    """For each of `prompts` (those that the run recorded, or `text`) the likeliest next tokens at `moments`.

    A moment has its `step`, `checkpoint` (the model of it was asked now) or None (it is as recorded in probes.jsonl),
    and the `top` tokens with their probabilities. Beside them `unigram` and `bigram`: the most common tokens of the
    training text, and those that most often follow the prompt's last token, with count / all counts. `losses` are those
    of these models and of the run on the validation split. `recorded` says how many probabilities of probes.jsonl could
    be compared with a checkpoint's, and the largest difference (they are rounded to six digits).
    """
    assert subject
    tokenizer, corpus = subject.tokenizer, subject.corpus
    recorded = {row["step"]: row["probes"] for row in read_journal(subject.run.path / "probes.jsonl") if _is_row(row)}
    prompts = [checked(text)] if text is not None else [shown["prompt"] for shown in next(iter(recorded.values()), [])]
    prompts = prompts[:PROMPTS] or choose_prompts(corpus.held_out_texts(50), PROMPTS)
    checkpoints = {step: subject.checkpoints[step] for step in _spread(list(subject.checkpoints), MOMENTS)}
    asked = {step: probe(subject.load(path), tokenizer, prompts) for step, path in checkpoints.items()}
    known = {step: {shown["prompt"]: shown["top"] for shown in rows} for step, rows in recorded.items()}
    others = [step for step in known if step not in asked and all(prompt in known[step] for prompt in prompts)]
    steps = sorted({*asked, *_spread(others, MOMENTS - len(asked))})
    unigram = count_tokens(corpus)
    unigram[tokenizer.eos_id] = 0
    found = []
    for number, prompt in enumerate(prompts):
        last = (tokenizer.encode(prompt) or [tokenizer.eos_id])[-1]
        moments = [
            {
                "step": step,
                "checkpoint": str(checkpoints[step]) if step in asked else None,
                "top": asked[step][number]["top"] if step in asked else known[step][prompt],
            }
            for step in steps
        ]
        found.append(
            {
                "prompt": prompt,
                "last": tokenizer.piece(last),
                "moments": moments,
                "unigram": _most(subject, unigram),
                "bigram": _most(subject, count_after(corpus, last)),
            }
        )
    return {
        "prompts": found,
        "best_step": subject.run.info.get("best", {}).get("step"),
        "losses": _losses(subject),
        "recorded": _compare(asked, known, prompts),
    }


def _is_row(row: dict[str, Any]) -> bool:
    shown = row.get("probes")
    return (
        type(row.get("step")) is int
        and isinstance(shown, list)
        and all(isinstance(one, dict) and "prompt" in one and isinstance(one.get("top"), list) for one in shown)
    )


def _spread(steps: list[int], most: int) -> list[int]:
    """At most `most` of `steps`, the first and the last among them, closer together early, where most is learned."""
    if len(steps) <= max(most, 0):
        return steps
    places = {round((i / max(most - 1, 1)) ** 2 * (len(steps) - 1)) for i in range(most)}
    return [steps[place] for place in sorted(places)]


def _most(subject: Subject, counts: np.ndarray) -> dict[str, Any]:
    total = int(counts.sum())
    order = [int(token) for token in np.argsort(-counts, kind="stable")[:TOP] if counts[token]]
    return {
        "total": total,
        "top": [
            {
                "token": subject.tokenizer.piece(token),
                "count": int(counts[token]),
                "probability": int(counts[token]) / total,
            }
            for token in order
        ],
    }


def _losses(subject: Subject) -> dict[str, float]:
    rows = subject.run.info.get("baselines", {})
    losses = {name: rows[name]["loss"] for name in ("uniform", "unigram", "bigram", "5-gram") if name in rows}
    held_out = [row["val_loss"] for row in subject.metrics if row["val_loss"] is not None]
    return {**losses, **({"this model, at its best": min(held_out)} if held_out else {})}


def _compare(asked: dict[int, Any], known: dict[int, Any], prompts: list[str]) -> dict[str, Any]:
    differences = [
        abs(ours["probability"] - theirs["probability"])
        for step, rows in asked.items()
        for prompt, row in zip(prompts, rows, strict=True)
        for ours, theirs in zip(row["top"], known.get(step, {}).get(prompt, []), strict=False)
        if ours["token"] == theirs["token"]
    ]
    return {"compared": len(differences), "largest_difference": max(differences, default=None)}
