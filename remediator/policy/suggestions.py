"""How a mistake is put to the person who made it: the value as it may be shown, and what was meant.

Owns the words that people use for the language's own (`OOMKilled`, `H100`, `gpus`), and the search for
the nearest known word. A suggestion is only ever one of the words that are known where it is made.
Called by whatever checks a value or a name of a policy file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache

from pydantic_core import PydanticCustomError


def wrong(message: str) -> PydanticCustomError:
    """What a leaf raises: a sentence for the person who wrote the value."""
    return PydanticCustomError("policy", "{message}", {"message": message})


def shown(value: object) -> str:
    """A value as it may stand in a message: short, on one line, as YAML would write it.

    What looks like a secret is left out: mistakes are printed and logged.
    """
    words: Mapping[object, str] = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    from remediator.redaction import redact  # noqa: PLC0415  # cold start: it needs RE2

    text = " ".join(redact(str(value)[:2000]).splitlines())
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"  # noqa: PLR2004  # one line of a terminal


_SYNONYMS: Mapping[str, str] = {
    # causes; a time-out is a symptom of several
    "memory_pressure": "out_of_memory oom oom_kill oom_killed host_memory host_oom memory mem ram "
    "low_memory not_enough_memory memory_error exit_137 sigkill",
    "gpu_memory": "cuda_out_of_memory cuda_oom gpu_oom gpu_out_of_memory device_memory vram "
    "device_oom",
    "cpu_saturation": "timeout timed_out deadline_exceeded too_slow slow cpu cpu_bound high_cpu "
    "cpu_starved cpu_pressure",
    "slow_code": "timeout timed_out deadline_exceeded too_slow slow inefficient_code",
    "network_latency": "timeout timed_out deadline_exceeded network latency slow_network slow_data io",
    "request_too_large": "timeout timed_out deadline_exceeded 504 payload_too_large 413 batch_too_large",
    "accelerator_missing": "no_gpu gpu_missing missing_gpu gpu_not_found cuda_unavailable no_accelerator",
    "slow_startup": "startup cold_start slow_start model_not_ready startup_timeout",
    "capacity_stockout": "stockout capacity no_capacity out_of_capacity zone_resource_pool_exhausted "
    "insufficient_capacity no_machines",
    "quota": "quota_exceeded quota_exhausted out_of_quota resource_exhausted rate_limit 429",
    "preemption": "preempted spot_preemption spot_reclaimed evicted eviction reclaimed",
    "transient_backend": "transient transient_error internal internal_error unavailable backend_error "
    "service_error server_error 500 503",
    "bad_input": "bad_data invalid_input data_error input_error missing_file file_not_found not_found",
    "user_code_error": "code_error exception traceback user_error user_code crash bug python_error",
    "permission": "permission_denied permissions forbidden access_denied iam 403 unauthenticated",
    "invalid_config": "invalid_argument config config_error misconfiguration bad_config 400",
    "disk_full": "disk no_space no_space_left out_of_disk disk_space no_disk_space enospc",
    # kinds of jobs
    "batch_prediction": "batch batch_predict batch_prediction_job batch_prediction_jobs prediction",
    "custom": "custom_job custom_jobs custom_training training train",
    "hyperparameter_tuning": "hyperparameter_tuning_job hyperparameter_tuning_jobs tuning hpt hp_tuning "
    "hypertune sweep",
    "training_pipeline": "training_pipelines automl automl_training",
    "pipeline": "pipeline_job pipeline_jobs kfp kubeflow pipelines vertex_pipeline",
    # running jobs, and what is done about them
    "stalled": "hung hang hangs hanging stuck frozen idle no_progress",
    "waiting_for_capacity": "pending queued waiting",
    "cancel": "kill stop terminate abort",
    # modes and moves
    "observe": "dry_run dryrun report notify off watch",
    "approve": "manual ask confirm approval",
    "enforce": "auto automatic on act active",
    "bigger": "larger next next_size upsize size_up scale_up increase double",
    "more_memory": "memory highmem high_memory more_ram",
    "sized": "auto automatic right_size rightsized smart best",
    "halve": "half halved divide",
    "double": "doubled twice 2x x2",
    "backoff": "exponential exponential_backoff exp",
    "FLEX_START": "dws flex dws_flex_start flexstart",
    "STANDARD": "on_demand ondemand default normal",
    "SPOT": "preemptible low_cost",
    # keys
    "machine_type": "machine instance_type instance machine_types vm",
    "accelerator": "gpu gpus accelerators accelerator_type gpu_type device",
    "batch_size": "batch batchsize microbatch",
    "replicas": "replica_count replica workers worker_count instances nodes node_count",
    "timeout": "time_out max_duration deadline time_limit max_runtime",
    "location": "region zone locations regions place",
    "wait": "delay sleep pause after backoff",
    "disk": "disk_size boot_disk boot_disk_size boot_disk_size_gb disk_gb",
    "strategy": "provisioning provisioning_model scheduling_strategy scheduling",
    "max_wait": "max_wait_duration maximum_wait",
    "env": "environment environ env_vars variables",
    "args": "arguments arg flags",
    "max_usd": "max_cost budget cost usd max_price",
    "fallback": "fallbacks any_of ordered alternatives failover",
    "times": "repeat max_attempts tries",
    "retry_exit_codes": "recover_on_exit_codes retry_on_exit_codes exit_codes retriable_exit_codes "
    "retryable_exit_codes",
    "enabled": "enable active",
    "alert": "notify alerts channels channel",
    "do": "steps actions then remedy remediation",
    "when": "match matches on filter",
    "usd_per_job": "max_usd_per_job budget_per_job",
    "usd_per_day": "max_usd_per_day budget budget_per_day",
}
"""For each word of the language, what people write who mean it; folded as `_folded` does."""

_SHORT_FORMS: Mapping[str, str] = {
    "h100": "NVIDIA_H100_80GB",
    "h100mega": "NVIDIA_H100_MEGA_80GB",
    "a100": "NVIDIA_TESLA_A100",
    "a10040gb": "NVIDIA_TESLA_A100",
    "h200": "NVIDIA_H200_141GB",
    "rtx6000": "NVIDIA_RTX_PRO_6000",
    "rtxpro6000": "NVIDIA_RTX_PRO_6000",
    "tpuv5e": "TPU_V5_LITEPOD",
    "v5e": "TPU_V5_LITEPOD",
    "tpuv4": "TPU_V4_POD",
}
"""Accelerators by the names that people say, without `NVIDIA` and `TESLA`."""


def _folded(word: str) -> str:
    return re.sub(r"[\s_.-]+", "", word.lower())


def _short(folded: str) -> str:
    return folded.removeprefix("nvidia").removeprefix("tesla")


@cache
def _meant() -> Mapping[str, tuple[str, ...]]:
    """What people write, folded, with the words that they may mean; made at the first mistake."""
    found: dict[str, tuple[str, ...]] = {}
    for word, written in _SYNONYMS.items():
        for said in map(_folded, written.split()):
            found[said] = tuple(dict.fromkeys((*found.get(said, ()), word)))
    return found


def _synonyms(folded: str, names: Mapping[str, str]) -> list[str]:
    known = set(names.values())
    bare = _short(folded)
    alike = [name for name in known if bare == _short(_folded(name))]
    short = _SHORT_FORMS.get(bare, "")
    found = alike or [word for word in _meant().get(folded, ()) if word in known]
    return found or [name for name in (short,) if name in known]


def meant_words(word: str, known: Iterable[str]) -> list[str]:
    """What the word is used for, else the nearest known word; empty where neither is known."""
    names = {name.lower(): name for name in known}
    meant = sorted(_synonyms(_folded(word), names))
    if meant:
        return meant
    near = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if not near and len(word) > 2:  # noqa: PLR2004  # a beginning that says something
        begun = [name for name in names if name.startswith(word.lower())]
        near = begun if len(begun) == 1 else []
    return [names[one] for one in near]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for what the word is used for, else the nearest known word, or nothing."""
    meant = meant_words(word, known)
    if not meant:
        return ""
    *others, last = [f"`{one}`" for one in meant]
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"
