"""Every signature, by what it means; both the service's and the software's that runs on it.

Owns the order: what Vertex AI and Google's APIs say first. Both of the product's names occur in
messages ("Vertex AI", "Agent Platform", and the older "AI Platform" and "ML Engine"), so no row leans
on the name. Wrappers ("Exceeded retries", "The DAG failed", an exit code) carry at most a symptom:
what is wrapped is found by the other rows, since they look anywhere in the text. What an exception
is called and what its message says are different rows: the message goes deeper than the name.
"""

from __future__ import annotations

from remediator.diagnosis.known.access import PERMISSION
from remediator.diagnosis.known.backend import DEADLINE, EXIT, TRANSIENT
from remediator.diagnosis.known.capacity import CAPACITY, PREEMPTION, QUOTA
from remediator.diagnosis.known.configuration import CONFIG, PROBE_PATHS
from remediator.diagnosis.known.data import DATA, INPUT, ROWS, TOOLS
from remediator.diagnosis.known.devices import DEVICES
from remediator.diagnosis.known.disk import DISK
from remediator.diagnosis.known.memory import GPU_MEMORY, MEMORY
from remediator.diagnosis.known.network import NETWORK
from remediator.diagnosis.known.serving import BATCH_WRAPPERS, SERVERS, STARTUP, TOO_LARGE
from remediator.diagnosis.known.user_code import CODE, SHELL, SLOW
from remediator.diagnosis.signatures import Signature

__all__ = ["SIGNATURES"]

SIGNATURES: tuple[Signature, ...] = (
    *CAPACITY,
    *QUOTA,
    *PERMISSION,
    *CONFIG,
    *BATCH_WRAPPERS,
    *TOO_LARGE,
    *STARTUP,
    *PROBE_PATHS,
    *TRANSIENT,
    *PREEMPTION,
    *DEADLINE,
    *EXIT,
    *INPUT,
    *MEMORY,
    *GPU_MEMORY,
    *DISK,
    *DEVICES,
    *SERVERS,
    *NETWORK,
    *CODE,
    *SHELL,
    *DATA,
    *TOOLS,
    *ROWS,
    *SLOW,
)
