"""The policy language: what a file may say, and how well its mistakes are told."""

from __future__ import annotations

import re
import string
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.catalog.catalog import Catalog
from remediator.domain import Cause, Diagnosis, JobKind, Mode
from remediator.planning.alert_routing import (
    all_channels,
    channels_for_refused_create,
    resolved_channels,
)
from remediator.policy.checks import covers
from remediator.policy.expression_values import VARIABLES
from remediator.policy.expressions import check, condition, expression_values
from remediator.policy.language import (
    Accelerator,
    Breaker,
    Limits,
    Loaded,
    Per,
    Policies,
    Tighter,
    Unloadable,
    When,
    bound,
    load,
    schema,
)
from remediator.policy.model import tightened
from remediator.policy.steps import MemoryMove, MoreMemory
from tests.effort import calls_made

CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own
ROOT = Path(__file__).resolve().parents[1]
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


# --- a file that says everything -----------------------------------------------------------------


def test_a_file_with_every_key_loads_without_a_word() -> None:
    loaded = read(EVERYTHING)
    assert loaded.render() == ""
    policies = loaded.require()
    assert policies.mode is Mode.ENFORCE
    assert policies.rerun_safe == (JobKind.BATCH_PREDICTION, JobKind.CUSTOM)
    assert policies.probes.threshold == timedelta(milliseconds=250)
    assert policies.limits.max_run == 3.0
    first = policies.policies[0]
    assert first.when.labels == {"env": ("prod",), "switch": ("off",)}
    assert first.when.condition == "job.machine.vcpus < 64 && job.run_seconds > 600"
    steps = [step.resubmit for step in first.do]
    assert (steps[0].machine_type, steps[0].batch_size, steps[0].replicas) == ("bigger", "halve", 4)
    assert steps[0].wait == timedelta(minutes=10)
    assert steps[1].accelerator == Accelerator(type="NVIDIA_TESLA_T4", count=1)
    assert [step.asks_for_change for step in steps] == [True, True, False, True, True]
    assert steps[4].machine_type == MemoryMove(
        more_memory=MoreMemory.model_validate({"factor": 1.5, "at_most": "256GiB"})
    )
    assert (first.mode, first.enabled) == (Mode.APPROVE, True)
    assert first.description == "batches that the CPU holds up"
    second = policies.policies[1]
    assert second.retry_exit_codes == (75, 143)
    leaves = second.do[0].resubmit
    assert second.do[0].times == 4  # once for each way
    assert (leaves.max_usd, leaves.wait) == (40.0, timedelta(hours=2, minutes=30))
    assert [sorted(way.model_fields_set) for way in leaves.fallback or ()] == [
        ["location"],
        ["accelerator", "machine_type"],
        ["max_wait", "strategy"],
        ["spot"],
    ]
    assert second.do[1].resubmit.disk == "double"
    less = policies.policies[2].do[0].resubmit
    assert (less.env, less.args) == ({"BATCH_SIZE": "halve"}, {"--batch_size": "halve"})
    assert less.disk == 200


def test_what_is_left_out_takes_the_careful_default() -> None:
    policies = read(only_policy()).require()
    assert (policies.mode, policies.rerun_safe) == (Mode.OBSERVE, (JobKind.BATCH_PREDICTION,))
    assert (policies.limits.attempts, policies.limits.retries) == (3, 5)
    assert policies.limits.usd_per_day is None
    assert policies.probes.hosts == ()
    assert policies.policies[0].when.min_confidence == 0.5


def test_the_shipped_file_has_a_policy_and_a_limit_for_everything() -> None:
    text = (ROOT / "policies.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=docs/policies.schema.json\n")
    policies = read(text).require()
    named = {cause for policy in policies.policies for cause in policy.when.cause or ()}
    assert named == set(Cause)
    assert policies.policies[-1].when == When()
    assert set(Limits.model_fields) == policies.limits.model_fields_set
    # Enforcing is one word: nothing else has to change for the file to be without mistakes.
    assert read(text.replace("\nmode: observe\n", "\nmode: enforce\n")).render() == ""


# --- mistakes, all at once ---------------------------------------------------------------------

SEEDED = """\
version: 2
mode: enforced
rerun_safe: [batch_prediction, customs]
limits:
  attemps: 3
  retries: many
  usd_per_job: -1
  usd_per_day: 1000
  usd_per_day: 2000
  max_run: 3
  on_overrun: kill
  breaker: {failed_share: 50, of_last: 10, pause: 6 hours}
  per: [{by: team, usd_per_day: 5}]
probes: {hosts: ["https://data.partner.example/x"], threshold: 0.5}
channels:
  ml-oncall:
    slack: {webhook: "https://hooks.slack.example/T0/B0/abcdef"}
  owners:
    email: {smtp: "env:SMTP_URL", from: vertex, to: []}
  nowhere: {}
polices: []
policies:
  - name: Starved
    when: {cause: cpu_saturaton, min_confidence: 60}
    do:
      - resubmit: {machine_type: bigger, batchsize: halve}
      - machine_type: bigger
      - resubmit: {accelerator: NVIDIA_TESLA_T4}
      - resubmit: {timeout: 10, spot: yes, explanations: true}
        times: 0
    limits: {attempts: 9}
    alert: [ml-oncal, owners, nowhere]
  - name: memory
    when:
      if: "job.machine.vcpu < 64"
      job:
      labels: {env: 1}
    do: resubmit
  - name: memory
    when: {cause: quota, if: "job.run_seconds >"}
    alert: owner
  - when: !!python/name:os.system {}
    alert: ml-oncall
"""

TOLD = """\
policies.yaml:1:10: error: version: `2` is not known here: this product reads version 1
policies.yaml:2:7: error: mode: unknown value `enforced`; did you mean `enforce`?
policies.yaml:3:32: error: rerun_safe: unknown value `customs`; did you mean `custom`?
policies.yaml:5:3: error: unknown key `attemps`; did you mean `attempts`?
policies.yaml:6:12: error: retries: expected a whole number, got `many`
policies.yaml:7:16: error: usd_per_job: `-1` is out of range: US dollars, 0 or more
policies.yaml:9:3: error: duplicate key `usd_per_day`: it stands on line 8 already
policies.yaml:10:12: error: max_run: expected a factor such as 3x (1x to 1000x), got `3`; did you mean `3x`?
policies.yaml:11:15: error: on_overrun: unknown value `kill` (one of alert, cancel)
policies.yaml:12:27: error: failed_share: `50` is out of range: a number from 0 to 1; did you mean `0.5`?
policies.yaml:12:51: error: pause: expected a duration such as 30s, 10m, 6h or 1d, got `6 hours`; did you mean `6h`?
policies.yaml:13:14: error: by: unknown value `team` (one of service_account, location, model, labels.NAME)
policies.yaml:14:18: error: hosts: `https://data.partner.example/x` is a URL: only the host's name stands here
policies.yaml:14:64: error: threshold: expected a duration such as 30s, 10m, 6h or 1d, got `0.5`; did you mean `0.5s`?
policies.yaml:17:22: error: webhook: a secret must not stand in this file: write `env:NAME` (an environment variable) or `secret:NAME` (Secret Manager)
policies.yaml:19:41: error: from: `vertex` is not an e-mail address
policies.yaml:19:53: error: to: the list is empty: name at least one, or leave the key out
policies.yaml:20:12: error: nowhere: a channel needs exactly one of `slack`, `email`, `webhook`, `teams`, `pagerduty`, `google_chat`
policies.yaml:21:1: error: unknown key `polices`; did you mean `policies`?
policies.yaml:23:11: error: name: `Starved` is not a name: a-z, 0-9 and -, at most 63
policies.yaml:24:19: error: cause: unknown value `cpu_saturaton`; did you mean `cpu_saturation`?
policies.yaml:24:50: error: min_confidence: `60` is out of range: a number from 0 to 1; did you mean `0.6`?
policies.yaml:26:42: error: unknown key `batchsize`; did you mean `batch_size`?
policies.yaml:27:9: error: do: `resubmit` is missing
policies.yaml:27:9: error: unknown key `machine_type` here: it belongs in `resubmit`
policies.yaml:28:33: error: accelerator: expected {type, count} or one of bigger, more_memory, none; got `NVIDIA_TESLA_T4`; write {type: NVIDIA_TESLA_T4, count: 1}
policies.yaml:29:29: error: timeout: expected a duration such as 30s, 10m, 6h or 1d, got `10`; did you mean `10s`?, or `double` or `sized`
policies.yaml:29:39: error: spot: expected true or false, got `yes`; did you mean `true`?
policies.yaml:29:58: error: explanations: expected false (explanations can only be turned off), got true
policies.yaml:30:16: error: times: `0` is out of range: from 1 to 1000000
policies.yaml:31:24: error: attempts: 9 loosens the general limit of 3, the default: a policy may only tighten
policies.yaml:32:13: error: undefined channel `ml-oncal`; did you mean `ml-oncall`?
policies.yaml:35:11: error: if: unknown variable `job.machine.vcpu`; did you mean `job.machine.vcpus`?
policies.yaml:36:11: error: job: is empty: give it a value, or leave it out
policies.yaml:37:21: error: env: expected text, got `1`: put it in quotes
policies.yaml:38:9: error: do: expected a list, got `resubmit`
policies.yaml:39:11: error: duplicate name `memory`: line 33 has it already
policies.yaml:40:30: error: if: does not compile: expected a value, found the end
policies.yaml:41:12: error: `owner` needs an owner map: write `owners` at the top level
policies.yaml:42:5: error: policies: `name` is missing
policies.yaml:42:11: error: the tag `!!python/name:os.system` is refused: write plain values"""


def test_every_mistake_of_a_seeded_file_is_told_at_once_with_its_place() -> None:
    assert read(SEEDED).render().splitlines() == TOLD.splitlines()


WARNED = """\
version: 1
mode: enforce
limits: {machine_types: ["n1-*", "n9-*"], accelerators: NVIDIA_T4, attempts: 2, locations: us-*}
channels:
  a: {slack: {webhook: env:X}}
  b: {slack: {webhook: env:X}}
policies:
  - name: all
    when: {job: [custom, batch_prediction]}
    do:
      - resubmit: {machine_type: n2-standard-8}
      - resubmit: {machine_type: n1-standard-7}
      - resubmit: {machine_type: n1-standard-32, accelerator: {type: NVIDIA_TESLA_T4}}
      - resubmit: {accelerator: {type: NVIDIA_TESLA_T5}, location: europe-west4}
    alert: a
  - name: never
    when: {job: custom, cause: quota}
  - name: hopeless
    when: {job: hyperparameter_tuning, cause: [bad_input, permission]}
    do: [resubmit: ]
  - name: wrong-service
    when: {job: hyperparameter_tuning, cause: quota}
    do: [{resubmit: {machine_type: n1-highcpu-4}}]
    limits: {usd_per_day: 0}
"""

WARNINGS = """\
policies.yaml:2:7: warning: `enforce` without a money limit: set `usd_per_day` or `usd_per_job` under `limits`
policies.yaml:3:34: warning: unknown machine type `n9-*`
policies.yaml:3:57: warning: unknown accelerator `NVIDIA_T4`; did you mean `NVIDIA_TESLA_T4`?
policies.yaml:6:3: warning: unused channel `b`: no policy alerts it
policies.yaml:11:34: warning: `machine_types` forbids this step: `n2-standard-8` is not among n1-*, n9-*
policies.yaml:12:34: warning: unknown machine type `n1-standard-7`; did you mean `n1-standard-8`?
policies.yaml:13:9: warning: `attempts: 2` forbids this step: 2 come before it
policies.yaml:13:63: warning: `accelerators` forbids this step: `NVIDIA_TESLA_T4` is not among NVIDIA_T4
policies.yaml:13:63: warning: unfitting accelerator: `n1-standard-32` does not take 1 NVIDIA_TESLA_T4
policies.yaml:14:9: warning: `attempts: 2` forbids this step: 3 come before it
policies.yaml:14:33: warning: `accelerators` forbids this step: `NVIDIA_TESLA_T5` is not among NVIDIA_T4
policies.yaml:14:40: warning: unknown accelerator `NVIDIA_TESLA_T5`; did you mean `NVIDIA_TESLA_T4`?
policies.yaml:14:68: warning: `locations` forbids this step: `europe-west4` is not among us-*
policies.yaml:16:11: warning: unreachable policy: all it could match is taken before it by `all`
policies.yaml:20:10: warning: nothing is ever resubmitted after bad_input, permission: this step is never taken
policies.yaml:23:10: warning: `usd_per_day: 0` forbids this step
policies.yaml:23:36: warning: unfitting machine type: `n1-highcpu-4` is not offered for training"""


def test_warnings_are_told_with_their_place_and_the_file_loads() -> None:
    loaded = read(WARNED)
    assert loaded.render().splitlines() == WARNINGS.splitlines()
    assert loaded.policies is not None
    assert loaded.errors == ()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("{machine_type: n1-standrd-8}", "did you mean `n1-standard-8`?"),
        ("{accelerator: {type: NVIDIA_TESLA_T4, count: 4}}", ""),
        (
            "{accelerator: {type: NVIDIA_TESLA_T4, count: 3}}",
            "unfitting accelerator: no machine type for prediction or training takes 3 NVIDIA_TESLA_T4",
        ),
        ("{accelerator: {type: NVIDIA_TESLA_K80}}", "takes 1 NVIDIA_TESLA_K80"),
        (
            "{machine_type: n1-standard-8, accelerator: {type: NVIDIA_L4}}",
            "unfitting accelerator: `n1-standard-8` does not take 1 NVIDIA_L4",
        ),
        ("{location: us-cental1}", "unknown location `us-cental1`; did you mean `us-central1`?"),
        ("{location: nxt}", "unknown location `nxt`; did you mean `next`?"),
        ("{location: us-west7}", ""),  # a region that may come
        ("{location: data}", ""),
        ("{}, times: 5", ""),
        ("{}, times: 6", "`retries: 5` forbids some of these: 5 of 6 are left for this step"),
        (
            "{timeout: double}, times: 4",
            "`attempts: 3` forbids some of these: 3 of 4 are left for this step",
        ),
    ],
)
def test_what_a_step_can_never_do_is_a_warning(step: str, told: str) -> None:
    loaded = read(only_policy(do=f"[{{resubmit: {step}}}]"))
    assert loaded.policies is not None
    lines = loaded.render().splitlines()
    assert [told in line and " warning: " in line for line in lines] == [True] * bool(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('version: "1"\npolicies: []\n', "write 1, without quotes or a point"),
        ("version: 2\npolicies: []\n", "this product reads version 1"),
        (HEAD + "rerun_safe: batch\n", "unknown value `batch`; did you mean `batch_prediction`?"),
        (
            only_policy(do="[{resubmit: {machine_type: biger}}]"),
            "error: machine_type: `biger` is no machine type; did you mean `bigger`?",
        ),
        (only_policy(do="[{resubmit: {wait: backof}}]"), "`backof`; did you mean `backoff`?"),
        (only_policy(do="[{resubmit: {timeout: dubble}}]"), "`dubble`; did you mean `double`?"),
        ("version: 1\npolicies: [null]\n", "2:12: error: policies: is empty: give it a value"),
        (HEAD + 'limits: {usd_per_day: "100"}\n', "got `100`; did you mean `100` without quotes?"),
        (HEAD + "limits: {usd_per_day: $100}\n", "got `$100`; did you mean `100`?"),
        (HEAD + "limits: {usd_per_day: 60%}\n", "got `60%`"),
        (HEAD + 'limits: {attempts: "3"}\n', "did you mean `3` without quotes?"),
        (HEAD + "limits: {max_run: 3 X}\n", "got `3 X`; did you mean `3x`?"),
        (only_policy("{min_confidence: 60%}"), "got `60%`; did you mean `0.6`?"),
        (
            only_policy("{min_confidence: 60}"),
            "is out of range: a number from 0 to 1; did you mean `0.6`?",
        ),
        (only_policy("{min_confidence: 1.5}"), "`1.5` is out of range: a number from 0 to 1"),
        *(
            (HEAD + f"probes: {{threshold: {told}}}\n", f"got `{told}`; did you mean `{meant}`?")
            for told, meant in {
                "6 hours": "6h",
                "1 hour": "1h",
                "10min": "10m",
                "30 s": "30s",
                "2 weeks": "14d",
                "0.5": "0.5s",
                "10 ms": "10ms",
                "1H": "1h",
                "3 Days": "3d",
            }.items()
        ),
        (HEAD + "probes: {threshold: 3 moons}\n", "got `3 moons`"),
    ],
)
def test_a_mistake_is_told_once_with_what_was_meant(text: str, told: str) -> None:
    (line,) = read(text).render().splitlines()
    assert told in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # what people write for a cause; never the GPU's memory for the host's
        *(
            (only_policy(f"{{cause: {said}}}"), f"unknown value `{said}`; did you mean `{meant}`?")
            for said, meant in {
                "out_of_memory": "memory_pressure",
                "oom": "memory_pressure",
                "OOMKilled": "memory_pressure",
                "out-of-memory": "memory_pressure",
                "cuda_oom": "gpu_memory",
                "stockout": "capacity_stockout",
                "preempted": "preemption",
                "quota_exceeded": "quota",
                "permission_denied": "permission",
                "no_gpu": "accelerator_missing",
            }.items()
        ),
        (
            only_policy("{cause: timeout}"),
            (
                "`timeout`; did you mean `cpu_saturation`, `network_latency`, `request_too_large` "
                "or `slow_code`?"
            ),
        ),
        (only_policy("{job: CustomJob}"), "`CustomJob`; did you mean `custom`?"),
        (only_policy("{job: tuning}"), "`tuning`; did you mean `hyperparameter_tuning`?"),
        (HEAD + "mode: dry-run\n", "unknown value `dry-run`; did you mean `observe`?"),
        *(
            (
                only_policy(do=f"[{{resubmit: {{accelerator: {{type: {said}}}}}}}]"),
                f"warning: unknown accelerator `{said}`; did you mean `{meant}`?",
            )
            for said, meant in {
                "H100": "NVIDIA_H100_80GB",
                "t4": "NVIDIA_TESLA_T4",
                "A100": "NVIDIA_TESLA_A100",
                "A100-80GB": "NVIDIA_A100_80GB",
                "nvidia-l4": "NVIDIA_L4",
                "NVIDIA_T4": "NVIDIA_TESLA_T4",
            }.items()
        ),
        (
            only_policy(do="[{resubmit: {machine_type: n1standard16}}]"),
            "warning: unknown machine type `n1standard16`; did you mean `n1-standard-16`?",
        ),
        *(
            (only_policy(do=f"[{{resubmit: {{machine_type: {one}}}}}]"), "error: machine_type: ")
            for one in ("banana", "huge", '"a big one"', "banana-split")
        ),
        *(
            (only_policy(do=f"[{{resubmit: {{accelerator: {{type: {one}}}}}}}]"), "error: type: ")
            for one in ("banana", '"any GPU"', "fast")
        ),
        (only_policy(do="[{resubmit: {gpu: bigger}}]"), "`gpu`; did you mean `accelerator`?"),
        (only_policy(do="[{resubmit: {boot_disk: 1TB}}]"), "`boot_disk`; did you mean `disk`?"),
        (only_policy(do="[{resubmit: {disk: 200}}]"), "got `200`; did you mean `200GB`?"),
        (only_policy(do="[{resubmit: {disk: 200 gb}}]"), "got `200 gb`; did you mean `200GB`?"),
        (only_policy(do="[{resubmit: {disk: twice}}]"), "expected a size such as 200GB"),
        (only_policy(do="[{resubmit: {disk: 5GB}}]"), "`5GB` is no boot disk's size"),
        (only_policy(do="[{resubmit: {timeout: 2h 30min}}]"), "did you mean `2h30m`?"),
        (only_policy(do="[{resubmit: {timeout: 90m1h}}]"), "expected a duration"),
        (only_policy(do="[{resubmit: {strategy: flex-start}}]"), "did you mean `FLEX_START`?"),
        (
            only_policy(do="[{resubmit: {strategy: SPOT, spot: true}}]"),
            "resubmit: `strategy` and `spot` say the same thing",
        ),
        (
            only_policy(do="[{resubmit: {fallback: [{strategy: SPOT, spot: false}]}}]"),
            "`strategy` and `spot` say the same thing",
        ),
        (only_policy(do="[{resubmit: {fallback: []}}]"), "error: fallback: "),
        (
            only_policy(do="[{resubmit: {strategy: SPOT, max_wait: 4h}}]"),
            "warning: `max_wait` does nothing here: SPOT does not wait",
        ),
        (
            only_policy("{job: custom}", do="[{resubmit: {batch_size: halve}}]"),
            "warning: `batch_size` does nothing for custom: there is no such field to change",
        ),
        (only_policy(do="[{resubmit: {env: {BATCH SIZE: halve}}}]"), "is not the name of an env"),
        (
            only_policy(do="[{resubmit: {env: {REMEDIATOR_ATTEMPT: halve}}}]"),
            "`REMEDIATOR_ATTEMPT` is set by the remediator itself",
        ),
        (only_policy(do="[{resubmit: {env: {BATCH_SIZE: 8}}}]"), "expected one of halve; got `8`"),
        (only_policy(do="[{resubmit: {rows: rest}}]"), "unknown value `rest`"),
        (
            only_policy(do="[{resubmit: {machine_type: {more_memory: {factor: 1}}}}]"),
            "`1` is out of range: a factor, more than 1",
        ),
        (
            only_policy(do="[{resubmit: {machine_type: {more_memory: {at_most: 256}}}}]"),
            "got `256`; did you mean `256GB`?",
        ),
        (only_policy(retry_exit_codes="[0]"), "retry_exit_codes: `0` is out of range"),
        (only_policy('{zone: Europe/Berln, if: "now.hour < 7"}'), "did you mean `Europe/Berlin`?"),
        (
            only_policy(mode="enforce"),
            "warning: `enforce` has no effect: the file's `mode: observe` is stricter",
        ),
        (
            only_policy(do="[{resubmit: {fallback: [{location: us-cental1}]}}]"),
            "warning: unknown location `us-cental1`",
        ),
        (
            HEAD.replace("policies: []", "limits: {machine_types: n1-*}")
            + only_policy(do="[{resubmit: {fallback: [{machine_type: g2-standard-8}]}}]")[11:],
            "warning: `machine_types` forbids this entry: `g2-standard-8` is not among n1-*",
        ),
    ],
)
def test_a_word_of_somebody_elses_is_answered_with_ours(text: str, told: str) -> None:
    lines = read(text).render().splitlines()
    assert len(lines) == 1
    assert told in lines[0]


def served(text: str, *regions: str) -> list[str]:
    return load(text, catalog=Catalog.built_in(), served=regions).render().splitlines()


def test_served_regions_without_prices_are_warned_of_where_a_money_limit_is_set() -> None:
    limited = HEAD + "limits: {usd_per_day: 5, accelerators: [NVIDIA_TESLA_T4, NVIDIA_B200]}\n"
    assert served(limited, "europe-west4", "us-east1") == [
        (
            "policies.yaml:3:10: warning: no price is known for NVIDIA_B200 in the served region "
            f"`{region}`: there a limit in dollars refuses them (unknown_price)"
        )
        for region in ("europe-west4", "us-east1")
    ]
    listed = (
        HEAD + 'limits: {usd_per_day: 5, machine_types: ["m4-*", "tpu7x-*"], accelerators: ["*"]}\n'
    )
    (line,) = served(listed, "us-central1")
    assert "no price is known for NVIDIA_B200, NVIDIA_GB200, TPU7X, m4 in" in line
    (line,) = served(HEAD + "limits: {usd_per_job: 5}\n", "us-west1", "mars-north1")
    assert "no price is known in the served region `mars-north1`" in line
    assert served(HEAD, "mars-north1") == []  # nothing is refused for a price
    (line,) = served((ROOT / "policies.yaml").read_text(), *Catalog.built_in().offers)
    assert "NVIDIA_TESLA_T4 in the served region `southamerica-west1`" in line


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ("[custom]", "write [batch_prediction, custom] unless that is meant"),
        ("custom", "asks a person before each batch prediction"),
        ("[batch_prediction, custom]", ""),
        ("[]", ""),
    ],
)
def test_a_list_of_safe_kinds_that_drops_the_default_is_warned_of(kinds: str, told: str) -> None:
    lines = read(HEAD + f"rerun_safe: {kinds}\n").render().splitlines()
    assert [told in line for line in lines] == [True] * bool(told)


def test_a_policy_that_is_switched_off_tells_nobody() -> None:
    text = """
version: 1
channels: {a: {slack: {webhook: env:X}}, b: {slack: {webhook: env:X}}}
policies:
  - {name: off, enabled: false, alert: a}
  - {name: on, alert: b}
"""
    policies = read(text).require()
    refused = Diagnosis("job", JobKind.CUSTOM, Cause.QUOTA, ())
    assert channels_for_refused_create(policies, refused, "custom") == ("b",)
    assert all_channels(policies) == ("b",)


def test_a_policy_that_is_switched_off_takes_nothing_from_the_others() -> None:
    text = "version: 1\npolicies:\n  - {name: a, enabled: false}\n  - {name: b}\n"
    assert read(text).render() == ""


def test_without_a_catalogue_nothing_is_said_about_hardware() -> None:
    told = load(WARNED).render()
    assert "unknown" not in told
    assert "unfitting" not in told


def test_a_file_with_errors_gives_no_policies_and_says_so_when_they_are_asked_for() -> None:
    loaded = load("version: 1\npolicies: [{name: A}]\n", "mine.yaml")
    assert loaded.policies is None
    with pytest.raises(Unloadable, match=r"^mine\.yaml:2:19: error: name: `A` is not a name"):
        loaded.require()


def test_a_secret_written_into_the_file_is_not_repeated_in_the_message() -> None:
    told = read(SEEDED).render()
    assert "abcdef" not in told
    assert "hooks.slack" not in told


@pytest.mark.parametrize(
    "channel",
    [
        "{slack: https://hooks.slack.com/services/T00/B00/sEcReT99}",
        "{slack: {webhook: env:W, https://hooks.slack.com/services/T00/B00/sEcReT99: x}}",
        "{slack: {token: env:T, channel: xoxb-1234567890-sEcReT99}}",
        "{email: {smtp: env:S, from: 'smtp://user:sEcReT99@host:25', to: a@b.c}}",
        "{email: {smtp: 'smtp://user:sEcReT99@host:25', from: a@b.c, to: a@b.c}}",
        "{teams: {webhook: 'https://x.logic.azure.com/workflows/1?sig=sEcReT99'}}",
        "{pagerduty: {routing_key: sEcReT99sEcReT99sEcReT99sEcReT99}}",
        "{google_chat: {webhook: 'https://chat.googleapis.com/v1/spaces/A/messages?token=sEcReT99'}}",
        "{webhook: {url: 'https://u:sEcReT99@hooks.example', secret: env:S}}",
        "{webhook: {url: env:U, secret: sEcReT99}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_an_error_and_not_repeated(channel: str) -> None:
    told = read(f"{HEAD}channels: {{one: {channel}}}\n").render()
    assert "error" in told
    assert "sEcReT99" not in told


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        ("{teams: {webhook: env:A}, slack: {webhook: env:B}}", "a channel needs exactly one of"),
        ("{teams: {url: env:A}}", "unknown key `url`"),
        ("{msteams: {webhook: env:A}}", "unknown key `msteams`; did you mean `teams`?"),
        ("{pagerduty: {key: env:A}}", "`routing_key` is missing"),
        ("{pagerduty: {routing_key: env:A, region: europe}}", "unknown value `europe`"),
        ("{webhook: {url: env:A}}", "`secret` is missing"),
        ("{webhook: env:A}", "expected a mapping"),
        ("{teams: {webhook: env:A}, digest: monthly}", "unknown value `monthly`"),
        ("{teams: {webhook: env:A}, digest: day}", "unknown value `day`; did you mean `daily`?"),
        ("{teams: {webhook: env:A}, quiet_hours: {from: 22:00}}", "`to` is missing"),
        ("{teams: {webhook: env:A}, quiet_hours: {from: 22, to: 7}}", "expected a time of day"),
        ('{teams: {webhook: env:A}, quiet_hours: {from: "25:00", to: 7:00}}', "got `25:00`"),
        (
            "{teams: {webhook: env:A}, quiet_hours: {from: 22:00, to: 22:00}}",
            "`from` and `to` are the same",
        ),
        (
            "{teams: {webhook: env:A}, quiet_hours: {from: 22:00, to: 07:00, zone: Berlin}}",
            "is no time zone; did you mean `Europe/Berlin`?",
        ),
        (
            "{pagerduty: {routing_key: env:A}, digest: daily}",
            "warning: `digest` has no effect: a PagerDuty channel takes only what needs a person",
        ),
    ],
)
def test_mistakes_in_a_channel_are_named(channel: str, told: str) -> None:
    assert told in read(f"{HEAD}channels: {{one: {channel}}}\n").render()


@pytest.mark.parametrize(
    ("limits", "own", "told"),
    [
        ("usd_per_job: 5", "usd_per_job: 6", "usd_per_job: 6 loosens the general limit of 5"),
        ("usd_per_job: 5", "usd_per_job: 5", ""),
        ("usd_per_day: 5", "usd_per_job: 600", ""),
        ("attempts: 1", "attempts: 2", "attempts: 2 loosens the general limit of 1:"),
        ("attempts: 9", "attempts: 8", ""),
        ("", "retries: 6", "retries: 6 loosens the general limit of 5, the default"),
        ("max_run: 2x", "max_run: 2.5x", "max_run: 2.5 loosens the general limit of 2"),
        ("on_overrun: cancel", "on_overrun: alert", "on_overrun: `alert` loosens"),
        ("on_overrun: alert", "on_overrun: cancel", ""),
        ("locations: us-*", "locations: [us-east1, eu-*]", "locations: `eu-*` loosens"),
        ("locations: us-*", "locations: us-east*", ""),
        ("machine_types: n1-standard-?", "machine_types: n1-standard-*", "`n1-standard-*` loosens"),
        ("attempts: none", "attempts: 9", "attempts: expected a whole number, got `none`"),
        (
            "per: [{by: model, usd_per_day: 5}]",
            "per: [{by: model, usd_per_day: 6}]",
            "usd_per_day: 6 loosens the general limit of 5 by model",
        ),
        (
            "breaker: {failed_share: 0.5, of_last: 10, pause: 6h}",
            "breaker: {failed_share: 0.4, of_last: 10, pause: 5h}",
            "pause: shorter than the general one",
        ),
        (
            "breaker: {failed_share: 0.5, of_last: 10, pause: 6h}",
            "breaker: {failed_share: 0.5, of_last: 11, pause: 6h}",
            "of_last: 11 loosens the general limit of 10",
        ),
        (
            "breaker: {failed_share: 0.5, of_last: 10, pause: 6h}",
            "breaker: {failed_share: 0.5, of_last: 5, pause: 7h}",
            "",
        ),
    ],
)
def test_a_policy_may_tighten_a_limit_and_never_loosen_it(limits: str, own: str, told: str) -> None:
    text = f"version: 1\nlimits: {{{limits}}}\npolicies: [{{name: one, limits: {{{own}}}}}]\n"
    rendered = read(text).render()
    assert (told in rendered and len(rendered.splitlines()) == 1) if told else rendered == ""


@pytest.mark.parametrize(
    ("mode", "limits", "own", "warned"),
    [
        pytest.param("enforce", "", "", True, id="no limit at all"),
        pytest.param("observe", "", "", False, id="nothing is spent"),
        pytest.param("approve", "", "", False, id="a person says yes"),
        pytest.param("enforce", "usd_per_day: 5", "", False, id="by day"),
        pytest.param("enforce", "usd_per_job: 5", "", False, id="by job"),
        pytest.param("enforce", "", "usd_per_job: 5", False, id="each acting policy its own"),
        pytest.param("enforce", "resubmissions_per_hour: 5", "", True, id="a rate is no money"),
        pytest.param("enforce", "per: [{by: model, usd_per_day: 5}]", "", False, id="by group"),
    ],
)
def test_enforcing_without_a_money_limit_is_warned_of(
    mode: str, limits: str, own: str, warned: bool
) -> None:
    text = (
        f"version: 1\nmode: {mode}\nlimits: {{{limits}}}\n"
        f"policies: [{{name: one, do: [{{resubmit: {{}}}}], limits: {{{own}}}}}]\n"
    )
    assert ("without a money limit" in read(text).render()) is warned


@pytest.mark.parametrize(
    ("earlier", "later", "unreachable"),
    [
        ("{}", "{cause: quota}", True),
        ("{}", "{cause: unknown}", True),
        ("{cause: quota}", "{}", False),
        ("{cause: [quota, preemption]}", "{cause: quota, job: custom}", True),
        ("{cause: quota, min_confidence: 0.8}", "{cause: quota}", False),
        ("{cause: quota, min_confidence: 0.3}", "{cause: quota}", True),
        ("{min_confidence: 0.5}", "{cause: unknown}", False),
        ("{labels: {env: 'p*'}}", "{labels: {env: prod, team: a}}", True),
        ("{labels: {env: prod}}", "{labels: {env: 'p*'}}", False),
        ("{location: us-*}", "{location: [us-east1, us-west1]}", True),
        ("{location: us-*}", "{location: [us-east1, europe-west4]}", False),
        ("{location: us-*}", "{}", False),
        ("{if: job.spot}", "{}", False),
        ("{if: job.spot}", "{if: job.spot, cause: quota}", True),
        ("{model: '*/x'}", "{model: 'a/*/x'}", True),
        ("{service_account: a@b}", "{service_account: a@b}", True),
    ],
)
def test_a_policy_is_unreachable_where_an_earlier_one_takes_all_of_it(
    earlier: str, later: str, unreachable: bool
) -> None:
    text = f"version: 1\npolicies: [{{name: a, when: {earlier}}}, {{name: b, when: {later}}}]\n"
    said = "unreachable policy: all it could match is taken before it by `a`"
    assert (said in read(text).render()) is unreachable


def test_two_policies_together_can_make_a_third_unreachable() -> None:
    text = (
        "version: 1\npolicies:\n- {name: a, when: {cause: quota}}\n"
        "- {name: b, when: {cause: preemption}}\n- {name: c, when: {cause: [preemption, quota]}}\n"
    )
    assert read(text).render() == (
        "policies.yaml:5:10: warning: unreachable policy: all it could match is taken before it "
        "by `b`, `a`"
    )


def test_a_policy_whose_condition_cannot_be_read_makes_no_other_unreachable() -> None:
    text = "version: 1\npolicies: [{name: a, when: {cause: qota}}, {name: b, when: {cause: quota}}]"
    assert read(text).render() == (
        "policies.yaml:2:36: error: cause: unknown value `qota`; did you mean `quota`?"
    )


@pytest.mark.parametrize(
    ("owners", "told"),
    [
        ("{rules: [{to: a@example.com}]}", "`example.com` is not among the allowed `domains`"),
        ("{domains: example.com, rules: [{to: a@example.com}]}", "an address needs `email`"),
        ("{email: hook, rules: []}", "`hook` is no e-mail channel"),
        ("{email: hok, rules: []}", "undefined channel `hok`; did you mean `hook`?"),
        ("{rules: [{to: hok}]}", "undefined channel `hok`; did you mean `hook`?"),
        ("{rules: [{to: hook}]}", ""),
        ("{domains: a.b, email: mail, rules: [{to: x@a.b.evil}]}", "`a.b.evil` is not among"),
    ],
)
def test_the_owner_map_leads_to_channels_and_allowed_domains_alone(owners: str, told: str) -> None:
    text = f"""\
version: 1
channels:
  hook: {{slack: {{webhook: env:X}}}}
  mail: {{email: {{smtp: env:Y, from: a@b.c, to: a@b.c}}}}
owners: {owners}
policies: [{{name: one, alert: [owner, hook, mail]}}]
"""
    rendered = read(text).render()
    assert (told in rendered and "error" in rendered) if told else rendered == ""


@pytest.mark.parametrize(
    ("alert", "others", "labels", "told"),
    [
        ("[owner]", "[hook]", {"team": "a"}, ("a@example.com",)),
        ("[owner]", "[hook]", {}, ("hook",)),
        ("[owner]", "[owner]", {}, ("hook", "mail")),
        ("[owner, mail]", "[hook]", {}, ("mail",)),
        ("[]", "[hook]", {}, ()),
    ],
    ids=["found", "nobody", "nobody-and-no-channel-in-use", "another-is-named", "silent-by-will"],
)
def test_a_failure_that_is_nobodys_is_everybodys(
    alert: str, others: str, labels: dict[str, str], told: tuple[str, ...]
) -> None:
    policies = read(f"""\
version: 1
channels:
  hook: {{slack: {{webhook: env:X}}}}
  mail: {{email: {{smtp: env:Y, from: a@b.c, to: a@b.c}}}}
owners: {{domains: example.com, email: mail, rules: [{{labels: {{team: a}}, to: a@example.com}}]}}
policies:
  - {{name: one, when: {{cause: quota}}, alert: {alert}}}
  - {{name: two, alert: {others}}}
""").require()
    assert resolved_channels(policies, policies.policies[0], labels, "") == told


def test_the_owner_is_whoever_the_first_fitting_rule_names() -> None:
    policies = read(EVERYTHING).require()
    search = "jobs@search.iam.gserviceaccount.com"
    assert policies.owner_of({"team": "genetics-eu"}, search) == "genomics@example.com"
    assert policies.owner_of({"team": "other"}, search) == "bot"
    assert policies.owner_of({}, "x@y") is None
    assert read(HEAD).require().owner_of({}, search) is None


# --- YAML --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("0b11", "0b11"),
    ],
)
def test_text_is_text_as_in_yaml_1_2(written: str, meant: str) -> None:
    loaded = read(only_policy(f"{{labels: {{key: {written}}}}}"))
    assert loaded.require().policies[0].when.labels == {"key": (meant,)}


@pytest.mark.parametrize(
    ("written", "meant"), [("010", 10), ("0o10", 8), ("0x10", 16), ("+7", 7), ("0", 0)]
)
def test_numbers_are_numbers_as_in_yaml_1_2(written: str, meant: int) -> None:
    text = f"version: 1\nlimits: {{resubmissions_per_hour: {written}}}\npolicies: []\n"
    assert read(text).require().limits.resubmissions_per_hour == meant


def test_the_pure_and_the_compiled_parser_would_be_the_same_to_us() -> None:
    """The compiled one is used; where it is missing, `yaml.SafeLoader` gives the same events."""
    assert [type(e).__name__ for e in yaml.parse(EVERYTHING, Loader=yaml.SafeLoader)] == [
        type(e).__name__ for e in yaml.parse(EVERYTHING, Loader=yaml.CSafeLoader)
    ]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip(string.ascii_lowercase, string.ascii_lowercase[1:10], strict=False)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "1:1: error: the file is empty", id="empty"),
        pytest.param("# only a comment\n", "1:1: error: the file is empty", id="comment"),
        pytest.param("- a\n", "1:1: error: the file must be a mapping", id="list"),
        pytest.param("hello\n", "1:1: error: the file must be a mapping", id="text"),
        pytest.param("0\n\n0", "(version, mode, policies, …), not `0 0`", id="lines"),
        pytest.param("version: 1\n", "1:1: error: `policies` is missing", id="no policies"),
        pytest.param("policies: []\n", "1:1: error: `version` is missing", id="no version"),
        pytest.param(HEAD + "--- \n" + HEAD, "3:1: error: a second document", id="two documents"),
        pytest.param(
            "%YAML 3.0\n---\n" + HEAD, "1:1: error: not YAML: this YAML version", id="3.0"
        ),
        pytest.param("version: !!python/object:x {}\n", "1:10: error: the tag", id="unsafe tag"),
        pytest.param("version: !mine 1\n", "1:10: error: the tag `!mine` is refused", id="tag"),
        pytest.param(HEAD + "version: 1\n", "3:1: error: duplicate key `version`", id="twice"),
        pytest.param(BOMB, "error: more than 100000 values, aliases written out", id="bomb"),
        pytest.param("a: &a [*a]\n", "1:8: error: the alias `*a` contains itself", id="cycle"),
        pytest.param("a: *b\n", "1:4: error: no anchor `&b` stands before", id="no anchor"),
        pytest.param("a: &b x\nc:\n  <<: *b\n", "3:3: error: `<<` is not known", id="merge key"),
        pytest.param("[" * 500_000, "error: nested more than 24 deep", id="brackets"),
        pytest.param("? " * 100_000, "error: nested more than 24 deep", id="keys of keys"),
        pytest.param("? [a]\n: b\n", "1:3: error: a key must be one word", id="list as key"),
        pytest.param(
            "1: b\n", "1:1: error: a key must be text: put `1` in quotes", id="number key"
        ),
        pytest.param("version: 1\n\tmode: x\n", "2:1: error: not YAML: a tab stands", id="tab"),
        pytest.param("a: b: c\n", "1:5: error: not YAML: a second `:`", id="two colons"),
        pytest.param("a: [1, 2\nb: c\n", "error: not YAML: a list's `]`", id="open list"),
        pytest.param("a: 'x\n", "error: not YAML: the closing quote is missing", id="open quote"),
        pytest.param("a: @x\n", "1:4: error: not YAML: `@` cannot begin a value", id="at sign"),
        pytest.param("a: b\0\n", "1:5: error: the character U+0000 is not allowed", id="NUL"),
        pytest.param("a: \ud800\n", "1:4: error: the character U+D800", id="half a character"),
        pytest.param(b"a: b\n\xff\n", "2:1: error: byte 0xff is not UTF-8 text", id="not UTF-8"),
        pytest.param(HEAD.encode("utf-16"), "error: byte 0xff is not UTF-8 text", id="UTF-16"),
        pytest.param("#" * 4_000_001, "1:1: error: the file is larger than 4 MB", id="huge"),
        pytest.param("a: " + "9" * 5000, "unknown key `a`", id="a number of 5000 digits"),
        pytest.param("version: 1\npolicies:\n", "2:10: error: policies: is empty", id="null"),
        pytest.param(
            "version: 1\npolicies: [3]\n", "2:12: error: policies: expected a map", id="3"
        ),
        pytest.param(
            "version: 1\npolicies: {}\n", "2:11: error: policies: expected a list", id="{}"
        ),
    ],
)
def test_bytes_that_are_no_policy_file_are_told_in_a_sentence(text: str | bytes, told: str) -> None:
    loaded = read(text)
    assert loaded.policies is None
    assert told in loaded.render()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert read("\ufeff" + EVERYTHING.replace("\n", "\r\n")).render() == ""
    assert read(b"\xef\xbb\xbf" + EVERYTHING.encode()).policies is not None


def test_aliases_may_share_what_is_written_once() -> None:
    text = (
        "version: 1\npolicies:\n- {name: a, when: {cause: quota}, do: &later [resubmit: {wait: 5m}]}"
        "\n- {name: b, when: {cause: preemption}, do: *later}\n"
    )
    policies = read(text).require().policies
    assert policies[0].do == policies[1].do


# --- nothing raises, nothing is silent ------------------------------------------------------------


def holds_together(text: str | bytes) -> None:
    loaded = read(text)
    assert (loaded.policies is None) is bool(loaded.errors)
    assert list(loaded.mistakes) == sorted(loaded.mistakes)
    for mistake in loaded.mistakes:
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert "\n" not in mistake.message
        assert "Traceback" not in mistake.message


@CALM
@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    holds_together(data)


@CALM
@given(
    st.text(alphabet=st.sampled_from("aif:-[]{}&*!|>'\"#%@,? \n\t~.019versionpolces"), max_size=200)
)
def test_no_yaml_like_text_makes_it_raise(text: str) -> None:
    holds_together(text)


_KEYS = sorted(
    set(re.findall(r"[a-z_]+(?=:)", EVERYTHING))
    | {"mode", "smtp", "if", "polices", "attemps", "Owner", "<<", ""}
)
_WORDS = sorted(
    set(re.findall(r"[\w.*-]+", EVERYTHING)) | {"n1-standard-8", "NVIDIA_L4", "job.spot", "owner"}
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2000),
    st.floats(),
    st.sampled_from(_WORDS),
    st.text(max_size=8),
)
_trees = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)


@CALM
@given(st.dictionaries(st.sampled_from(_KEYS), _trees, max_size=8))
def test_no_tree_of_the_languages_own_words_makes_it_raise(tree: dict[str, Any]) -> None:
    holds_together(yaml.safe_dump({"version": 1, "policies": [], **tree}, allow_unicode=True))


@CALM
@given(st.data())
def test_one_change_to_a_good_file_is_found_or_harmless(data: st.DataObject) -> None:
    """A line lost, doubled, or with one character changed never raises, and never half loads."""
    lines = EVERYTHING.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, max(len(lines[at]) - 1, 0)))
    char = data.draw(st.sampled_from("x:-[]{} '\"#&*1\t"))
    kinds = {
        "lost": [*lines[:at], *lines[at + 1 :]],
        "doubled": [*lines[: at + 1], *lines[at:]],
        "changed": [
            *lines[:at],
            lines[at][:place] + char + lines[at][place + 1 :],
            *lines[at + 1 :],
        ],
    }
    holds_together("\n".join(kinds[data.draw(st.sampled_from(sorted(kinds)))]))


def test_loading_a_policy_more_costs_as_much_however_many_there_are() -> None:
    causes = [cause.value for cause in Cause]

    def calls_for(number: int) -> int:
        text = "version: 1\npolicies:\n" + "".join(
            f"- name: p-{i}\n  when: {{cause: {causes[i % 17]}, labels: {{team: team-{i}}},"
            f' location: us-*, if: "job.machine.vcpus < {i} && job.run_seconds > 600"}}\n'
            "  do: [{resubmit: {machine_type: bigger}, times: 2}, {resubmit: {batch_size: halve}}]\n"
            for i in range(number)
        )
        return calls_made(lambda: len(load(text).require().policies))

    calls_for(1)  # what is loaded once is loaded
    few, many = calls_for(50), calls_for(200)
    assert many < 5 * few


# --- limits and ceilings -----------------------------------------------------------------------

_some = st.one_of(st.none(), st.integers(0, 20))
_numbers = {
    "usd_per_job": _some,
    "usd_per_day": _some,
    "resubmissions_per_hour": _some,
}


@CALM
@given(
    st.fixed_dictionaries(
        {**_numbers, "attempts": st.integers(0, 9), "retries": st.integers(0, 9)}
    ),
    st.fixed_dictionaries({**_numbers, "attempts": _some, "retries": _some}),
    st.sampled_from(["alert", "cancel"]),
    st.sampled_from([None, "alert", "cancel"]),
)
def test_merged_limits_are_never_looser_than_either(
    general: dict[str, Any], own: dict[str, Any], overrun: str, own_overrun: str | None
) -> None:
    merged = tightened(
        Limits(**general, on_overrun=overrun), Tighter(**own, on_overrun=own_overrun)
    )
    for name, most in general.items():
        bounds = [v for v in (most, own[name]) if v is not None]
        assert getattr(merged, name) == min(bounds, default=None)
    assert (merged.on_overrun == "cancel") is ("cancel" in {overrun, own_overrun})


def test_a_policys_own_lists_and_groups_join_the_general_ones() -> None:
    breaker = Breaker(failed_share=0.2, of_last=5, pause=timedelta(hours=1))
    general = Limits(machine_types=("n1-*",), per=(Per(by="model", usd_per_day=5),))
    own = Tighter(machine_types=("n1-standard-*",), per=(Per(by="location"),), breaker=breaker)
    merged = tightened(general, own)
    assert merged.machine_types == ("n1-standard-*",)
    assert [group.by for group in merged.per] == ["model", "location"]
    assert merged.breaker == breaker
    assert tightened(general, Tighter()) == general


@pytest.mark.parametrize(
    ("ceiling", "mode", "usd_per_day"),
    [
        ({}, Mode.ENFORCE, 1000.5),
        ({"max_mode": Mode.OBSERVE}, Mode.OBSERVE, 1000.5),
        ({"max_mode": Mode.APPROVE}, Mode.APPROVE, 1000.5),
        ({"max_usd_per_day": 7.0}, Mode.ENFORCE, 7.0),
        ({"max_usd_per_day": 7000.0}, Mode.ENFORCE, 1000.5),
    ],
)
def test_ceilings_bind_whatever_the_file_says(
    ceiling: dict[str, Any], mode: Mode, usd_per_day: float
) -> None:
    policies = bound(read(EVERYTHING).require(), **ceiling, channel_hosts=["hooks.slack.com"])
    assert (policies.mode, policies.limits.usd_per_day) == (mode, usd_per_day)
    assert policies.channel_hosts == ("hooks.slack.com",)
    assert policies.limits_for(policies.policies[0]).usd_per_day == usd_per_day


def test_a_ceiling_is_no_reason_to_raise_a_mode() -> None:
    observing = read(HEAD).require()
    bounded = bound(observing, max_mode=Mode.ENFORCE, max_usd_per_job=5.0)
    assert (bounded.mode, bounded.limits.usd_per_job) == (Mode.OBSERVE, 5.0)
    assert bounded.channel_hosts is None


_globs = st.text(alphabet="ab*?-", min_size=1, max_size=6)


@CALM
@given(_globs, _globs, st.data())
def test_a_glob_is_said_to_cover_another_only_if_it_does(
    wider: str, narrower: str, data: st.DataObject
) -> None:
    fills = st.text(alphabet="abc-", max_size=3)
    text = "".join(
        data.draw(fills) if c == "*" else data.draw(st.sampled_from("abc-")) if c == "?" else c
        for c in narrower
    )
    assert fnmatchcase(text, narrower)
    assert not covers(wider, narrower) or fnmatchcase(text, wider)


@pytest.mark.parametrize(
    ("wider", "narrower", "expected"),
    [
        ("*", "anything-*", True),
        ("us-*", "us-east?", True),
        ("us-*", "us-", True),
        ("us-?*", "us-*", False),
        ("*@x", "a*@x", True),
        ("a?c", "abc", True),
        ("a?c", "a*c", False),
        ("[ab]*", "a*", False),
        ("[ab]*", "abc", True),
        ("a**b", "a*b", True),
        ("n1-*", "n2-*", False),
    ],
)
def test_which_globs_cover_which(wider: str, narrower: str, expected: bool) -> None:
    assert covers(wider, narrower) is expected


def test_unknown_where_it_is_named_needs_no_confidence() -> None:
    assert When(cause=(Cause.UNKNOWN,)).accepts(Cause.UNKNOWN, 0.0)
    assert When().accepts(Cause.UNKNOWN, 0.0)
    assert not When(min_confidence=0.5).accepts(Cause.UNKNOWN, 0.0)
    assert not When(cause=(Cause.QUOTA,)).accepts(Cause.QUOTA, 0.49)
    assert not When(cause=(Cause.QUOTA,)).accepts(Cause.PREEMPTION, 0.9)


# --- conditions ----------------------------------------------------------------------------------

FULL: Mapping[str, Any] = {
    "job.kind": "batch_prediction",
    "job.display_name": "nightly",
    "job.location": "us-central1",
    "job.labels": {"env": "prod"},
    "job.service_account": "a@b",
    "job.run_seconds": 700,
    "job.machine.type": "n1-standard-8",
    "job.machine.vcpus": 8,
    "job.machine.memory_gib": 30,
    "job.machine.family": "n1-standard",
    "job.accelerator.type": "NVIDIA_TESLA_T4",
    "job.accelerator.count": 1,
    "job.replicas": 2,
    "job.batch_size": 64,
    "job.model": "projects/1/locations/us-central1/models/2",
    "job.spot": False,
    "job.strategy": "STANDARD",
    "job.disk_gb": 100,
    "job.image": "us-docker.pkg.dev/p/r/train:1",
    "job.exit_code": 137,
    "job.usd_per_hour": 0.44,
    "diagnosis.cause": "memory_pressure",
    "diagnosis.confidence": 0.9,
    "attempt.number": 0,
    "attempt.retries": 0,
    "attempt.cause": "memory_pressure",
    "now.hour": 22,
    "now.weekday": 1,
}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("job.machine.vcpu < 64", "unknown variable `job.machine.vcpu`; did you mean `job.machine.vcpus`?"),
        ("job.machne.vcpus < 64", "unknown variable `job.machne.vcpus`; did you mean `job.machine.vcpus`?"),
        ("vcpus < 3", "unknown variable `vcpus`; did you mean `job.machine.vcpus`?"),
        ("true || job.nope", "unknown variable `job.nope`"),
        ("job.machine_type == 'x'", "unknown variable `job.machine_type`; did you mean `job.machine.type`?"),
        ("job.kind != null", "`!=` compares text with null: always true"),
        ("job.machine == 'x'", "`job.machine` is not a value by itself; in it are `job.machine.type`, `job.machine.vcpus`, `job.machine.memory_gib`, `job.machine.family`"),
        ("job.kind == 5", "`==` compares text with a whole number: never true"),
        ("job.spot == 'yes'", "`==` compares true or false with text: never true"),
        ("job.kind == null", "`==` compares text with null: never true"),
        ("job.kind in 'abc'", "`in` needs a list or a map on its right, got text"),
        ("now.hour in ['22']", "`in` looks for a whole number among text: never true"),
        ("job.run_seconds / 60 > 10", "`/` cannot join a decimal number and a whole number: write whole numbers as 60.0, or convert with double()"),
        ("job.run_seconds % 2.0 == 0", "`%` does not work on a decimal number"),
        ("now.hour", "is a whole number, where true or false is needed"),
        ("now.hour && true", "beside `&&` stands a whole number, where true or false is needed"),
        ("!job.kind", "after `!` stands text, where true or false is needed"),
        ("job.kind = 'x'", "does not compile: unexpected `=`; did you mean `==`?"),
        ("job.spot and true", "does not compile: expected the end, found `and`; did you mean `&&`?"),
        ("(now.hour > 1", "does not compile: expected `)`, found the end"),
        ("", "does not compile: expected a value, found the end"),
        ("job.kind.startswith('a')", "text has no function `startswith`; did you mean `startsWith`?"),
        ("lower(job.kind) == 'a'", "unknown function `lower`"),
        ("job.kind.matches('[')", "`'['` is not a regular expression"),
        ("job.kind.startsWith(3)", "in `startsWith()` stands a whole number, where text is needed"),
        ("job.kind.foo == 1", "text has no field `foo`"),
        ("has(job)", "`job` is not a value by itself; in it are `job.kind`, `job.display_name`, `job.location`, `job.labels`, …"),
        ("'env' in job.labels && (x || y)", "unknown variable `x`"),
        ("(" * 60 + "true" + ")" * 60, "is nested too deeply"),
        ("true" + " || true" * 500, "is too long: 4004 characters, at most 2000"),
        ("9223372036854775808 > 1", "does not compile: invalid int literal (character 1)"),
    ],
)  # fmt: skip
def test_a_condition_is_checked_without_running_it(expression: str, told: str) -> None:
    assert check(expression)[0] == told


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("job.machine.vcpus < 64 && job.run_seconds > 600", True),
        ("job.run_seconds > 600.5", True),
        ("job.machine.memory_gib / 2.0 < 16.0", True),
        ("job.labels.env == 'prod'", True),
        ("job.labels['env'] in ['dev', 'prod']", True),
        ("'team' in job.labels", False),
        ("job.labels == {} || [] == [1]", False),
        ("job.labels != {}", True),
        ("has(job.labels.env) && !has(job.labels.team)", True),
        ("job.labels.exists(k, k.startsWith('e') && job.labels[k] != 'x')", True),
        ("now.hour >= 22 || now.hour < 6", True),
        ("job.machine.type.matches('^n1-(standard|highmem)-[0-9]+$')", True),
        ("job.spot ? job.replicas > 3 : now.weekday == 1", True),
        ("[1, 2].map(x, x * 2).exists(x, x == 4)", True),
        ("size(job.labels) == 1 && job.kind.size() > 3", True),
        ("job.display_name.contains('night') && diagnosis.cause == 'memory_pressure'", True),
        ("!job.spot && -attempt.number == 0", True),
        ("job.labels.team == 'x'", False),
        ("job.labels.team != 'x'", False),
    ],
)
def test_a_condition_holds_or_does_not(expression: str, holds: bool) -> None:
    assert check(expression) == ()
    assert condition(expression)(FULL) is holds


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_missing_value_makes_a_condition_not_hold(name: str) -> None:
    expression = {"bool": "{0} || !{0}", "map": "size({0}) >= 0"}.get(
        VARIABLES[name].type[0], "{0} == {0} || {0} != {0}"
    )
    asked = condition(expression.format(name))
    assert asked.answer(FULL) == (True, "")
    for absent in ({k: v for k, v in FULL.items() if k != name}, {**FULL, name: None}):
        assert asked.answer(absent) == (False, f"{name} not known")
    assert not condition(f"has({name})")({})


def test_values_may_come_nested_and_are_made_ready_once() -> None:
    nested = {"job": {"machine": {"vcpus": 8}}}
    assert condition("job.machine.vcpus == 8")(nested)
    assert condition("job.machine.vcpus == 8")(expression_values(nested))


def test_a_condition_with_a_mistake_does_not_come_to_be() -> None:
    with pytest.raises(ValueError, match=r"unknown variable `job\.nope`"):
        condition("job.nope == 1")


_ints = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("int",)]),
)
_decimals = st.one_of(
    st.sampled_from(["0.5", "600.0", "double(now.hour)"]),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("double",)]),
)
_texts = st.one_of(
    st.sampled_from(["'a'", '"b c"', "job.labels.env", "string(now.hour)"]),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("string",)]),
)
_orders = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_sums = st.sampled_from(["+", "-", "*"])
_atoms = st.one_of(
    st.sampled_from(["true", "false", "job.spot", "has(job.model)", "'env' in job.labels"]),
    st.builds("{} {} {}".format, _ints, _orders, st.one_of(_ints, _decimals)),
    st.builds("{} {} {} {} {}".format, _ints, _sums, _ints, _orders, _ints),
    st.builds("{} {} {} {} {}".format, _decimals, _sums, _decimals, _orders, _ints),
    st.builds("{} {} {}".format, _texts, _orders, _texts),
    st.builds("{}.startsWith({})".format, _texts, _texts),
    st.builds("{} in [{}, {}]".format, _texts, _texts, _texts),
)
_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


@CALM
@given(_expressions)
def test_what_is_well_typed_passes_the_check_and_runs(expression: str) -> None:
    """The checker refuses nothing that the library would run; and what it lets pass, runs."""
    assert check(expression) == ()
    assert condition(expression).answer(FULL)[1] == ""


@CALM
@given(
    st.text(
        alphabet=st.sampled_from("job.machine vcpus()[]{}!&|<>=+-*/%?:,'\"0123 \\\n"), max_size=60
    )
)
def test_no_text_makes_the_check_raise(expression: str) -> None:
    if not check(expression):
        condition(expression).answer(FULL)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[1].exists(x, [2].exists(y, y == x))", "`exists()` inside `exists()`"),
        ("job.labels.all(k, ['a'].filter(y, y == k).size() == 1)", "`filter()` inside `all()`"),
        ("[1].map(x, x + ([2].map(y, y).size())).size() > 0", "`map()` inside `map()`"),
        ("[1].exists(x, true ? [2].all(y, y == x) : false)", "`all()` inside `exists()`"),
        ("[1].map(x, x).map(x, x).exists(x, x == 1)", "more than 2 of"),
        ("([1].map(x, x)).filter(x, true).map(x, x).size() > 1", "more than 2 of"),
        ("[[1].map(x, x), [2].map(x, x)].exists(z, z.size() > 0)", "more than 2 of"),
    ],
)
def test_a_condition_whose_cost_grows_with_its_depth_is_refused(expression: str, said: str) -> None:
    """Refused while it is read: the library is not asked, nothing is run."""
    (problem,) = check(expression)
    assert said in problem
    with pytest.raises(ValueError, match="one"):
        condition(expression)


def test_macros_side_by_side_and_two_in_a_row_are_fine() -> None:
    side_by_side = " || ".join(f"[{n}].exists(x, x == {n})" for n in range(20))
    assert check(side_by_side) == ()
    assert check("job.labels.filter(k, k != 'a').exists(k, k.startsWith('b'))") == ()


def test_the_cel_library_is_paid_for_only_where_an_if_exists() -> None:
    script = (
        "import sys; from remediator.policy.language import load;"
        "load('version: 1\\npolicies: [{name: a}]'); print('cel' in sys.modules);"
        "load('version: 1\\npolicies: [{name: a, when: {if: job.spot}}]'); print('cel' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True"]


# --- the schema --------------------------------------------------------------------------------


def fits(value: Any, rule: Any, whole: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as the schema uses."""
    if isinstance(rule, bool):
        return rule
    if "$ref" in rule and not fits(value, whole["$defs"][rule["$ref"].split("/")[-1]], whole):
        return False
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)
    }  # fmt: skip
    kind = rule.get("type")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in kinds and not isinstance(value, kinds[kind]):
        return False
    if kind in {"integer", "number"} and not (number and (kind == "number" or value == int(value))):
        return False
    checks = [
        "enum" not in rule or value in rule["enum"],
        "const" not in rule or (value == rule["const"] and type(value) is type(rule["const"])),
        "pattern" not in rule or re.search(rule["pattern"], str(value)) is not None,
        "minLength" not in rule or len(value) >= rule["minLength"],
        "minItems" not in rule or len(value) >= rule["minItems"],
        "not" not in rule or not fits(value, rule["not"], whole),
        "minimum" not in rule or value >= rule["minimum"],
        "maximum" not in rule or value <= rule["maximum"],
        "anyOf" not in rule or any(fits(value, one, whole) for one in rule["anyOf"]),
        "oneOf" not in rule or sum(fits(value, one, whole) for one in rule["oneOf"]) == 1,
        not isinstance(value, dict) or all(key in value for key in rule.get("required", ())),
        all(fits(item, rule.get("items", True), whole) for item in value)
        if isinstance(value, list)
        else True,
    ]
    if isinstance(value, dict) and kind == "object":
        named = rule.get("properties", {})
        patterns = rule.get("patternProperties", {})
        for key, item in value.items():
            inner = [named[key]] if key in named else []
            inner += [one for pattern, one in patterns.items() if re.search(pattern, key)]
            inner = inner or [rule.get("additionalProperties", True)]
            checks += [fits(item, one, whole) for one in inner]
    return all(checks)


def as_editor_sees(text: str) -> Any:
    """As YAML 1.2 reads it: `off` in the example is quoted for the 1.1 reader used here."""
    return yaml.safe_load(text.replace("switch: off", "switch: 'off'"))


@pytest.mark.parametrize("text", [EVERYTHING, (ROOT / "policies.yaml").read_text(), HEAD])
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    made = schema()
    assert fits(as_editor_sees(text), made, made)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("version: 1", "version: 2"),
        ("mode: enforce", "mode: off-and-on"),
        ("attempts: 9\n", "attempts: -9\n"),
        ("  attempts: 9\n", "  attemps: 9\n"),
        ("max_run: 3x", "max_run: 3"),
        ("pause: 6h", "pause: 6 hours"),
        ('webhook: "env:SLACK_WEBHOOK_URL"', "webhook: https://hooks.example"),
        ('webhook: "env:SLACK_WEBHOOK_URL"', "channel: x"),
        ("cause: [cpu_saturation, accelerator_missing]", "cause: cpu"),
        ("batch_size: halve", "batch_size: 0"),
        ("spot: false", "spot: 1"),
        ("explanations: false", "explanations: true"),
        ("{type: NVIDIA_TESLA_T4, count: 1}", "NVIDIA_TESLA_T4"),
        ("name: starved-of-cpu", "name: Starved"),
        ("by: labels.team", "by: team"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(right: str, wrong: str) -> None:
    assert right in EVERYTHING
    text, made = EVERYTHING.replace(right, wrong), schema()
    assert not fits(as_editor_sees(text), made, made)
    assert read(text).policies is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("machine_type", {"bigger", "more_memory", "sized"}),
        ("accelerator", {"bigger", "more_memory", "none"}),
        ("location", {"next", "data"}),
        ("batch_size", {"halve"}),
        ("replicas", {"double"}),
        ("timeout", {"double"}),
        ("output", {"same", "attempt"}),
        ("wait", {"backoff"}),
    ],
)
def test_an_editor_is_told_every_word_of_a_step(key: str, words: set[str]) -> None:
    made = schema()["$defs"]["Resubmit"]["properties"][key]
    branches = made.get("anyOf") or made.get("oneOf") or [made]
    told = {word for one in branches for word in (*one.get("enum", ()), one.get("const"))}
    assert words <= told


def test_every_key_of_the_models_is_explained() -> None:
    made = schema()
    for model in (made, *made["$defs"].values()):
        assert model["description"]
        assert [key for key, field in model["properties"].items() if not field["description"]] == []


def test_policies_are_frozen() -> None:
    policies = read(EVERYTHING).require()
    with pytest.raises(ValueError, match="frozen"):
        policies.mode = Mode.ENFORCE  # type: ignore[misc]
    assert isinstance(policies, Policies)
