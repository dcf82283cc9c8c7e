"""Documents to a corpus directory: read, clean, deduplicate, split, learn the tokenizer, tokenize, account for it all.

The texts lie on the disk in parts, and every step but the decisions works on one part at a time: texts are never held
in memory, all cores are used, and the same steps run on many machines (cluster.py).
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path

from groundup.config import Config
from groundup.cores import usable_cores
from groundup.corpus.corpus import Corpus, file_sha256
from groundup.corpus.manifest import CORPUS_VERSION
from groundup.corpus.preparation import stages
from groundup.corpus.preparation.decide import drop_duplicates, split
from groundup.corpus.preparation.ledger import write_ledger
from groundup.corpus.preparation.reading import read_texts
from groundup.corpus.preparation.settings import reading_options
from groundup.corpus.preparation.store import journaled
from groundup.corpus.preparation.vocabulary import learn_tokenizer
from groundup.corpus.preparation.work import Crew, Stage, Work, await_each
from groundup.corpus.shards import merge_shards
from groundup.corpus.tokenizer import Tokenizer
from groundup.documents import Server
from groundup.errors import UserError
from groundup.events import Listener, Notice, Phase, Progress, nobody
from groundup.runs import fsync_directory, locked, read_json, write_atomic


def prepare_corpus(
    paths: Sequence[Path | Server],
    out: Path,
    config: Config,
    *,
    keep_texts: bool = False,
    listen: Listener = nobody,
    poll: Callable[[], None] = lambda: None,
) -> Corpus:
    """Read `paths` and write the corpus directory `out`; a corpus that is there is replaced when the new one is done.

    Files that have not changed since that corpus was made, if it has kept its texts, or since an earlier try that was
    stopped, are not read again; the result is the same. Decides `data.tokenizer`, `data.vocab_size` and
    `data.validation` in `config` where the user has not. `poll` is called often and may raise. Raises UserError when
    nothing can be read.
    """
    place = out.with_name(f".{out.name}.preparing")
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        try:
            _prepare(paths, place, out, config, keep_texts, listen, poll)
        except UserError:
            if not any(place.glob("*/*/files.jsonl")):
                shutil.rmtree(place)
            raise
        # whatever stops it leaves the texts that were read, for the next try
        shutil.rmtree(place, ignore_errors=True)
    corpus = Corpus(out)
    for note in corpus.manifest["notes"]:
        listen(Notice(note))
    return corpus


def _prepare(
    paths: Sequence[Path | Server],
    place: Path,
    out: Path,
    config: Config,
    keep_texts: bool,
    listen: Listener,
    poll: Callable[[], None],
) -> None:
    earlier = _earlier_texts(place, out)
    # a name of its own: children of a try that was killed a moment ago may still write under the old one
    work = Work.begin(Path(tempfile.mkdtemp(prefix="work-", dir=place)), config)
    with closing(Crew(work, usable_cores())) as crew:
        examined: list[Future[None]] = []
        parts = read_texts(
            paths,
            work.path / "texts",
            reading_options(work.settings["data"]),
            earlier,
            exclude=work.settings["data"]["exclude"],
            listen=listen,
            poll=poll,
            complete=lambda part: examined.append(crew.submit(stages.examine, part)),
        )

        def on_all(stage: Stage, name: str = "") -> None:
            sizes = [work.texts(part).stat().st_size for part in range(parts)]
            if name:
                listen(Phase(name, sum(sizes), "bytes"))
            if parts == 1:  # no child process for little text
                stage(work, 0)
            else:
                begun = examined if stage is stages.examine else []
                futures = begun + [crew.submit(stage, part) for part in range(len(begun), parts)]
                for done, _ in zip(accumulate(sizes), await_each(futures, poll), strict=True):
                    if name:
                        listen(Progress(done))
            poll()

        on_all(stages.examine, "cleaning")
        drop_duplicates(work, parts)
        if work.noted("cutting")["size"] is not None:
            on_all(stages.cut)
        poll()
        split(work, parts)
        on_all(stages.sample)
        learn_tokenizer(work, parts, listen, poll)
        on_all(stages.encode, "tokenizing")
    finish(work, parts)
    settings = read_json(work.path / "corpus" / "manifest.json")["settings"]
    for key, (value, reason) in work.noted("decisions").items():
        assert config.decide(key, value, reason) == settings[key]
    if keep_texts:
        (work.path / "texts").rename(work.path / "corpus" / "texts")
    publish(work.path / "corpus", out)


def finish(work: Work, parts: int) -> None:
    """Put the parts together into the corpus directory `corpus` of the working directory; the manifest comes last."""
    out = work.path / "corpus"
    out.mkdir()
    for name in ("train", "validation"):
        merge_shards([work.folder("tokens") / f"{part:05d}-{name}-00000.ds" for part in range(parts)], out, name)
    shutil.copyfile(work.path / "tokenizer.json", out / "tokenizer.json")
    totals = write_ledger(work, parts, out)
    noted = work.noted("split")
    shards = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
            "index_sha256": file_sha256(path.with_suffix(".index")),
        }
        for path in sorted(out.glob("*.ds"))
    }
    decisions = work.noted("decisions")
    settings = {f"data.{name}": value for name, value in work.settings["data"].items()}
    settings |= {key: value for key, (value, _) in decisions.items()}
    manifest = {
        "version": CORPUS_VERSION,
        "fingerprint": hashlib.sha256(
            (out / "tokenizer.json").read_bytes() + json.dumps(shards, sort_keys=True).encode()
        ).hexdigest()[:32],
        "files": totals.files,
        "documents": totals.documents["kept"],
        "duplicates": totals.documents["duplicates"],
        "near_duplicates": totals.documents["near_duplicates"],
        "repeated": totals.documents["repeated"],
        "filtered": totals.documents["filtered"],
        "blank": totals.documents["blank"],
        "repeated_paragraphs": noted["paragraph"],
        "paragraphs_across_the_split": noted["across the split"],
        "cleaned": totals.cleaned,
        "failed_rules": totals.failed_rules,
        "languages": totals.languages,
        **{
            f"{name}_{unit}": totals.tokens[f"{name}_{unit}"]
            for name in ("train", "validation")
            for unit in ("tokens", "bytes")
        },
        "vocab_size": Tokenizer.load(out / "tokenizer.json").vocab_size,
        "settings": settings,
        "notes": noted["notes"],
        "shards": shards,
    }
    write_atomic(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _earlier_texts(place: Path, out: Path) -> list[Path]:
    """Folders of texts that earlier preparations left, the newest last; everything else they left is removed."""
    replaced = _replaced(out)
    if replaced.exists():  # it was stopped while one corpus took the other's place
        if out.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(out)
    earlier = place / "earlier"
    earlier.mkdir(exist_ok=True)
    for pattern in ("work-*/texts", "work-*/corpus/texts"):
        for found in sorted(place.glob(pattern)):
            found.rename(earlier / f"{len(list(earlier.iterdir())):05d}")
    for path in place.iterdir():
        if path != earlier and not path.name.startswith(".lock"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    tries = sorted(earlier.iterdir())
    for older, newer in pairwise(tries):
        if journaled(older) <= journaled(newer):  # it copied all of them
            shutil.rmtree(older)
    return [out / "texts", *sorted(earlier.iterdir())]


def publish(new: Path, out: Path) -> None:
    """Put the corpus directory `new` in the place `out`, of another corpus if there is one, when it is on the disk."""
    for path in [*new.rglob("*"), new]:
        _fsync(path)
    replaced = _replaced(out)
    if out.exists():
        shutil.rmtree(replaced, ignore_errors=True)  # of a try that was killed right here
        out.rename(replaced)
    new.rename(out)
    fsync_directory(out.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _replaced(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")


def _fsync(path: Path) -> None:
    if path.is_dir():
        fsync_directory(path)
    else:
        with path.open("rb") as file:
            os.fsync(file.fileno())
