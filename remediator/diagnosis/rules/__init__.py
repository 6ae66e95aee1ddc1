"""Time-outs, full memory and missing GPUs: what the other evidence makes of them.

Owns the rules that need more than one reader, a file a family: the three behind a 504 or a time-out
(`resources`: the machine was full; `network`: it was idle while something was awaited; `code`: one section
took the time and the machine was neither full nor waiting), `accelerators` that were wanted, `serving`,
`endings` and `history`. Each rule is a function from the facts to evidence; the list is their order. What
each weighs stands in `weights.tsv`. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remediator.diagnosis.rules import (
    accelerators,
    code,
    endings,
    history,
    network,
    resources,
    server_starts,
    serving,
)
from remediator.diagnosis.rules.features import CaseFeatures
from remediator.diagnosis.weighted_evidence import WeightedEvidence

__all__ = ["CaseFeatures", "rule_evidence"]


def rule_evidence(facts: CaseFeatures) -> tuple[WeightedEvidence, ...]:
    """What all rules say about one case."""
    return tuple(found for rule in _RULES for found in rule(facts))


_RULES: tuple[Callable[[CaseFeatures], Iterator[WeightedEvidence]], ...] = (
    resources.weigh_cpu,
    resources.weigh_memory,
    resources.weigh_pauses,
    resources.weigh_paused_to_the_end,
    resources.weigh_gpu,
    accelerators.weigh_wanted_gpu,
    accelerators.weigh_missing_device,
    accelerators.weigh_host_arena,
    accelerators.weigh_configured_gpu,
    accelerators.weigh_gpu_driver,
    serving.weigh_foreign_kind,
    endings.weigh_lost_spot_machine,
    endings.weigh_error_before_start,
    endings.weigh_identity_of_vertex,
    endings.weigh_exit,
    endings.weigh_killed_neighbour,
    endings.weigh_lost_child,
    serving.weigh_tenant_project,
    serving.weigh_readiness,
    serving.weigh_death_in_request,
    serving.weigh_native_fault,
    serving.weigh_upstream,
    serving.weigh_answered_requests,
    serving.weigh_crash_loop,
    server_starts.weigh_data_at_start,
    server_starts.weigh_part_at_start,
    server_starts.weigh_raised_at_start,
    serving.weigh_server_timeout,
    serving.weigh_request_size,
    code.weigh_sections,
    network.weigh_slow_fetches,
    network.weigh_answers,
    network.weigh_lasting_refusals,
    network.weigh_refusals,
    code.weigh_own_cpu_time,
    code.weigh_dumps,
    code.weigh_own_locks,
    code.weigh_held_lock,
    code.weigh_vain_poll,
    code.weigh_account,
    code.weigh_prompt,
    code.weigh_straggler,
    code.weigh_lone_worker,
    code.weigh_machine_reports,
    network.weigh_far_data,
    network.weigh_probes,
    network.weigh_received_bytes,
    history.weigh_earlier_runs,
    history.weigh_recoveries,
    history.weigh_attempt_before,
    history.weigh_more_cpus_in_vain,
    history.weigh_more_memory_in_vain,
    endings.weigh_internal_error_at_once,
)
