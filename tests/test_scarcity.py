"""What a refusal of Vertex says of quota and machines, whatever users call their things."""

from __future__ import annotations

import pytest

from remediator.job.quota import is_scarcity


@pytest.mark.parametrize(
    "text",
    [
        "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_cpus",
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'.",
        "Insufficient 'CPUS' quota. Requested 64, available 8.",
        "Resources are insufficient in region: us-central1. Please try a different region.",
        "The zone 'projects/p/zones/us-central1-a' does not have enough resources available.",
        "Machine type temporarily out of capacity. GCE_STOCKOUT",
        "Quota 'NVIDIA_T4_GPUS' exceeded in projects/insufficient-data/locations/us-central1.",
    ],
)
def test_want_of_quota_or_machines_is_heard(text: str) -> None:
    assert is_scarcity(text)


@pytest.mark.parametrize(
    "text",
    [
        "The model projects/1/locations/us-central1/models/quota does not exist.",
        "The Model projects/quota-team/locations/us-central1/models/7@2 is not found.",
        "Cannot read gs://insufficient/quota/rows.jsonl: no such object.",
        "Image us-docker.pkg.dev/stockout/quota:3 is not found.",
        "Service account quota@lab.iam.gserviceaccount.com does not exist.",
        "The display name quota_forecast is taken.",
        "The experiment insufficient-data-7 is not found.",
        "Field `quota` of the job is not known.",
        "Network 'stockout' does not exist.",
        "Invalid value: bq://lab.quota.rows",
    ],
)
def test_what_users_call_their_things_is_not(text: str) -> None:
    assert not is_scarcity(text)
