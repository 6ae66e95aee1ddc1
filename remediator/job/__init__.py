"""One job, read once: the only room that knows where things live in a job's document.

`Job` is what everybody else asks; `fields` has the table of kinds and its machines, `programs` what
a job runs, `data_places` where its data lie, `workload` its request and what makes two jobs the same work,
`ending` how it ended, `relations` its parents and children, `facts` the one
answer to diagnosis and policies, `differences` where a request may differ. Of a pipeline run:
`pipeline` has its tasks, `containers` and `launchers` their machines (`machines`: those of any job),
`parameters` where a value stands. `validation` knows a job's shape, `summary` tells it in words,
`likeness` which jobs are one job on different days, `change_words` tells changes, `quota` what a refusal says, `views` how much of
each job a list asks for. Pure; called by
diagnosis, policies, evidence, alerts and the workflow.
"""

from remediator.job.document import CREATE_REQUEST_FIELDS, RpcStatus, once
from remediator.job.ending import Fault, FaultPart
from remediator.job.facts import JobFacts
from remediator.job.fields import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_BOOT_DISK_GB,
    DEFAULT_TIMEOUT_SECONDS,
    KINDS,
    OUR_LABELS,
    SWITCH_LABEL,
    Pool,
)
from remediator.job.job import Job
from remediator.job.programs import container_of
from remediator.job.relations import PARENTS
from remediator.job.views import JobView

__all__ = [
    "CREATE_REQUEST_FIELDS",
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_BOOT_DISK_GB",
    "DEFAULT_TIMEOUT_SECONDS",
    "KINDS",
    "OUR_LABELS",
    "PARENTS",
    "SWITCH_LABEL",
    "Fault",
    "FaultPart",
    "Job",
    "JobFacts",
    "JobView",
    "Pool",
    "RpcStatus",
    "container_of",
    "once",
]
