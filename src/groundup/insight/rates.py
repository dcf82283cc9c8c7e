"""The rates of a run: their peaks by part of the model, and the share of them that an update is made with."""

from groundup.config import Optimizer
from groundup.insight.subject import Subject
from groundup.training import multiplier


def peak_rates(optimizer: Optimizer) -> dict[str, float]:
    """The peak rates that are decided, by the part of the model that they are for."""
    rates = {"all weights": optimizer.learning_rate}
    if optimizer.name == "muon":
        rates = {
            "matrices (Muon)": optimizer.learning_rate,
            "embedding": optimizer.embedding_rate,
            "head, norms": optimizer.head_rate,
        }
    return {part: rate for part, rate in rates.items() if rate is not None}


def schedule_share(subject: Subject, update: int) -> float:
    """What the peak rates are multiplied by for the update with this index, from 0, of a run that is planned."""
    schedule = subject.config.schedule
    horizon = [(int(start), int(total)) for start, total in subject.run.info["horizon"]]
    return multiplier(schedule, update, horizon, schedule.warmup or 0)
