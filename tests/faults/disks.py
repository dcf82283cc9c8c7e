"""Disks that only this process sees, for tests of full and read-only ones: no rights and no second Python needed."""

import ctypes
import os
from pathlib import Path

_NEW_MOUNTS, _NEW_USER, _READ_ONLY, _REMOUNT = 0x20000, 0x10000000, 1, 32  # of sched.h and mount.h
REFUSED = 99
"""Exit code of a child whose machine lets nobody mount a disk."""


def mount(disk: Path, size: int) -> None:
    """In a forked child: from here on a disk of `size` bytes lies at `disk`. Ends the child where that is refused."""
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _NEW_USER | _NEW_MOUNTS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path(f"/proc/self/{name}").write_text(text)
        _call("mount", b"none", os.fsencode(disk), b"tmpfs", 0, f"size={size}".encode())
    except (OSError, AttributeError):
        os._exit(REFUSED)


def change(disk: Path, size: int, *, read_only: bool = False) -> None:
    """Make the disk larger, or one that cannot be written."""
    flags = _REMOUNT | (_READ_ONLY if read_only else 0)
    _call("mount", b"none", os.fsencode(disk), b"tmpfs", flags, f"size={size}".encode())


def _call(name: str, *arguments: int | bytes) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), name)
