"""The command line: arguments in, one verb called, its result printed.

Heavy imports wait until a verb runs, so that `groundup --help` answers at once.
"""

from groundup.cli.main import main

__all__ = ["main"]
