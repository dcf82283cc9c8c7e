"""One file for each topic of `groundup explain`: what was computed, for a terminal, with what it means.

`describe_explanation` chooses the file by the result's `topic`.
"""

from groundup.reporting.explanations.describe import describe_explanation

__all__ = ["describe_explanation"]
