"""The diagnosis of a run: rules over the files of its directory, each with its evidence and a remedy.

One set of rules serves `groundup diagnose`, the summary and the report at the end of a run, and the warnings while it
runs; `groundup.insight.verdict` derives the one reading of a run from it.
"""

from groundup.insight.diagnosis.finding import Finding, Rule, Severity, options
from groundup.insight.diagnosis.record import Record
from groundup.insight.diagnosis.rules import RULES, by_severity, examine
from groundup.insight.diagnosis.watch import Watch

__all__ = ["RULES", "Finding", "Record", "Rule", "Severity", "Watch", "by_severity", "examine", "options"]
