"""A GPU that was wanted and is not there.

Owns the rules that put words about a GPU (a worker's line, a driver's message, the job's own configuration)
beside what the job has. Pure; called in the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.catalog import growth
from remediator.catalog.catalog import Catalog
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.metrics import describe
from remediator.diagnosis.rules.features import BUSY_MEAN, CaseFeatures, timeout_words
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.stack_frames import STARTS_A_DEVICE
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, Source


def weigh_wanted_gpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Words about a GPU that was looked for: it is missing, or the image does not see the job's own."""
    for tag, slow, alone in (
        (Tag.GPU_RAISED, weight_of("gpu-raised-timeout"), weight_of("gpu-raised")),
        (Tag.GPU_FALLBACK, weight_of("gpu-fallback-timeout"), weight_of("gpu-fallback")),
        (Tag.GPU_UNSEEN, weight_of("gpu-unseen-timeout"), weight_of("gpu-unseen")),
        (Tag.ON_CPU, weight_of("on-cpu-timeout"), weight_of("on-cpu")),
    ):
        held = facts.reading.tags.get(tag)
        if held is None:
            continue
        case_text, quote = held
        says = f'{case_text.author}: "{quote}"'
        if facts.workload.cpu_image or facts.workload.hides_gpus:
            continue
        if has := _accelerator_of(facts, says):
            by_chance = tag in {Tag.GPU_UNSEEN, Tag.ON_CPU}
            yield weighted_evidence(
                Cause.INVALID_CONFIG,
                _unseen_weight(facts, by_chance=by_chance),
                case_text.source,
                case_text.where,
                f"{says}, although the job has {has}: the image does not see it",
                group="gpu-wanted",
            )
            continue
        cpu = facts.usage.cpu
        weight = slow if facts.timed_out else alone
        goes_on = tag is not Tag.GPU_RAISED or (
            not case_text.chain and _BY_CPU.is_in(case_text.text)
        )
        by_worker = case_text.place is TextPlace.LOG and goes_on
        if not facts.timed_out and by_worker and facts.job.error_message:
            # Whoever falls back to the CPU goes on: what ended the job is something else.
            weight = weight_of("gpu-fallback-went-on")
        if facts.timed_out and cpu is not None and cpu.mean < BUSY_MEAN:
            # Without its GPU the work would fill the CPUs; here it does not.
            weight -= weight_of("gpu-wanted-cpus-idle")
        if case_text.place is TextPlace.LOG:
            weight = min(weight, weight_of("log-ceiling"))
        yield weighted_evidence(
            Cause.ACCELERATOR_MISSING,
            weight,
            case_text.source,
            case_text.where,
            says
            + ("" if facts.job.is_stand_in else "; the job has no accelerator")
            + (f", and {timeout_words(facts)}" if facts.timed_out else ""),
            symptom=not facts.timed_out and tag is not Tag.GPU_RAISED,
            group="gpu-wanted",
        )


_BY_CPU = Linear(
    r"\b(?:runs?|running|us(?:es?|ing)|falls?|falling|defaults?|defaulting|switch(?:es|ing)?|continu(?:es?|ing)) (?:\w+ ){0,3}cpus?\b",
    needs="cpu",
)


# A device that computes, and that the build, or the machine, has none: of whatever program.
_DEVICE = r"\b(?:gpus?|cuda(?:ExecutionProvider)?|rocm|hip|nvidia|nvml|cudnn|opencl|vulkan|sycl|oneapi|level[- ]zero|xpus?|tpus?|npus?)\b"
_OF_BUILD = Linear(
    rf"{_DEVICE}[^.]{{0,80}}\bnot (?:enabled|built|compiled|included|supported) (?:in|by|with)\b[^.]{{0,30}}\b(?:build|binary|version|package|installation)\b"
    rf"|\b(?:built|compiled|build|binary|wheel)\b[^.]{{0,40}}\bwithout\b[^.]{{0,20}}{_DEVICE}"
    rf"|\bwithout\b[^.]{{0,20}}{_DEVICE}[^.]{{0,20}}\b(?:package|support)\b",
    needs="gpu cuda rocm hip nvidia nvml cudnn opencl vulkan sycl oneapi level xpu tpu npu",
)
_OF_MACHINE = Linear(
    rf"{_DEVICE}[^.]{{0,60}}\b(?:can ?not be found|could not be found|not found|not available|unavailable|is missing)\b"
    r"|\b(?:failed to|could not|cannot|can't|unable to) (?:load|open|find|dlopen|import)\b[^.]{0,30}\b(?:lib)?(?:nv)?(?:cuda|nvidia-ml|nvml|amdhip64|hip|rocm|opencl|vulkan)\b"
    rf"|\b(?:cannot|can't|unable to) use (?:the |an? )?{_DEVICE}|\bensure\b[^.]{{0,20}}\bnvidia\b[^.]{{0,20}}\bdrivers?\b[^.]{{0,12}}\binstalled"
    r"|\bno gpus?(?: devices?)?\W{0,6}$|^\W{0,4}no (?:\w+ )?devices? found\b"
    r"|\[GPU\][^.]{0,80}\bno (?:supported|suitable|usable) devices?\b"
    rf"|\bno\b[^.]{{0,30}}{_DEVICE}[^.]{{0,40}}\b(?:found|available|detected|present|visible)\b"
    rf"|\bno {_DEVICE} (?:devices?|cards?|adapters?)\b|\b(?:has|have|with|sees?|found) no {_DEVICE}|\bno gpus? (?:on|in) (?:this|the)\b",
    needs="gpu cuda rocm hip nvidia nvml cudnn opencl vulkan sycl oneapi level xpu tpu npu",
)


def _unseen_weight(facts: CaseFeatures, *, by_chance: bool) -> float:
    """How far such words speak for an image that does not see the job's GPU, which may have been seen to idle."""
    idle = facts.usage.gpu is not None and facts.usage.gpu.is_idle
    if by_chance:
        return (
            weight_of("gpu-not-seen-by-chance-idle")
            if idle
            else weight_of("gpu-not-seen-by-chance")
        )
    return weight_of("gpu-not-seen-idle") if idle else weight_of("gpu-not-seen-by-image")


def weigh_missing_device(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What ended the program speaks of a device that its build cannot use, or that is not there.

    Of a build no machine helps; a machine without an accelerator explains the other. The exception that
    ended it is asked, or else its last words; where it was cut off, the call in which it was raised.
    """
    workload = facts.workload
    ended = facts.reading.raised[-1] if facts.reading.raised else facts.reading.last_words
    if not facts.crashed or ended is None or workload.cpu_image or workload.hides_gpus:
        return
    says = f'{ended.author} ends with: "{ended.text[:_QUOTED]}"'
    bare_machine = bool(workload.machine_type) and not _accelerator_of(facts, says)
    if ended.cut_in is not None and bare_machine and STARTS_A_DEVICE.is_in(ended.cut_in):
        # Its last line is lost, but not where it stood: in the first call on a device.
        says = f'{ended.author} is cut off in "{ended.cut_in[-_QUOTED:]}"; {workload.machine_type} has none'
        cause, weight = Cause.ACCELERATOR_MISSING, weight_of("device-not-there")
    elif _OF_BUILD.is_in(f"{ended.text} {ended.after}"[:_ENDING]):
        cause, weight = Cause.INVALID_CONFIG, weight_of("build-without-device")
        says += ": its build cannot use one"
    elif bare_machine and _OF_MACHINE.is_in(ended.text[:_ENDING]):
        cause, weight = Cause.ACCELERATOR_MISSING, weight_of("device-not-there")
        says += f"; {workload.machine_type} has none"
    else:
        return
    yield weighted_evidence(cause, weight, ended.source, ended.where, says, group="gpu-wanted")
    # That something was raised is how it shows.
    against = weight_of("device-against-code")
    yield weighted_evidence(Cause.USER_CODE_ERROR, against, ended.source, ended.where, says)


def weigh_host_arena(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """An allocator that serves CPUs and devices alike found no room, on a machine without a device: the machine's memory."""
    workload = facts.workload
    if not workload.machine_type or workload.has_accelerator:
        return
    for found in facts.reading.signs:
        if found.cause is not Cause.GPU_MEMORY or found.weight <= 0:
            continue
        if not _ARENA.is_in(found.text) or _ON_A_DEVICE.is_in(found.text):
            continue
        evidence = found.evidence
        says = f"{workload.machine_type} has no device, so this is its own memory: {evidence.says}"
        where, source = evidence.where, evidence.source
        yield weighted_evidence(Cause.GPU_MEMORY, -found.weight, source, where, says)
        yield weighted_evidence(Cause.MEMORY_PRESSURE, found.weight, source, where, says)
        return


_ARENA = Linear(r"\bbfc_?arena|bfc_?allocator", needs="bfc")
_ON_A_DEVICE = Linear(
    rf"{_DEVICE}|\bhip\w*|\bcuda\w*|\bgpu_\d", needs="gpu cuda hip rocm tpu xpu npu"
)
_QUOTED, _ENDING = 200, 2_000  # characters; chosen


def weigh_configured_gpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A job that was told to compute on a GPU, has none, and filled the CPUs instead."""
    cpu = facts.usage.cpu
    if not facts.asks_for_gpu or not facts.timed_out:
        return
    says = f"its configuration asks for a GPU ({facts.workload.device_setting}) and it has none"
    weight = weight_of("gpu-configured")
    if cpu is not None and cpu.is_full and not cpu.is_glimpse:
        weight = weight_of("gpu-configured-full-cpus")
        says += f": {describe('CPU', cpu, facts.machine_under(cpu))}"
    yield weighted_evidence(
        Cause.ACCELERATOR_MISSING, weight, Source.JOB, "configuration", says, group="gpu-wanted"
    )


def _accelerator_of(facts: CaseFeatures, said: str) -> str:
    """What the worker pool has that said so, where a text tells which one did, else the job's first; empty:
    no accelerator. A chief on CPUs beside workers with GPUs, or the other way round, is common."""
    workload, pools = facts.workload, facts.job.pools
    named = facts.job.failed_pools(said) if len(pools) > 1 else frozenset()
    speaks = next((pool.hardware for pool in pools if pool.name in named), None)
    if speaks is not None:
        device, count = growth.devices_of(Catalog.built_in(), speaks)
        return device or speaks.machine if count else ""
    return (
        (workload.accelerator_type or workload.machine_type or "")
        if workload.has_accelerator
        else ""
    )


def weigh_gpu_driver(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A driver that is too old for the code's CUDA; where the machine has no GPU, there is none."""
    held = facts.reading.tags.get(Tag.GPU_DRIVER)
    if held is None:
        return
    case_text, quote = held
    says = f'{case_text.author}: "{quote}"'
    workload = facts.workload
    if workload.machine_type and not _accelerator_of(facts, says) and not workload.cpu_image:
        cause, weight = Cause.ACCELERATOR_MISSING, weight_of("gpu-driver-without-gpu")
        says += f"; {workload.machine_type} has no GPU, so no driver either"
    else:
        cause, weight = Cause.INVALID_CONFIG, weight_of("gpu-driver-old")
    yield weighted_evidence(
        cause, weight, case_text.source, case_text.where, says, group="gpu-wanted"
    )
