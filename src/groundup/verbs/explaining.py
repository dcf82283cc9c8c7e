"""`explain`: what happens in training and in a model, each figure computed on a run or on a toy."""

import inspect
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import UserError

if TYPE_CHECKING:
    from groundup.verbs.request import PathLike


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic shows, and whether it needs a run to show it on.

    Its function is `explain_NAME` in `groundup.insight.explanations.NAME`; the options that it takes are its keywords.
    """

    shows: str
    needs_run: bool = True


TOPICS = {
    "tokens": Topic("how a text is cut, and what the vocabulary is used for"),
    "embeddings": Topic("nearest neighbors and analogies, and whether they mean something"),
    "loss": Topic("the probability of each token of a text, and -ln of it"),
    "gradient": Topic("which way a weight should go: descent on a toy, one weight of the model", needs_run=False),
    "adamw": Topic("the optimizer AdamW, number by number", needs_run=False),
    "muon": Topic("a matrix before and after Muon orthogonalizes it", needs_run=False),
    "step": Topic("one real update of the weights, on a copy"),
    "forward": Topic("every tensor from a text to its next token"),
    "attention": Topic("which earlier tokens each head looks at"),
    "schedule": Topic("the learning rate over the updates", needs_run=False),
    "predictions": Topic("what follows the same prompts, from before training to its end"),
    "sampling": Topic("temperature, top-k, top-p and min-p on one distribution"),
    "memory": Topic("what of a sample stands word for word in the training documents"),
    "cost": Topic("where parameters, operations, bytes and seconds went"),
}


def explain(topic: str, run: "PathLike | None" = None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """What there is to see of `topic` in `run`, a run directory or a checkpoint; its best checkpoint is looked at.

    `text` is what it is shown on, where it is shown on a text (default: a sentence that was held out of training);
    `seed` chooses that sentence, and names random draws. The keys of the result are in the docstring of the topic's
    function in `groundup.insight.explanations`, and `topic` and `run`. Raises UserError for a topic that is none (it
    lists them), a run that is missing or none, or has not what is needed, and for options that the topic has no use of.
    """
    from groundup.insight.subject import Subject  # not above: the command's help shows TOPICS, and loads no torch

    if topic not in TOPICS:
        names = ", ".join(TOPICS)
        raise UserError(f"there is no topic {topic!r}", where="TOPIC", fix=f"the topics are {names}")
    if TOPICS[topic].needs_run and run is None:
        raise UserError(
            f"{topic} is shown on a run, and none was given", where="RUN", fix=f"groundup explain {topic} RUN"
        )
    function = getattr(import_module(f"groundup.insight.explanations.{topic}"), f"explain_{topic}")
    options = {"text": text, "seed": seed}
    taken = inspect.signature(function).parameters.keys() & options.keys()
    for name, unset in (("text", None), ("seed", 0)):
        if name not in taken and options[name] != unset:
            raise UserError(f"{topic} has no use of it", where=f"--{name}", fix="leave it out")
    subject = Subject.open(Path(run)) if run is not None else None
    found = function(subject, **{name: options[name] for name in taken})
    return {"topic": topic, "run": None if run is None else str(run), **found}
