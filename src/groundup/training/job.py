"""What the training loop works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from groundup import runs
from groundup.config import Config
from groundup.corpus import Batches, Tokenizer
from groundup.evaluation import Windows
from groundup.events import Listener
from groundup.model import Transformer
from groundup.parallel import Compute, Group
from groundup.training.horizon import Horizon
from groundup.training.metrics import Metrics
from groundup.training.optimizers import Optimizers
from groundup.training.rewinds import Rewinds


@dataclass
class Job:
    """Everything `fit` works with. In `config` every value is decided."""

    run: runs.Run
    config: Config
    model: Transformer
    tokenizer: Tokenizer
    optimizers: Optimizers
    batches: Batches
    validation: Windows | None
    """The fixed part of the validation split that evaluations in training score."""
    probes: Sequence[str]
    prompts: Sequence[str]
    byte_lengths: Tensor
    """(V,) int64 on the CPU: bytes of each token."""
    compute: Compute
    horizon: Horizon
    metrics: Metrics
    listen: Listener
    poll: Callable[[], None]
    group: Group = field(default_factory=Group)
    rewinds: Rewinds = field(default_factory=Rewinds)
