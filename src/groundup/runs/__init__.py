"""The run directory on disk: its layout, its lock, its journals, and the protocol that publishes checkpoints.

Everything a crash must not damage goes through this room.
"""

from groundup.runs.checkpoints import link_best, newest_good, prune, publish, published, retract, set_aside
from groundup.runs.files import fsync_directory, make_directory, mount_point, read_json, read_text, write_atomic
from groundup.runs.journal import Journal, parse_row, read_entries, read_journal
from groundup.runs.layout import Run, find_checkpoint
from groundup.runs.lock import locked
from groundup.runs.manifest import verify
from groundup.runs.signals import StopRequest, seconds_of, stop_on_signals

__all__ = [
    "Journal",
    "Run",
    "StopRequest",
    "find_checkpoint",
    "fsync_directory",
    "link_best",
    "locked",
    "make_directory",
    "mount_point",
    "newest_good",
    "parse_row",
    "prune",
    "publish",
    "published",
    "read_entries",
    "read_journal",
    "read_json",
    "read_text",
    "retract",
    "seconds_of",
    "set_aside",
    "stop_on_signals",
    "verify",
    "write_atomic",
]
