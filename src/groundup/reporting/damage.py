"""What `groundup doctor` found, as text."""

from collections.abc import Mapping
from typing import Any

from groundup.reporting.wording import clean, size


def describe_damage(found: Mapping[str, Any]) -> str:
    """What is good, what is damaged, what crashes left, and how to go on."""
    lines = [f"run          {clean(found['run'])}: {clean(found['status'] or 'of unknown status')}"]
    for row in found["checkpoints"]:
        best = "  (best)" if row["directory"] == found["best"] else ""
        state = "good   " if row["good"] else "DAMAGED"
        lines.append(f"checkpoint   {state}  {row['directory']}  {size(row['bytes'])}{best}")
    if not found["checkpoints"]:
        lines.append("checkpoint   none")
    lines += [f"damaged      {clean(row['file'])}: {clean(row['what'])}" for row in found["damaged"]]
    lines += [f"left over    {clean(row['file'])}: {clean(row['what'])}" for row in found["left_over"]]
    if found["good"]:
        lines.append("hashes       every one holds")
    return "\n".join([*lines, f"next         {clean(found['next'])}"])
