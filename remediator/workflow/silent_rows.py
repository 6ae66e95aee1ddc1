"""A Gemini batch that succeeded, by its counts without a failure: whether its rows are to be looked at.

Vertex calls a batch SUCCEEDED of which every row failed, so that the state says nothing; the rows do.
They are read only where the failed ones could be run again. Called by the sweep and by the incident.
"""

from __future__ import annotations

from remediator.domain import JobState
from remediator.job import Job
from remediator.workflow.services import Configuration

_CLAIM = "remediator-claim"


def may_hide_failed_rows(job: Job, config: Configuration) -> bool:
    """Whether only its rows can say that the job failed, and somebody wants to know.

    False for a resumed batch of ours, whose end closes its chain.
    """
    return (
        job.state is JobState.SUCCEEDED
        and job.is_gemini_batch
        and not job.is_failure
        and _CLAIM not in job.labels
        and bool(config.settings.resume_bucket or config.settings.resume_dataset)
        and config.policies().may_resume_rows()
    )
