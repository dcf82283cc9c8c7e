"""Learning the tokenizer from the sample that the parts drew."""

import json
from collections.abc import Callable, Iterator

from groundup.corpus.preparation.split import ENOUGH_HELD_OUT
from groundup.corpus.preparation.work import Work
from groundup.corpus.tokenizer import SAMPLE_BYTES, Tokenizer, vocabulary_rule
from groundup.errors import UserError
from groundup.events import Listener, Phase, Progress
from groundup.runs import write_atomic

SMALLEST_BPE = 512


def learn_tokenizer(work: Work, parts: int, listen: Listener, poll: Callable[[], None]) -> None:
    """Train the tokenizer, and note which kind and size was decided and why. Raises UserError for settings that
    contradict each other."""
    data, total = work.settings["data"], work.noted("split")["train_bytes"]
    kind, size, reason = vocabulary_rule(total, work.settings["minutes"])
    if kind == "bytes" and (data["tokenizer"] == "bpe" or (data["vocab_size"] or 257) > 257):
        kind, size, reason = "bpe", SMALLEST_BPE, "asked for, on a text that is small for it"
    kind = data["tokenizer"] or kind
    if kind == "bytes":
        if (data["vocab_size"] or 257) != 257:
            raise UserError(
                f"data.vocab_size = {data['vocab_size']}, but data.tokenizer = 'bytes' has 257 entries",
                fix="leave data.vocab_size out, or use data.tokenizer=bpe",
            )
        tokenizer, size = Tokenizer.of_bytes(), 257
        size_reason = "256 bytes and the end-of-text token"
    else:
        size, size_reason = data["vocab_size"] or size, reason
        listen(Phase("learning the tokenizer", min(total, SAMPLE_BYTES), "bytes"))

        def sample() -> Iterator[str]:
            done = 0
            for part in range(parts):
                with (work.folder("sample") / f"{part:05d}.jsonl").open(encoding="utf-8") as lines:
                    for line in lines:
                        poll()
                        piece = json.loads(line)
                        done += len(piece.encode())
                        listen(Progress(min(done, total, SAMPLE_BYTES)))
                        yield piece

        tokenizer = Tokenizer.train(sample(), size)
    write_atomic(work.path / "tokenizer.json", tokenizer.to_json(), durable=False)
    held_out = f"a tenth, and at most {ENOUGH_HELD_OUT:,} bytes: enough to measure by"
    work.note(
        "decisions",
        {
            "data.validation": [work.noted("cutting")["share"], held_out],
            "data.tokenizer": [kind, reason],
            "data.vocab_size": [size, size_reason],
        },
    )
