"""Which rows of a batch prediction came back, and which are to be sent again.

Owns the reading of input, output and error files, the ladder of keys and the join as a multiset.
`account` is the door; what an account is and when a resume is worth it stands in
`remediator.job.rows`. Streams: memory stays flat. Must not open a service: whoever calls hands in
the files. Called by the command `rows`.
"""

from remediator.rows.account import AccountedRows, account
from remediator.rows.lines import Files, RowFile

__all__ = ["AccountedRows", "Files", "RowFile", "account"]
