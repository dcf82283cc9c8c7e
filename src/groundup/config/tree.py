"""The configuration as one tree of dataclasses. What the code does not read does not exist here.

A field that is `None` has not been decided yet: `groundup.planning` fills it from the corpus, the machine and the
budget, and notes its reason in `Config.origins`.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Cleaner = Literal["mojibake", "nfc", "controls", "boilerplate", "blank_lines"]
# a list of names may also be written as on the command line: `nfc,controls`, `none`
_names = BeforeValidator(
    lambda value: [name for name in value.split(",") if name != "none"] if isinstance(value, str) else value
)


@dataclass
class Data:
    """From documents to tokens."""

    __pydantic_config__ = _STRICT

    validation: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Share of the text held out for validation, by document: 0.1 is 90/10, 0.2 is 80/20, 0 is none. Planned: 0.1, and
    less where that is more than a megabyte."""
    tokenizer: Literal["bpe", "bytes"] | None = None
    """`bpe` learns byte-level byte-pair encoding on the training text; `bytes` uses the 256 bytes themselves."""
    vocab_size: Annotated[int, Field(ge=257, le=262_144)] | None = None
    """Most entries the tokenizer may have, special tokens included."""
    exclude: Annotated[tuple[str, ...], _names] = ()
    """Files and folders that are left out, as patterns of .gitignore relative to each given folder: `*.log,drafts/`."""
    ocr: bool = True
    """Read images, and PDF pages without a text layer, by optical character recognition."""
    html: Literal["main", "all"] = "main"
    """What is taken of a web page: its article, or everything it shows."""
    text: str = ""
    """What a record of a table (CSV, JSON, JSONL, Parquet, a database) gives: a column's name, or a template such as
    `"{title}\\n\\n{body}"`. Empty looks for a column called text, content, body, ..."""
    query: str = ""
    """The SQL query whose rows are read from databases; empty reads every table of a SQLite file."""
    clean: Annotated[tuple[Cleaner, ...], _names] = ("mojibake", "nfc", "controls", "boilerplate", "blank_lines")
    """The cleaners that prose goes through, in this order, such as `nfc,controls`, or `none`; code is left as it is."""
    mask: Annotated[tuple[Literal["keys", "emails", "phones"], ...], _names] = ()
    """What is replaced by `<KEY>`, `<EMAIL>`, `<PHONE>` in every text, code as well."""
    filter: Literal["none", "web"] = "none"
    """`web` drops documents by the quality rules of web corpora (Gopher, C4, FineWeb), which would throw away most of
    a person's own files; what is dropped is in the ledger."""
    dedup: Literal["exact", "documents", "paragraphs"] = "paragraphs"
    """`exact` drops documents that repeat others word for word; `documents` also near copies of documents;
    `paragraphs` also near copies of prose paragraphs of 200 characters or more."""


@dataclass
class Model:
    """The shape of the network. Every choice here can be loaded by transformers, llama.cpp and vLLM."""

    __pydantic_config__ = _STRICT

    arch: Literal["qwen3", "llama"] = "qwen3"
    """`qwen3` normalizes queries and keys per head (stable at high rates); `llama` is the same without that."""
    layers: Annotated[int, Field(ge=1, le=1 << 10)] | None = None
    """Transformer blocks."""
    width: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    """Size of the residual stream, C."""
    heads: Annotated[int, Field(ge=1, le=1 << 12)] | None = None
    """Query heads."""
    kv_heads: Annotated[int, Field(ge=1, le=1 << 12)] | None = None
    """Key and value heads; fewer than `heads` is grouped-query attention."""
    head_dim: Annotated[int, Field(ge=2, le=1 << 12, multiple_of=2)] | None = None
    """Size of one head."""
    ffn_width: Annotated[int, Field(ge=1, le=1 << 18)] | None = None
    """Inner size of the SwiGLU feed-forward layer."""
    context: Annotated[int, Field(ge=8, le=1 << 20)] | None = None
    """Tokens the model sees at once, T."""
    tied: bool | None = None
    """Share the embedding matrix with the output head."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout on the embeddings and on what each sublayer adds to the residual stream, in training only."""
    rope_theta: Positive = 10_000.0
    """Base of the rotary position angles."""
    norm_eps: Positive = 1e-6
    """Added to the mean square in RMSNorm."""


@dataclass
class Optimizer:
    """How weights change."""

    __pydantic_config__ = _STRICT

    name: Literal["muon", "adamw"] | None = None
    """`muon` orthogonalizes the updates of the blocks' matrices, with AdamW for the rest; `adamw` is AdamW for all."""
    learning_rate: Positive | None = None
    """Peak rate of the blocks' matrices (of everything, with `adamw`)."""
    embedding_rate: Positive | None = None
    """Peak AdamW rate of the embedding matrix under `muon`."""
    head_rate: Positive | None = None
    """Peak AdamW rate of the output head and the norms under `muon`."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    """AdamW's decay of the first and second moment."""
    eps: Positive = 1e-8
    """AdamW's epsilon."""
    momentum: Decay = 0.95
    """Muon's Nesterov momentum."""
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    """Decoupled decay, multiplied by the learning rate; on tensors with two or more dimensions only."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest global gradient norm; 0 switches clipping off."""


@dataclass
class Schedule:
    """The learning rate as a function of the optimizer step."""

    __pydantic_config__ = _STRICT

    shape: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """`wsd` is warmup, stable, linear decay."""
    warmup: Annotated[int, Field(ge=0)] | None = None
    """Steps of linear warmup; the first step's rate is above 0."""
    decay: Share = 0.6
    """Share of the steps in `wsd`'s final decay."""
    minimum: Share = 0.05
    """Rate at the end, as a share of the peak."""


@dataclass
class Training:
    """The loop: its budget (at most one of minutes, steps, tokens, epochs), its batches, its stopping."""

    __pydantic_config__ = _STRICT

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Names every random draw, together with its purpose and step."""
    minutes: Positive | None = None
    """Wall clock of the whole command: reading, training, evaluating and reporting."""
    steps: Count | None = None
    """Optimizer steps."""
    tokens: Count | None = None
    """Training tokens."""
    epochs: Positive | None = None
    """Passes over the training tokens."""
    tokens_per_update: Annotated[int, Field(ge=1, le=1 << 27)] | None = None
    """Tokens in one optimizer step; rounded to whole sequences."""
    microbatch: Count | None = None
    """Sequences in one forward pass; smaller needs less memory, and without dropout gives the same update up to
    rounding."""
    log_every: Count | None = None
    """Steps between two entries of the metrics."""
    patience: Annotated[int, Field(ge=0)] | None = None
    """Stop after this many evaluations without improvement; 0 never stops early."""
    max_bad_steps: Count = 10
    """Stop after this many steps in a row whose loss or gradient is not finite (each such update is skipped)."""
    grace: Annotated[float, Field(ge=1)] = 300.0
    """Seconds after SIGTERM, SIGINT or SIGHUP in which the run must be saved. When they are over the process ends, with
    exit code 75 like after a save, and the run continues from the checkpoint before. Set it a little below what the
    scheduler leaves (Slurm, Kubernetes, torchrun: 30 by default); a second Ctrl-C ends the process at once."""


@dataclass
class Health:
    """Spikes of the loss and of the gradient norm while training."""

    __pydantic_config__ = _STRICT

    window: Annotated[int, Field(ge=8, le=1 << 12)] = 128
    """Steps whose loss and gradient norm each step is compared with, once there were as many."""
    spike: Annotated[float, Field(ge=0)] = 8.0
    """Where a spike begins: (value - median) / (1.4826 x median absolute deviation) over the window; 0 looks for none.
    It is recorded with its samples, which `groundup batch RUN NUMBER` shows; small batches have a few without cause."""
    rewind: Annotated[int, Field(ge=0)] = 0
    """How often a spike of the loss, or `training.max_bad_steps`, may send the run back to the checkpoint before it,
    to go on with the data after it; at the next one the run ends. 0 never goes back: spikes are only recorded."""


@dataclass
class Evaluation:
    """Validation while training."""

    __pydantic_config__ = _STRICT

    every: Count | None = None
    """Steps between two evaluations; each one is also a checkpoint."""
    tokens: Count | None = None
    """At most this many validation tokens per evaluation while training, always the same; the end scores all of them,
    or a million."""


@dataclass
class Checkpoint:
    """What is kept on disk."""

    __pydantic_config__ = _STRICT

    every: Count | None = None
    """Steps between two checkpoints, beside those at evaluations."""
    keep: Count = 2
    """Newest checkpoints kept, beside step 0 and, of each that is kept, the best from before it."""
    keep_every: Annotated[int, Field(ge=0)] = 0
    """K: every K-th checkpoint, counted at multiples of `every`, is kept for good; 0 keeps none for that."""
    asynchronous: bool = True
    """Write checkpoints beside training: a step waits only for a copy of weights and optimizer state in memory."""


@dataclass
class Samples:
    """Texts drawn during training, at growing intervals."""

    __pydantic_config__ = _STRICT

    prompts: tuple[str, ...] = ()
    """Prompts to continue; empty takes openings from the held-out documents and one few-shot prompt."""
    max_new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 80
    """Length of each sample."""
    temperature: Annotated[float, Field(ge=0)] = 0.8
    """0 is greedy."""
    top_k: Annotated[int, Field(ge=0)] = 50
    """Sample among this many likeliest tokens; 0 is all."""


@dataclass
class Device:
    """Where and how the arithmetic is done; decided once, before the first step."""

    __pydantic_config__ = _STRICT

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` takes CUDA, then MPS, then the CPU."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 where the processor computes in it, float16 with loss scaling on GPUs that have only that,
    else float32."""
    threads: Count | None = None
    """CPU threads; `OMP_NUM_THREADS` is a ceiling."""
    compile: Literal["auto", "on", "off"] = "auto"
    """`torch.compile` for the training step; `auto` compiles when the run is long enough to earn it back."""
    deterministic: bool | None = None
    """Only kernels that give the same bytes every time. Planned: true, but on CUDA, where they are slower, false."""


@dataclass
class Parallel:
    """Training on several processes, which torchrun starts."""

    __pydantic_config__ = _STRICT

    timeout: Annotated[float, Field(ge=2)] = 300.0
    """Seconds without a sign of life from a process after which the others give it up and end. A process
    that is busy, however long, is alive; one that was suspended, or whose network is down, is not."""


@dataclass
class Config:
    """The whole configuration."""

    __pydantic_config__ = _STRICT

    size: Literal["tiny", "small", "medium", "large"] | None = None
    """The dial: width, depth, heads, batch and rates follow from it."""
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    training: Training = field(default_factory=Training)
    health: Health = field(default_factory=Health)
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    samples: Samples = field(default_factory=Samples)
    device: Device = field(default_factory=Device)
    parallel: Parallel = field(default_factory=Parallel)
    origins: dict[str, str] = field(default_factory=dict, init=False)
    """For each dotted key: who decided its value, and why. Not part of the file's values; written as comments."""
    planned: set[str] = field(default_factory=set, init=False)
    """Keys that were decided here, not by the user."""

    def get(self, key: str) -> Any:
        """The value of a dotted key such as `model.layers`."""
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value

    def decide(self, key: str, value: Any, reason: str) -> Any:
        """Fill `key` with `value` and note `reason`, unless the user decided it; return what holds.

        What was planned before may be planned anew. `auto` is a value that is still open.
        """
        current = self.get(key)
        if current not in (None, "auto") and key not in self.planned:
            return current
        self.planned.add(key)
        *path, last = key.split(".")
        setattr(self.get(".".join(path)) if path else self, last, value)
        self.origins[key] = reason
        return value

    def values(self) -> dict[str, Any]:
        """Every decided value, flat: dotted key -> value."""
        flat: dict[str, Any] = {} if self.size is None else {"size": self.size}
        for section in fields(self):
            part = getattr(self, section.name)
            if section.name in ("size", "origins", "planned"):
                continue
            for entry in fields(part):
                value = getattr(part, entry.name)
                if value is not None:
                    flat[f"{section.name}.{entry.name}"] = value
        return flat


SECTIONS = {f.name for f in fields(Config)} - {"size", "origins", "planned"}
KEYS = ("size", *(f"{s}.{f.name}" for s in sorted(SECTIONS) for f in fields(getattr(Config(), s))))
BUDGETS = ("training.minutes", "training.steps", "training.tokens", "training.epochs")
