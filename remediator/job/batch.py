"""Where a batch prediction takes its rows from, and where it writes them.

Owns the paths of a batch's input and output, and what of them a resume replaces. Pure; called by the
rows room (what to read) and by the policy room (what the resumed job says instead).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Change, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job.document import Document
from remediator.job.fields import text

INPUT_URIS = "inputConfig.gcsSource.uris"
INPUT_TABLE = "inputConfig.bigquerySource.inputUri"
OUTPUT_PREFIX = "outputConfig.gcsDestination.outputUriPrefix"
OUTPUT_TABLE = "outputConfig.bigqueryDestination.outputUri"

MANIFEST = "remediator-manifest.json"
"""The list of a resumed batch's parts, beside the newest of them."""

_RESUMED = late_pattern(
    r"inputConfig\.(gcsSource\.uris(\[\d+\])?|bigquerySource\.inputUri)"
    r"|outputConfig\.(gcsDestination\.outputUriPrefix|bigqueryDestination\.outputUri)"
)


class BatchData(Struct, frozen=True):
    """What a batch prediction was given and where it wrote, as the job names it; empty: it does not.

    `inputs` are `gs://` URIs, which may hold `*`. `output_folder` is what Vertex made; where it named
    none, the output is searched below `output_prefix`, in folders that bear the digits `output_mark`
    of the job's creation: jobs share the prefix that they ask for. `input_table` and `output_table`
    are `bq://` URIs, the latter the table that Vertex made where it said so, else the dataset.
    """

    inputs: tuple[str, ...] = ()
    input_table: str = ""
    instances_format: str = ""
    key_field: str = ""
    output_folder: str = ""
    output_prefix: str = ""
    output_mark: str = ""
    output_table: str = ""

    @property
    def suffix(self) -> str:
        """Of the name of an input like this one: `.csv` or `.jsonl`."""
        return ".csv" if self.instances_format == "csv" else ".jsonl"


class Stored(Struct, frozen=True):
    """An object as it was listed: which bytes, and their CRC32C (base64; empty: not known).

    `encoding` is how they are stored, such as `gzip`; empty: as they are.
    """

    uri: str
    size: int
    generation: int
    crc32c: str
    encoding: str = ""


def data_of(job: Document) -> BatchData:
    """The input and output of a batch prediction."""
    uris = job.read(INPUT_URIS)
    created = job.create_time
    return BatchData(
        inputs=tuple(str(uri) for uri in uris) if isinstance(uris, list | tuple) else (),
        input_table=text(job, INPUT_TABLE),
        instances_format=text(job, "inputConfig.instancesFormat").lower(),
        key_field=text(job, "instanceConfig.keyField"),
        output_folder=text(job, "outputInfo.gcsOutputDirectory"),
        output_prefix=text(job, OUTPUT_PREFIX),
        output_mark=f"{created.astimezone(UTC):%Y%m%d%H%M%S}" if created else "",
        output_table=output_table(job),
    )


def output_table(job: Document) -> str:
    """Where the results lie in BigQuery: the table where it is named, else the dataset; empty: not there."""
    dataset = text(job, "outputInfo.bigqueryOutputDataset")
    table = text(job, "outputInfo.bigqueryOutputTable")
    if table.startswith("bq://"):
        return table
    asked = text(job, OUTPUT_TABLE)
    if dataset and table:
        return f"{dataset}.{table}"
    return asked if asked.startswith(f"{dataset}.") else dataset or asked


def manifest_of(job: Document) -> str:
    """Where the list of a resumed batch's parts lies: an object beside its output, or a table.

    Empty where the output has no place of ours.
    """
    if prefix := text(job, OUTPUT_PREFIX):
        return f"{prefix.rstrip('/')}/{MANIFEST}"
    dataset, _, table = text(job, OUTPUT_TABLE).rpartition(".")
    if not table.startswith(PREDICTIONS):
        return ""
    return f"{dataset}.{_MANIFEST_TABLE}{table.removeprefix(PREDICTIONS)}"


PREDICTIONS = "predictions_"
"""Tables of results begin so, Vertex's own and those that a resumed batch writes."""
_MANIFEST_TABLE = "manifest_"


def is_resumed(path: str) -> bool:
    """Whether a job that runs the rows that are left differs at this path: its input, its output."""
    return _RESUMED.fullmatch(path) is not None


def marked(changes: tuple[Change, ...], mark: str, token: str) -> tuple[Change, ...]:
    """The changes with a claim's token in place of the mark, in the names of input and output."""
    return tuple(
        replace(one, after=_replaced(one.after, mark, token)) if is_resumed(one.field) else one
        for one in changes
    )


def marked_request(request: Json, mark: str, token: str) -> dict[str, Any]:
    """The request with a claim's token in place of the mark, in its input and its output."""
    return {
        key: _replaced(value, mark, token) if key in {"inputConfig", "outputConfig"} else value
        for key, value in request.items()
    }


def _replaced(value: Any, mark: str, token: str) -> Any:
    if isinstance(value, str):
        return value.replace(mark, token)
    if isinstance(value, list | tuple):
        return [_replaced(item, mark, token) for item in value]
    if isinstance(value, Mapping):
        return {key: _replaced(item, mark, token) for key, item in value.items()}
    return value
