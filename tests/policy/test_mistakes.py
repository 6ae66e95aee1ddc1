"""A policy file that says everything, and one with every mistake: each is told, with its place, at once.

In one file, though it is long: each test checks one file's text by the same helpers, and a mistake may hide another.
"""

from __future__ import annotations

import pytest

from remediator.catalog.catalog import Catalog
from remediator.domain import Cause, Diagnosis, JobKind
from remediator.planning.alert_routing import (
    all_channels,
    channels_for_refused_create,
    resolved_channels,
)
from remediator.policy.language import (
    Unloadable,
    load,
)
from tests.policy.language_cases import EVERYTHING, HEAD, ROOT, only_policy, read

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
policies.yaml:11:15: error: on_overrun: unknown value `kill`; did you mean `cancel`?
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
policies.yaml:27:9: error: unknown key `machine_type` here: it belongs in `resubmit`
policies.yaml:28:33: error: accelerator: expected {type, count} or one of bigger, more_memory, none; got `NVIDIA_TESLA_T4`; write {type: NVIDIA_TESLA_T4, count: 1}
policies.yaml:29:29: error: timeout: expected a duration such as 30s, 10m, 6h or 1d, or `double` or `sized`, got `10`; did you mean `10s`, `10m` or `10h`?
policies.yaml:29:39: error: spot: expected true or false, got `yes`; did you mean `true`?
policies.yaml:29:58: error: explanations: expected false (explanations can only be turned off), got true
policies.yaml:30:16: error: times: `0` is out of range: from 1 to 1000000
policies.yaml:31:24: error: attempts: 9 loosens the general limit of 3: a policy may only tighten
policies.yaml:32:13: error: undefined channel `ml-oncal`; did you mean `ml-oncall`?
policies.yaml:35:11: error: if: unknown variable `job.machine.vcpu`; did you mean `job.machine.vcpus`?
policies.yaml:36:11: error: job: is empty: give it a value, or leave it out
policies.yaml:37:21: error: env: expected text, got `1`: put it in quotes
policies.yaml:38:9: error: do: expected a list, got `resubmit`: steps are a list, such as [{resubmit: {machine_type: bigger}}]
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
limits: {machine_types: ["n1-*"], accelerators: NVIDIA_T4, attempts: 2, locations: us-*}
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
policies.yaml:3:49: warning: unknown accelerator `NVIDIA_T4`; did you mean `NVIDIA_TESLA_T4`?
policies.yaml:6:3: warning: unused channel `b`: no policy alerts it
policies.yaml:11:34: warning: `machine_types` forbids this step: `n2-standard-8` is not among n1-*
policies.yaml:12:34: warning: unknown machine type `n1-standard-7`; did you mean `n1-standard-8`?
policies.yaml:13:9: warning: `attempts: 2` forbids this step: 2 come before it
policies.yaml:13:63: warning: unfitting accelerator: `n1-standard-32` does not take 1 NVIDIA_TESLA_T4
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


ONCE = {
    "a misspelt key of the file": (
        "version: 1\npolices:\n  - name: a\n    alert: ml\nchanels: {ml: {slack: {webhook: 'env:X'}}}\n",
        ["unknown key `polices`; did you mean `policies`?", "unknown key `chanels`; did you mean `channels`?"],
    ),
    "a misspelt limit": (
        "version: 1\nmode: enforce\nlimits: {usd_per_jobs: 9}\npolicies:\n  - {name: a, do: [{resubmit: {}}]}\n",
        ["unknown key `usd_per_jobs`; did you mean `usd_per_job`?"],
    ),
    "what stands below a misspelt key is read": (
        "version: 1\nlimit: {usd_per_job: -1}\npolicies: []\n",
        ["unknown key `limit`; did you mean `limits`?", "usd_per_job: `-1` is out of range: US dollars, 0 or more"],
    ),
    "a change that stands beside its step": (
        only_policy(do="[{machine_type: bigger}]"),
        ["unknown key `machine_type` here: it belongs in `resubmit`"],
    ),
    "a selection outside its `when`": (
        "version: 1\npolicies:\n  - {name: a, cause: quota}\n  - {name: b}\n",
        ["unknown key `cause` here: it belongs in `when`"],
    ),
    "a family without its size, in a list": (
        only_policy(do="[{resubmit: {machine_type: n2-highmem-8}}]") + "limits: {machine_types: n2-highmem}\n",
        ["unknown machine type `n2-highmem`: a family; did you mean `n2-highmem-*`?"],
    ),
    "the same, with a policy that tightens it": (
        "version: 1\nlimits: {machine_types: n2}\npolicies:\n  - {name: a, limits: {machine_types: n2-standard-*}}\n",
        ["unknown machine type `n2`: a family; did you mean `n2-*`?"],
    ),
    "a family without its size, in a step": (
        only_policy(do="[{resubmit: {machine_type: n2-highmem}}]"),
        ["unknown machine type `n2-highmem`: a family without a size; did you mean one such as `n2-highmem-2`?"],
    ),
    "a region of a list": (
        only_policy(do="[{resubmit: {location: us-central1}}]") + "limits: {locations: us-central}\n",
        ["unknown location `us-central`; did you mean `us-central1`?"],
    ),
    "a region that is selected": (
        only_policy("{location: us-wset1}"),
        ["unknown location `us-wset1`; did you mean `us-west1`?"],
    ),
    "a limit that leaves no step": (
        only_policy(do="[{resubmit: {timeout: double}}, {resubmit: {replicas: 2}}]") + "limits: {attempts: 0}\n",
        ["`attempts: 0` forbids this step: 0 come before it"],
    ),
    "words for an alert": (
        only_policy(do="alert"),
        ["do: expected a list, got `alert`: steps are a list; `[]` takes none, and `alert` names who is told"],
    ),
    "a step without a list": (
        only_policy(do="{resubmit: {}}"),
        ["do: expected a list, got a mapping: steps are a list, such as [{resubmit: {machine_type: bigger}}]"],
    ),
    "a step in a word": (
        only_policy(do="[retry]"),
        ["do: expected a mapping (`key: value`), got `retry`: a step is written `resubmit: {}`, with the changes between the braces"],
    ),
    "a change in a word": (
        only_policy(do="[{resubmit: bigger}]"),
        ["resubmit: expected a mapping (`key: value`), got `bigger`; did you mean `{machine_type: bigger}`?"],
    ),
    "a policy without a list": (
        "version: 1\npolicies: {name: a}\n",
        ["policies: expected a list, got a mapping: begin each of its items with `- `"],
    ),
    "a device in a word": (
        only_policy(do="[{resubmit: {accelerator: T4}}]"),
        ["accelerator: expected {type, count} or one of bigger, more_memory, none; got `T4`; write {type: T4, count: 1}"],
    ),
    "a size of memory without its unit": (
        only_policy(do="[{resubmit: {machine_type: {more_memory: {at_most: 256}}}}]"),
        ["at_most: expected a size such as 256GiB, got `256`; did you mean `256GiB`?"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), ONCE.values(), ids=list(ONCE))
def test_one_mistake_is_told_once_with_what_was_meant(text: str, told: list[str]) -> None:
    assert [one.message for one in read(text).mistakes] == told


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
            "error: machine_type: `biger` is not a machine type; did you mean `bigger`?",
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
        (HEAD + "probes: {threshold: 30}\n", "got `30`; did you mean `30s`, `30m` or `30h`?"),
        (
            HEAD + "limits: {per: [{by: label.team, usd_per_day: 1}]}\n",
            "by: unknown value `label.team`; did you mean `labels.team`?",
        ),
        (
            HEAD + "limits: {per: [{by: team, usd_per_day: 1}]}\n",
            "by: unknown value `team` (one of service_account, location, model, labels.NAME)",
        ),
        (
            HEAD + "watch: [{name: w, when: {running: hung}}]\n",
            "running: unknown value `hung`; did you mean `stalled`?",
        ),
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
        (only_policy(do="[{resubmit: {disk: 5GB}}]"), "`5GB` is not a boot disk's size"),
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
            "got `256`; did you mean `256GiB`?",
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


@pytest.mark.parametrize(
    "text",
    [
        only_policy(mode="enforce") + "mode: enforced\n",
        only_policy() + "rerun_safe: [batch_predictions, custom]\n",
        only_policy(do="[{resubmit: {}}]") + "mode: enforce\nlimits: {usd_per_day: -5}\n",
        only_policy(do="[{resubmit: {}}]", limits="{usd_per_job: -5}") + "mode: enforce\n",
        only_policy(do="[{resubmit: {}}]", mode="observed") + "mode: enforce\n",
    ],
)
def test_nothing_follows_from_a_value_that_is_itself_a_mistake(text: str) -> None:
    lines = read(text).render().splitlines()
    assert len(lines) == 1
    assert "error: " in lines[0]


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
        (
            '{teams: {webhook: env:A}, quiet_hours: {from: "22:00", to: "7:00"}}',
            'got `7:00`; did you mean "07:00"?',
        ),
        ('{teams: {webhook: env:A}, quiet_hours: {from: "25:00", to: 7:00}}', "got `25:00`"),
        (
            "{teams: {webhook: env:A}, quiet_hours: {from: 22:00, to: 22:00}}",
            "`from` and `to` are the same",
        ),
        (
            "{teams: {webhook: env:A}, quiet_hours: {from: 22:00, to: 07:00, zone: Berlin}}",
            "is not a time zone; did you mean `Europe/Berlin`?",
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
        ("locations: us-*", "locations: [us-east1, europe-*]", "locations: `europe-*` loosens"),
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
        ("{email: hook, rules: []}", "`hook` is not an e-mail channel"),
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
