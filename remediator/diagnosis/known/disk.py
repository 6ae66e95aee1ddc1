"""Signatures of a machine's own disk that is full: the boot disk and what lies on it, `/tmp` too.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`. Shared memory
(`/dev/shm`) tells its end in the same words and is memory: `memory` has its rows, which win here.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature
from remediator.diagnosis.signs import DECISIVE, FAIR
from remediator.domain import Cause

_ERRNO = "man7.org/linux/man-pages/man3/errno.3.html"
_MEASURED = "measured: the program on a disk without room"

# What a write that failed leaves behind: the program's own exception around it says nothing more.
_CONSEQUENCES = (
    "code-exception",
    "code-runtime",
    "code-traceback",
    "server-model-config",
)

DISK: tuple[Signature, ...] = (
    Signature(
        "disk-full",
        Cause.DISK_FULL,
        DECISIVE + 0.3,
        r"no space left on (the )?(device|disk)|\[errno 28\]|\benospc\b|disk quota exceeded"
        r"|(disk|filesystem|file system|volume|partition)( \S{1,60})? (is|was|are) full\b"
        r"|(not enough|insufficient|out of|ran out of|no more|too little) (free |available |local |remaining )*(disk( space)?|space on (the )?(disk|device|volume))\b"
        r"|database or disk is full|there is not enough space on the disk",
        _ERRNO,
        explains=_CONSEQUENCES,
    ),
    Signature(
        "disk-eviction",
        Cause.DISK_FULL,
        DECISIVE,
        r"low on resource: ephemeral-storage|ephemeral local storage usage exceeds|exceeds (its |the )?(local )?ephemeral[- ]storage|node had condition: \[diskpressure\]|\bdiskpressure\b",
        "kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction",
        explains=_CONSEQUENCES,
    ),
    Signature(
        "disk-short-write",
        Cause.DISK_FULL,
        FAIR + 0.6,
        r"inline_container\.cc:\d{1,6}\W[^|]{0,20}unexpected pos \d|pytorchstreamwriter failed writing file",
        _MEASURED,  # torch.save on a full disk
        explains=_CONSEQUENCES,
    ),
)
