"""The lists of machines and accelerators that a policy file allows: as shipped, with A100s, and by policy.

A strategy is judged by what its own lists leave recoverable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.remediation.world import CATALOGUE
from remediator import policy
from remediator.catalog.catalog import Hardware
from remediator.planning.sizing import is_permitted

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def policies(*, sized: bool = False, wide: bool = False, own: bool = False) -> policy.Policies:
    """The shipped file, switched to enforce, for kinds whose rerun is safe.

    `wide`: it also allows A100s, under `usd_per_job`. `own`: the lists stand in the policies that choose
    hardware for a resource that ran out, so that each job may have its own again, as
    docs/examples/policies/own-hardware.yaml has it.
    """
    text = (ROOT / "policies.yaml").read_text()
    text = text.replace("\nmode: observe", "\nmode: enforce")
    text = text.replace(
        "\nrerun_safe: [batch_prediction]", "\nrerun_safe: [batch_prediction, custom]"
    )
    if sized:
        for word in ("machine_type: more_memory", "machine_type: bigger", "batch_size: halve"):
            text = text.replace(f"resubmit: {{{word}}}", "resubmit: {machine_type: sized}")
    if wide:
        text = text.replace('"g2-*"]', '"g2-*", "a2-*"]')
        text = text.replace("NVIDIA_L4]", "NVIDIA_L4, NVIDIA_TESLA_A100, NVIDIA_A100_80GB]")
    if own:
        text = _with_lists_where_hardware_is_chosen(text)
    loaded = policy.load(text, "policies.yaml", catalog=CATALOGUE)
    assert loaded.policies is not None, loaded.render()
    return loaded.policies


_CHOOSES = ("request-too-large", "gpu-wanted", "batch-starved-of-cpu", "starved-of-cpu", "out-of-memory",
            "out-of-gpu-memory", "slow-startup")  # fmt: skip
"""Policies of the shipped file that choose hardware for a resource that ran out."""


def _with_lists_where_hardware_is_chosen(text: str) -> str:
    lines, lists, inside = [], [], ""
    for line in text.splitlines():
        if line.startswith(("  machine_types: ", "  accelerators: ")):
            lists.append(line.partition("  #")[0].strip())
            continue
        if line.startswith("  - name: "):
            inside = line.split()[2]
        lines.append(line)
        if line.startswith("    when: ") and inside in _CHOOSES:
            # Where only the machine may change, the accelerator that is kept is no choice.
            held = lists[:1] if inside in {"out-of-memory", "slow-startup"} else lists
            lines.append(f"    limits: {{{', '.join(held)}}}")
    return "\n".join(lines) + "\n"


LISTS: Mapping[str, Callable[[], policy.Policies]] = {
    "vertex-remediator": policies,
    "vertex-remediator, A100s allowed": functools.partial(policies, wide=True),
    "vertex-remediator, A100s allowed, own hardware again": functools.partial(
        policies, wide=True, own=True
    ),
}
"""The product over another fleet: the name that its figures bear, and its policy file."""


def anything(_: Hardware) -> bool:
    return True


def in_shipped_lists(hardware: Hardware) -> bool:
    return is_permitted(hardware, policies().limits)


def in_wide_lists(hardware: Hardware) -> bool:
    return is_permitted(hardware, policies(wide=True).limits)
