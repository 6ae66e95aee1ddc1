"""What people have in hand when a job has failed, made one case.

`documents` recognises a file (a case, a job, log entries, a plain log), `json_text` tells JSON from
what looks like it, `text_log` reads plain logs, `references` knows the names and links of jobs,
`assembly` merges several inputs. Pure; called by the command line, which reads the files.
"""

from remediator.inputs.assembly import Assembly, assemble, wishes
from remediator.inputs.documents import Material, read_document, unread_words
from remediator.inputs.json_text import parse_json
from remediator.inputs.references import Reference, parse_reference

__all__ = [
    "Assembly",
    "Material",
    "Reference",
    "assemble",
    "parse_json",
    "parse_reference",
    "read_document",
    "unread_words",
    "wishes",
]
