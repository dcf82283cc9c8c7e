"""All rules in their order, what each one explains away, and the reading of a whole run."""

from collections.abc import Sequence

from groundup.insight.diagnosis import corpora, generalization, progress, rates, stability
from groundup.insight.diagnosis.finding import Finding, Rule
from groundup.insight.diagnosis.record import Record

RULES: tuple[Rule, ...] = (
    Rule("not-a-number", "severe", "diverging", stability.not_a_number),
    Rule("diverging", "severe", "diverging", stability.diverging),
    Rule("too-short", "note", "too short to tell", progress.too_short),
    Rule("first-loss", "warning", None, stability.first_loss),
    Rule("no-structure", "severe", "plateau", corpora.no_structure),
    Rule("copied-validation", "severe", "copied validation", generalization.copied_validation),
    Rule("overfitting", "warning", "overfitting", generalization.overfitting),
    Rule("forgetting", "warning", "underfitting", rates.forgetting),
    Rule("learning-rate-too-high", "warning", "oscillating", rates.learning_rate_too_high),
    Rule("oscillating", "warning", "oscillating", stability.oscillating),
    Rule("spikes", "warning", "oscillating", stability.spikes),
    Rule("no-validation", "note", "no validation", generalization.no_validation),
    Rule("not-falling", "severe", "too slow", progress.not_falling),
    Rule("learning-rate-too-low", "warning", "too slow", progress.learning_rate_too_low),
    Rule("weaker-than-bigram", "warning", "underfitting", progress.weaker_than_bigram),
    Rule("generalization-gap", "note", None, generalization.generalization_gap),
    Rule("still-falling", "note", "underfitting", progress.still_falling),
    Rule("validation-too-easy", "warning", None, generalization.validation_too_easy),
    Rule("plateau", "note", "plateau", progress.plateau),
    Rule("clipping", "warning", None, stability.clipping),
    Rule("skipped-updates", "warning", None, stability.skipped_updates),
    Rule("garbled-text", "warning", None, corpora.garbled_text),
    Rule("unused-vocabulary", "warning", None, corpora.unused_vocabulary),
    Rule("slow-input", "warning", None, corpora.slow_input),
)
"""The first severe one that holds gives the verdict, else the first that has a reading: broken runs first, then what
the held-out text says, then how training went, then how far it came."""

_UNSTABLE = ("not-a-number", "diverging", "forgetting", "learning-rate-too-high")
EXPLAINED: dict[str, Sequence[str]] = {
    "diverging": ("not-a-number",),
    "too-short": ("not-a-number",),
    "learning-rate-too-high": ("not-a-number", "diverging", "no-structure", "forgetting"),
    "oscillating": (*_UNSTABLE, "no-structure"),
    "spikes": (*_UNSTABLE, "oscillating"),
    "skipped-updates": ("not-a-number",),
    "clipping": _UNSTABLE,
    "no-validation": ("too-short",),
    "not-falling": (*_UNSTABLE, "no-structure"),
    "learning-rate-too-low": (*_UNSTABLE, "oscillating", "no-structure", "not-falling", "overfitting"),
    "weaker-than-bigram": (
        *_UNSTABLE, "oscillating", "no-structure", "not-falling", "learning-rate-too-low", "overfitting", "too-short",
    ),
    "generalization-gap": (*_UNSTABLE, "oscillating", "overfitting", "too-short"),
    "still-falling": (
        *_UNSTABLE, "oscillating", "no-structure", "not-falling", "learning-rate-too-low", "weaker-than-bigram",
        "overfitting", "generalization-gap",
    ),
    "validation-too-easy": (
        *_UNSTABLE, "oscillating", "spikes", "not-falling", "weaker-than-bigram", "still-falling",
    ),
    "plateau": (
        *_UNSTABLE, "oscillating", "no-structure", "not-falling", "weaker-than-bigram", "overfitting",
        "validation-too-easy",
    ),
}  # fmt: skip
"""For each rule, those that are its cause where they hold, too: then it is not a finding of its own, because its
remedy would not be one."""

_ORDER = {"severe": 0, "warning": 1, "note": 2}


def examine(record: Record) -> list[Finding]:
    """All that is wrong with a run, in the order of RULES; empty for a healthy one."""
    found: dict[str, Finding] = {}
    for rule in RULES:
        if not found.keys() & set(EXPLAINED.get(rule.name, ())) and (finding := rule.apply(record)):
            found[rule.name] = finding
    return list(found.values())


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """The severe ones first; of equal ones, in their order."""
    return sorted(findings, key=lambda finding: _ORDER[finding.severity])
