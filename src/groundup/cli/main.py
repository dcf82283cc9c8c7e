"""The entry point: runs the command line and turns every end into its exit code."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import groundup.cli.started  # noqa: F401 (before all else: it reads the clock)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input is at fault, 75 stopped by a signal, 1 our fault."""
    from groundup.cores import process_of_run
    from groundup.errors import EXIT_OURS, EXIT_STOPPED, EXIT_USER, Lost, Stopped, UserError

    atexit.register(gc.freeze)  # else the last collection walks through all of torch: half a second and more
    rank, _ = process_of_run()
    who = f"groundup: process {rank}" if rank else "groundup"

    for stream in (sys.stdout, sys.stderr):
        # texts may hold what the terminal's encoding lacks; that must not stop the work
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        from cyclopts import CycloptsError

        import groundup.cli.benchmarks
        import groundup.cli.documents
        import groundup.cli.insight
        import groundup.cli.making
        import groundup.cli.using  # noqa: F401 (they put their commands into the app)
        from groundup.cli.app import app

        try:
            app(arguments, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            raise UserError(" ".join(str(error).split()), fix="groundup --help, or groundup COMMAND --help") from None
    except UserError as error:
        print(f"{who}: {error}", file=sys.stderr)
        sys.exit(EXIT_USER)
    except Stopped as stopped:
        if rank == 0:  # it says so for all
            print(f"groundup: {stopped}", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except Lost as lost:
        print(f"{who}: {lost}", file=sys.stderr)
        sys.exit(EXIT_OURS)
    except KeyboardInterrupt:
        print("groundup: interrupted", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        print("groundup: out of memory\n  use a smaller --size, or --set training.microbatch=1", file=sys.stderr)
        sys.exit(EXIT_USER)
