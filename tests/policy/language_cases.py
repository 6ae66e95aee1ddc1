"""Policy files and readers that the tests of the language share."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from remediator.catalog.catalog import Catalog
from remediator.policy.expression_values import VARIABLES
from remediator.policy.language import (
    Loaded,
    load,
)

CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own
ROOT = Path(__file__).resolve().parents[2]
HEAD = "version: 1\npolicies: []\n"


EVERYTHING = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom]
limits:
  attempts: 9
  retries: 6
  usd_per_job: 100
  usd_per_day: 1000.50
  resubmissions_per_hour: 50
  per: [{by: service_account, usd_per_day: 200}, {by: labels.team, resubmissions_per_hour: 10}]
  max_run: 3x
  on_overrun: cancel
  machine_types: ["n1-*", "n2-*", "g2-*"]
  accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4]
  locations: us-*
  breaker: {failed_share: 0.5, of_last: 10, pause: 6h}
probes: {hosts: ["data.partner.example", "*.mirror.example"], threshold: 250ms}
channels:
  ml-oncall:
    slack: {webhook: "env:SLACK_WEBHOOK_URL"}
  bot:
    slack: {token: "secret:slack-bot", channel: "#ml"}
  by-mail:
    email: {smtp: "env:SMTP_URL", from: "vertex@example.com", to: ml@example.com}
  office:
    teams: {webhook: "secret:teams"}
    quiet_hours: {from: "22:00", to: 07:00, zone: Europe/Berlin}
    digest: weekly
  pager: {pagerduty: {routing_key: "env:PAGERDUTY_KEY", region: eu}}
  space: {google_chat: {webhook: "secret:projects/p/secrets/chat/versions/latest"}}
  program: {webhook: {url: "env:HOOK_URL", secret: "env:HOOK_SECRET"}}
owners:
  domains: [example.com]
  email: by-mail
  rules:
    - {labels: {team: [genomics, genetics-*]}, to: genomics@example.com}
    - {service_account: "*@search.iam.gserviceaccount.com", to: bot}
approvers: {slack: [U024BE7LH], signing_secret: "env:SLACK_SIGNING_SECRET"}
policies:
  - name: starved-of-cpu
    when:
      cause: [cpu_saturation, accelerator_missing]
      job: batch_prediction
      min_confidence: 0.6
      labels: {env: prod, switch: off}
      location: us-*
      model: "projects/*/locations/*/models/genomics-*"
      service_account: "*@genomics.iam.gserviceaccount.com"
      if: "job.machine.vcpus < 64 && job.run_seconds > 600"
    do:
      - resubmit: {machine_type: bigger, batch_size: halve, replicas: 4, wait: 10m}
      - resubmit: {accelerator: {type: NVIDIA_TESLA_T4, count: 1}}
        times: 2
      - resubmit:
      - resubmit: {spot: false, location: data, explanations: false, output: attempt}
      - resubmit: {machine_type: {more_memory: {factor: 1.5, at_most: 256GiB}}, rows: remaining}
    limits: {attempts: 5, on_overrun: cancel, machine_types: n1-standard-*}
    alert: [ml-oncall, owner, office, pager, space, program]
    mode: approve
    enabled: true
    description: batches that the CPU holds up
  - name: leaves-the-place
    when: {job: custom, cause: quota, zone: Europe/Berlin, if: "now.hour < 7"}
    do:
      - resubmit:
          max_usd: 40
          wait: 2h30m
          fallback:
            - {location: us-west1}
            - {machine_type: n1-standard-8, accelerator: {type: NVIDIA_TESLA_T4}}
            - {strategy: FLEX_START, max_wait: 4h}
            - {spot: false}
      - resubmit: {strategy: STANDARD, timeout: sized, disk: double}
      - resubmit: {timeout: double}
    limits: {attempts: 8}
    retry_exit_codes: [75, 143]
  - name: takes-less
    when: {job: custom, cause: gpu_memory}
    do:
      - resubmit: {env: {BATCH_SIZE: halve}, args: {"--batch_size": halve}, disk: 200GB}
  - name: everything-else
    when: {}
    do: []
    alert: []
"""


def read(text: str | bytes) -> Loaded:
    return load(text, catalog=Catalog.built_in())


def only_policy(when: str = "{}", **keys: str) -> str:
    more = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"version: 1\npolicies:\n  - name: one\n    when: {when}\n{more}"


texts = st.one_of(
    st.sampled_from(["'a'", '"b c"', "job.labels.env", "string(now.hour)"]),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("string",)]),
)
