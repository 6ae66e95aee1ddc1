"""The command line: parse and call.

Exit codes: 0 done; 1 a check failed; 2 unusable input (one line on standard error, no traceback).
Offline commands need no settings and import no Google client. Called by `__main__` and by the
installed command `vertex-remediator`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from remediator.cli.commands import build
from remediator.cli.input_output import DONE, UNUSABLE, named_policies
from remediator.domain import RemediatorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    parsed = build().parse_args(arguments)
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
