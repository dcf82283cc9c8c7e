"""Insight says what a model learned and how its training went.

It reads models, corpora and the files of a run; it never changes any of them.
"""

from groundup.insight.diagnosis import Finding, Record, Watch, by_severity, examine
from groundup.insight.verdict import Verdict, judge, read_curve

__all__ = ["Finding", "Record", "Verdict", "Watch", "by_severity", "examine", "judge", "read_curve"]
