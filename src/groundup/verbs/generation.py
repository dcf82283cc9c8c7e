"""`generate` and `chat`: a trained model writes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from groundup import inference
from groundup.config import Config
from groundup.corpus import Tokenizer
from groundup.inference import Generation, PackedModel, Precision, SamplingSettings
from groundup.model import load_model
from groundup.parallel import decide_compute
from groundup.runs import find_checkpoint
from groundup.verbs.request import PathLike


def generate(
    run: PathLike,
    prompts: str | Sequence[str],
    settings: SamplingSettings | None = None,
    *,
    n: int = 1,
    use_cache: bool = True,
    precision: Precision = "float32",
    on_text: Callable[[int, str], None] | None = None,
) -> list[Generation]:
    """`n` continuations of each prompt by the best checkpoint of `run` (or by a checkpoint directory).

    `on_text(index, piece)` is called as text becomes certain. `precision` is that of the weights: in `float32` texts
    are the same with and without the cache; `bfloat16` and `int8` are faster and nearly as good. Raises UserError for
    bad settings or no checkpoint.
    """
    model, tokenizer = load(run, precision)
    prompts = [prompts] if isinstance(prompts, str) else prompts
    return inference.generate(
        model, tokenizer, prompts, settings or SamplingSettings(), n=n, use_cache=use_cache, on_text=on_text
    )


def chat(run: PathLike, settings: SamplingSettings | None = None, *, precision: Precision = "float32") -> None:
    """Talk with the best checkpoint of `run` in the terminal, until /exit or the end of input."""
    model, tokenizer = load(run, precision)
    inference.chat(model, tokenizer, settings or SamplingSettings())


def load(run: PathLike, precision: Precision = "float32") -> tuple[PackedModel, Tokenizer]:
    """The model, packed to write, and the tokenizer of a run's best checkpoint or of a checkpoint directory."""
    checkpoint = find_checkpoint(Path(run))
    compute = decide_compute(Config())
    return PackedModel(load_model(checkpoint, compute.device), precision), Tokenizer.load(checkpoint / "tokenizer.json")
