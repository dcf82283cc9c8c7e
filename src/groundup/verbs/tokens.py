"""`tokenize`: how a tokenizer cuts a text, beside what others would make of it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from groundup.config import Config
from groundup.corpus import Corpus, Tokenizer, is_corpus, read_clean
from groundup.corpus.tokenization import Tokenization, describe_tokenization
from groundup.corpus.tokenizer import vocabulary_rule
from groundup.documents import Document, Server
from groundup.errors import UserError
from groundup.events import Listener, Notice, nobody
from groundup.runs import Run, find_checkpoint
from groundup.verbs.request import PathLike, Paths, adopt_corpus, as_inputs

HELD_OUT_TOKENS = 20_000  # of the corpus: the mean length of a token is then known to about a percent


def tokenize(
    tokenizer: PathLike, text: str | None = None, *, files: Paths = (), listen: Listener = nobody
) -> Tokenization:
    """The tokens of `text`, or of the documents in `files`, or of text that the corpus held out.

    `tokenizer` is a run, a checkpoint, a prepared corpus or a tokenizer.json. Reference tokenizers join the comparison
    where the extra `groundup[references]` is installed. Raises UserError when there is no tokenizer or no text.
    """
    home, given = Path(tokenizer), as_inputs(files)
    opened, corpus, run = _open(home)
    if text is not None and given:
        raise UserError("a text and files were given", fix="give either the text or --file")
    if text is not None:
        texts, source = [text], "the text given"
        with suppress(OSError, ValueError):  # a text is seldom a possible file name
            if Path(text).is_file():
                listen(Notice(f"{text} is taken as a text; --file {text} takes what is in the file"))
    elif given:
        texts, source = _read(given, corpus, listen), ", ".join(map(str, given))
    elif corpus is not None:
        texts, source = _known(corpus)
    else:
        raise UserError(
            "has no corpus with it whose text could be shown",
            where=home,
            fix='give a text: groundup tokenize TOKENIZER "some text", or --file FILE',
        )
    try:
        if not any(text.encode() for text in texts):
            raise UserError("there is no text to tokenize", where=source, fix="give a text that is not empty")
    except UnicodeEncodeError:  # half a surrogate pair, as arguments that are not UTF-8 give it
        raise UserError("the text is not Unicode", fix="write it in UTF-8, or in a file: --file FILE") from None
    return describe_tokenization(opened, texts, source=source, reason=_reason(opened, corpus, run))


def _open(home: Path) -> tuple[Tokenizer, Corpus | None, Run | None]:
    """The tokenizer, and the corpus and the run that it belongs to where they are there."""
    if is_corpus(home):
        return Corpus(home).tokenizer, Corpus(home), None
    if home.is_file():
        return Tokenizer.load(home), None, None
    checkpoint = (home / "tokenizer.json").is_file()
    owner = home.resolve().parent if checkpoint else home
    run = Run.open(owner) if (owner / "run.json").is_file() or not checkpoint else None
    corpus = Corpus(run.corpus) if run and is_corpus(run.corpus) else None
    if checkpoint:
        return Tokenizer.load(home / "tokenizer.json"), corpus, run
    return (corpus.tokenizer if corpus else Tokenizer.load(find_checkpoint(home) / "tokenizer.json")), corpus, run


def _read(files: Sequence[Path | Server], corpus: Corpus | None, listen: Listener) -> list[str]:
    """The texts of `files` as the corpus would have them."""
    config, texts = Config(), []
    if corpus:
        adopt_corpus(config, corpus)
    for item in read_clean(files, config):
        if isinstance(item, Document):
            texts.append(item.text)
        elif item.status != "read":
            listen(Notice(f"{item.path}: {item.reason}", "warning"))
    return texts


def _known(corpus: Corpus) -> tuple[list[str], str]:
    if documents := corpus.validation_documents(HELD_OUT_TOKENS):
        return [corpus.tokenizer.decode(ids.tolist()) for ids in documents], "text held out of training"
    opening = corpus.tokenizer.decode_bytes(corpus.train.document(0)[:HELD_OUT_TOKENS].tolist())
    return [opening.decode("utf-8", errors="ignore")], "the beginning of the training text: none was held out"


def _reason(tokenizer: Tokenizer, corpus: Corpus | None, run: Run | None) -> str:
    """Why the vocabulary has its size: as the run decided, or as the rule for the corpus says."""
    decided = {row["key"]: row for row in run.info.get("plan", {}).get("decisions", [])} if run else {}
    kind, entries = decided.get("data.tokenizer", {}), decided.get("data.vocab_size", {})
    if reason := kind["reason"] if kind.get("value") == "bytes" else entries.get("reason"):
        return reason
    if corpus is None:
        return "the corpus it was learned from is not here"
    _, size, reason = vocabulary_rule(corpus.manifest["train_bytes"])
    wanted = corpus.manifest["settings"].get("data.vocab_size")
    if wanted and wanted != size:
        return f"{wanted:,} was asked for, or a shorter budget decided; without either, {size:,}: {reason}"
    return reason if tokenizer.vocab_size == size else f"{reason}; the text has no more pairs that repeat"
