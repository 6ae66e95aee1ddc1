"""The jobs of the fleet `visitors`, and how often each is drawn. Every number is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.remediation.visitors_batches import (
    gemini,
    large_rows,
    refused_rows,
    server_device_memory,
    server_down,
    server_memory,
    server_without_device,
    slow_rows,
    slow_start,
)
from bench.remediation.visitors_draw import (
    Draw,
)
from bench.remediation.visitors_obstacles import (
    full_disk,
    no_machines,
    no_quota,
    no_spot_quota,
    quota_in_use,
    service_down,
    taken_back,
)
from bench.remediation.visitors_physics import (
    Job,
)
from bench.remediation.visitors_programs import (
    absurd,
    activations,
    copies_of_ranks,
    cut_short,
    far_bucket,
    follows_the_machine,
    hopeless,
    leaking,
    loader_processes,
    no_device,
    one_thread,
    own_limit,
    sharded_state,
    slow_service,
    sorting,
    starved,
    starved_loader,
    table_rows,
)

MIXES: Mapping[str, Mapping[Callable[[Draw], Job], float]] = {
    "even": {
        table_rows: 7, loader_processes: 5, copies_of_ranks: 3, follows_the_machine: 4, leaking: 4, sorting: 3,
        own_limit: 5, absurd: 2, activations: 7, sharded_state: 3, no_device: 4, starved: 6, starved_loader: 3,
        cut_short: 6, one_thread: 3, far_bucket: 2, slow_service: 2, no_machines: 8, no_quota: 4, quota_in_use: 4,
        no_spot_quota: 1.5, taken_back: 5, service_down: 6, full_disk: 4, slow_rows: 4, large_rows: 2,
        server_memory: 5, server_device_memory: 3, server_without_device: 2, slow_start: 3, server_down: 2,
        refused_rows: 2, gemini: 3, hopeless: 13,
    }
}  # fmt: skip
"""How often each kind is drawn; one that meets no obstacle succeeds and is left out."""
