"""The ways a verb ends early: the user's input is at fault, a signal asked for a stop, another process is gone."""

from pathlib import Path

EXIT_OK = 0
EXIT_OURS = 1
EXIT_USER = 2
EXIT_STOPPED = 75  # sysexits.h EX_TEMPFAIL: try again; `groundup resume` continues


class UserError(Exception):
    """Something the user gave is at fault: what happened, where, and what to do about it (exit code 2)."""

    def __init__(self, what: str, *, where: str | Path = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        message = f"{self.where}: {what}" if self.where else what
        super().__init__(f"{message}\n  {fix}" if fix else message)


class Stopped(Exception):
    """A signal asked for a stop and everything worth keeping is saved (exit code 75)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message}\n  {fix}" if fix else message)


class Lost(Exception):
    """Another process of the run is gone, and this one cannot go on alone (exit code 1)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message}\n  {fix}" if fix else message)
