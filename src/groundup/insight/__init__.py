"""Insight says what a model learned and how its training went.

It reads models, corpora and the files of a run; it never changes any of them.
"""

from groundup.insight.verdict import Verdict, read_curve

__all__ = ["Verdict", "read_curve"]
