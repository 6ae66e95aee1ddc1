"""The command line: parse and call.

Exit codes: 0 done; 1 a check failed; 2 unusable input (one line on standard error, no traceback).
Offline commands need no settings and import no Google client. Called by `__main__` and by the
installed command `vertex-remediator`.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence

from remediator.cli.commands import parse
from remediator.cli.input_output import DONE, UNUSABLE, named_policies
from remediator.cli.parser import with_show
from remediator.domain import RemediatorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code. Without arguments it is the process's own command line."""
    usual_looks = gc.get_threshold()
    # Modules and policies stay until the end, so Python's collector need not look through them again
    # and again while they are loaded: a tenth of a `plan` (measured).
    gc.set_threshold(50_000, *usual_looks[1:])
    try:
        return _run(arguments)
    finally:
        gc.set_threshold(*usual_looks)
        if arguments is None:
            # The process ends here: looking through all that was loaded once more, to free it piece by
            # piece, is another tenth to sixth of a command (measured). Nothing waits for that.
            gc.freeze()


def _run(arguments: Sequence[str] | None) -> int:
    parsed = parse(with_show(sys.argv[1:] if arguments is None else arguments))
    if getattr(parsed, "policies", "") is None:
        parsed.policies = named_policies()
    try:
        run: Callable[[argparse.Namespace], int] = parsed.run
        return run(parsed)
    except RemediatorError as err:
        from remediator.redaction import redact

        print(f"{parsed.command}: {' '.join(redact(err).split())}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        return DONE
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
