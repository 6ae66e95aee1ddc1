"""Vertex AI's quotas of what the policies may ask for: a limit of zero refuses every such step.

The names are Google's own, and follow no rule: the table says where each was read. What it does not
hold is said to be unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from remediator.doctor.findings import CheckStatus, DoctorContext, Finding

_DEVICES: Mapping[str, str] = {
    # Serving: gcloud 528, command_lib/ai/model_garden_utils.py. Training: the same words in Google's
    # vertex-ai-samples (model_garden, common_util.py) and in Vertex's own refusals.
    "NVIDIA_TESLA_P4": "nvidia_p4_gpus",
    "NVIDIA_TESLA_T4": "nvidia_t4_gpus",
    "NVIDIA_L4": "nvidia_l4_gpus",
    "NVIDIA_TESLA_K80": "nvidia_k80_gpus",
    "NVIDIA_TESLA_V100": "nvidia_v100_gpus",
    "NVIDIA_TESLA_P100": "nvidia_p100_gpus",
    "NVIDIA_TESLA_A100": "nvidia_a100_gpus",
    "NVIDIA_A100_80GB": "nvidia_a100_80gb_gpus",
    "NVIDIA_H100_80GB": "nvidia_h100_gpus",
    "TPU_V5_LITEPOD": "tpu_v5e",
    # Google's vertex-ai-samples: the notebook for A3 Mega machines.
    "NVIDIA_H100_MEGA_80GB": "nvidia_h100_mega_gpus",
}
_FAMILIES: Mapping[str, str] = {
    # One meter for N1 and E2, one of its own for each other family; as Vertex's refusals and
    # `gcloud beta quotas info list` name them.
    "n1": "cpus",
    "e2": "cpus",
    "n2": "n2_cpus",
    "c2": "c2_cpus",
    "g2": "g2_cpus",
    "a2": "a2_cpus",
}
_USES = ("training", "serving")


def metrics_of(device: str) -> tuple[str, ...]:
    """The quotas that a device counts against; empty where their names are not known."""
    short = _DEVICES.get(device)
    return tuple(_metric_name(use, short) for use in _USES) if short else ()


def _metric_name(use: str, short: str) -> str:
    return f"aiplatform.googleapis.com/custom_model_{use}_{short}"


def quotas(context: DoctorContext) -> Iterator[Finding]:
    """What the limits allow by name, and of which the project may have none."""
    limits = context.policies().limits
    devices = [one for one in limits.accelerators or () if not set(one) & set("*?[")]
    wanted = {metric: device for device in devices for metric in metrics_of(device)}
    wanted |= _cpus(limits.machine_types or ("n1-*",))
    held = {
        (metric, place): limit
        for metric, place, limit in context.deployment.quota_limits(context.locations)
        if metric in wanted
    }
    empty = sorted({f"{m} in {place}" for (m, place), limit in held.items() if limit == 0})
    if empty:
        yield Finding(
            "quotas",
            CheckStatus.PROBLEM,
            f"zero: {', '.join(empty)}",
            "a step that needs it is refused, and the next is taken",
            "https://console.cloud.google.com/iam-admin/quotas?service=aiplatform.googleapis.com"
            f"&project={context.project}",
        )
    else:
        where = ", ".join(context.locations)
        yield Finding(
            "quotas", CheckStatus.OK, f"nothing that is allowed by name is at zero in {where}"
        )
    unheard = [one for one in devices if not metrics_of(one)]
    unheard += sorted(metric for metric in wanted if metric not in {m for m, _ in held})
    if unheard:
        yield Finding(
            "quotas",
            CheckStatus.UNKNOWN,
            f"not checked: no limit is listed for {', '.join(dict.fromkeys(unheard))}",
        )


def _cpus(machine_types: Iterable[str]) -> dict[str, str]:
    families = {pattern.partition("-")[0] for pattern in machine_types}
    known = {family: _FAMILIES[family] for family in families if family in _FAMILIES}
    return {_metric_name("training", short): family for family, short in known.items()}
