"""Time that went to fetching: slow answers, data far away, probes, bytes received.

Owns the rules that speak for the network beside a machine with little to do. Pure; called in the order of
`rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.diagnosis.locality import host_of
from remediator.diagnosis.rules.features import (
    BUSY_MEAN,
    SECTION_SHARE,
    CaseFeatures,
    load_evidence,
)
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, Source
from remediator.domain.time_words import exact_span_words


def weigh_slow_fetches(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Many slow answers of one host beside a machine with little to do.

    A log samples: the fetches that it tells of are a part of all, so their sum need be no large
    share of the run.
    """
    found, cpu = facts.timeline.slow_fetches, facts.usage.cpu
    if found is None or not facts.timed_out or (cpu is not None and not cpu.is_idle):
        return
    if facts.gpu_full or facts.timeline.straggler is not None:
        return
    if facts.timeline.waiting_share >= SECTION_SHARE:
        return
    working = facts.timeline.longest(waits=False)
    if working is not None and working.timed and working.share >= SECTION_SHARE:
        return  # the log tells where the time went, and that was elsewhere
    says = (
        f"{found.count:,} fetches from {found.host} took {exact_span_words(found.median_seconds)} "
        "each, half of them longer"
    )
    says += ", beside an idle machine" if cpu is not None else ""
    weight = weight_of("slow-fetches-idle") if cpu is not None else weight_of("slow-fetches")
    yield weighted_evidence(
        Cause.NETWORK_LATENCY, weight, Source.LOG, found.where, says, group="section"
    )


def weigh_answers(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Most that the program asked for was refused, to the end: whoever refused it took the time."""
    found, cpu = facts.timeline.answers, facts.usage.cpu
    if found is None or not facts.timed_out:
        return
    if facts.gpu_busy or (cpu is not None and cpu.mean >= BUSY_MEAN):
        return  # whoever is refused does not compute meanwhile: somebody beside the work was
    cause = Cause.QUOTA if found.too_often else Cause.TRANSIENT_BACKEND
    why = "for asking too often" if found.too_often else "by a service that was down or overloaded"
    says = f'{found.refused:,} of {found.of:,} answers in the log were refusals {why}, the last "{found.example}"'
    yield weighted_evidence(
        cause, weight_of("refused-to-the-end"), Source.LOG, found.where, says, group="answers"
    )


_LASTED = 600.0  # seconds; chosen: a program that dies of a refusal tries for less


def weigh_lasting_refusals(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What somebody refused over and over until the run ended, whatever the program said at last."""
    found, cpu = facts.timeline.refusals, facts.usage.cpu
    if found is None or not (facts.timed_out or (facts.died and found.seconds >= _LASTED)):
        return
    if facts.gpu_busy or (cpu is not None and cpu.mean >= BUSY_MEAN):
        return  # whoever is refused does not compute meanwhile
    lasted = exact_span_words(found.seconds)
    says = f'refused {found.count:,} times in {lasted}, until the run ended: "{found.example}"'
    yield weighted_evidence(
        found.cause,
        weight_of("refused-to-the-end"),
        Source.LOG,
        found.where,
        says,
        group="answers",
    )

    for sign in facts.reading.signs:
        of_it = sign.group == "last-words" or (sign.text and found.tells(sign.text))
        if of_it and sign.weight > 0 and sign.cause is not found.cause:
            # What else is made of the same lines, and of the program's own last words.
            yield weighted_evidence(sign.cause, -sign.weight, Source.LOG, found.where, says)


_REFUSED = frozenset({"client-none-listens"})
_GAVE_UP = frozenset({"client-time", "network-timeout", "raised-waiting"})


def weigh_refusals(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A client whose connections were refused, time and again, and that then gives up by its own time-out:
    nobody listens; no answer was slow.
    """
    heard = [s for s in facts.reading.signs if s.weight > 0 and s.evidence.source is Source.LOG]
    refused = next((s for s in heard if s.group in _REFUSED), None)
    gave_up = [s for s in heard if s.group in _GAVE_UP]
    if refused is None or not gave_up or facts.server is not None or not facts.died:
        return
    evidence = refused.evidence
    says = f"before it gave up its connections were refused: {evidence.says}"
    yield weighted_evidence(
        Cause.TRANSIENT_BACKEND,
        weight_of("refused-before"),
        evidence.source,
        evidence.where,
        says,
        group=refused.group,
    )
    for found in gave_up:
        yield weighted_evidence(found.cause, -found.weight, evidence.source, evidence.where, says)


# Less than this is signs of life, not data.
_SHOWN = 3  # places and probes of a kind; chosen
_NETWORK_QUIET = 100_000.0  # bytes a second; chosen


def weigh_far_data(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Data in another region than the job's, weighed by what came in and what the machine did."""
    distance = facts.distance
    for far in distance.far[:_SHOWN]:
        says = f"{far.name} is stored in {far.location}, the job ran in {distance.region}"
        weight = _network_weight(facts, weight_of("far-data"))
        rate, working = facts.usage.received_bytes_per_second, facts.timeline.longest(waits=False)
        if rate is not None and rate < _NETWORK_QUIET and weight > weight_of("least-far-data"):
            # Hardly anything came in while the time went by.
            weight -= weight_of("little-received")
            says += f"; it received {rate / 1e3:.0f} kB a second"
        elsewhere = working is not None and working.share >= SECTION_SHARE
        if elsewhere and not facts.usage.receives and weight > weight_of("least-far-data"):
            weight -= weight_of("worked-elsewhere")
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, weight, Source.STORAGE, far.name, says, group="far-data"
        )


def weigh_probes(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What was measured of outside hosts: from the job's region it counts, from elsewhere it is advice."""
    distance = facts.distance
    named = set(distance.hosts) | {s.host for s in facts.timeline.timeline_sections if s.host}
    for probe in distance.slow_here[:_SHOWN]:
        host = host_of(probe.url)
        says = f"{host} took {probe.seconds:.2f} s to its first byte, measured from {probe.origin}"
        by_name = weight_of("slow-probe-named") if host in named else weight_of("slow-probe")
        weight = _network_weight(facts, by_name)
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, weight, Source.PROBE, probe.url, says, group="probe"
        )
    for probe in distance.slow_elsewhere[:_SHOWN]:
        says = (
            f"{host_of(probe.url)} took {probe.seconds:.2f} s to its first byte, measured from "
            f"{probe.origin or 'an unknown place'} (the job ran in {distance.region}: advice only)"
        )
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, weight_of("advice"), Source.PROBE, probe.url, says
        )
    for probe in distance.quick_here[:_SHOWN]:
        if facts.timed_out and host_of(probe.url) in named:
            says = f"{host_of(probe.url)} answered in {probe.seconds:.2f} s"
            yield weighted_evidence(
                Cause.NETWORK_LATENCY, weight_of("quick-probe"), Source.PROBE, probe.url, says
            )


def _network_weight(facts: CaseFeatures, weight: float) -> float:
    """Distance explains a time-out, not a crash; and not where the CPUs were full."""
    if not facts.timed_out:
        return weight_of("distance-no-timeout")
    cpu = facts.usage.cpu
    if cpu is not None and cpu.is_full:
        return weight_of("distance-full-cpus")
    if cpu is not None and not cpu.is_idle:
        return weight - weight_of("distance-cpus-not-idle")
    return weight


def weigh_received_bytes(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Data that came in all the while, beside idle CPUs."""
    rate, cpu = facts.usage.usually_received, facts.usage.cpu
    if rate is None or cpu is None or not facts.timed_out or not cpu.is_idle:
        return
    if facts.usage.receives:
        says = f"it received {rate / 1e6:.0f} MB a second all the while, with idle CPUs"
        weight = weight_of("flooded") if facts.flooded else weight_of("receives")
        yield load_evidence(cpu, Cause.NETWORK_LATENCY, weight, says)
