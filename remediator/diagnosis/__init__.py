"""From one failure and its evidence to ranked causes, or an honest "unknown".

Owns `diagnose`. Reads the case's texts (`texts`), numbers (`metrics`), times
(`timeline`) and places (`locality`), lets `rules` weigh what needs several of them, and adds
everything up (`scoring`). Does no I/O and reads no clock: every fact comes with the case. Called by
the workflow, the command line and the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis.advice import advice_for, advised, is_managed
from remediator.diagnosis.bystanders import is_bystander
from remediator.diagnosis.limits import full_mount_met, heap_met, own_limit_met, wanted_by
from remediator.diagnosis.locality import SLOW_ANSWER_SECONDS, read_distance
from remediator.diagnosis.matching import warm_up
from remediator.diagnosis.metrics import Usage, peak_memory_gib, read_usage
from remediator.diagnosis.progress import read_progress
from remediator.diagnosis.replicas import failed_replicas, machines_of
from remediator.diagnosis.rules import CaseFeatures, rule_evidence
from remediator.diagnosis.scoring import THRESHOLD, rank
from remediator.diagnosis.servers import Server, read_server
from remediator.diagnosis.signature import Tag
from remediator.diagnosis.texts import read_case, read_job, read_task
from remediator.diagnosis.texts.case_text import SERVICE_TASK
from remediator.diagnosis.texts.evidence import TextEvidence
from remediator.diagnosis.texts.failed_rows import FailedRows
from remediator.diagnosis.texts.last_lines import last_lines
from remediator.diagnosis.timeline import read_timeline
from remediator.diagnosis.weighted_evidence import WeightedEvidence
from remediator.diagnosis.weights import weight_of
from remediator.diagnosis.word_evidence import (
    below_words,
    evidence_of_answer,
    evidence_of_ending,
    evidence_of_message,
)
from remediator.domain import (
    NEVER_RETRIED,
    Cause,
    Diagnosis,
    Evidence,
    Frame,
    JobKind,
    JobName,
    JobState,
    Needs,
    OwnLimit,
    Progress,
    RankedCause,
    Source,
    TaskCause,
)
from remediator.domain.time_words import span_words
from remediator.job import Job, container_of, once, pipeline

__all__ = ["THRESHOLD", "advice_for", "diagnose", "settled", "warm_up"]


def diagnose(
    case: Case,
    *,
    probe_threshold_seconds: float = SLOW_ANSWER_SECONDS,
    catalog: Catalog | None = None,
) -> Diagnosis:
    """The causes of one failure, most probable first, each with what spoke for and against it.

    `verdict` is UNKNOWN where no cause reaches `THRESHOLD`. Never raises for odd evidence: what
    cannot be read says nothing. `probe_threshold_seconds` is the policy file's `probes.threshold`;
    `catalog` knows the sizes of machines, the shipped one unless told.
    """
    known = catalog or Catalog.built_in()
    if case.children:
        return _of_the_children(case, known, probe_threshold_seconds)
    facts, signs = _read_features(case, known, probe_threshold_seconds)
    alone = settled(case.job)
    if _settles(case.job) in NEVER_RETRIED:
        signs = _without_other_wishes(signs)
    ranked = _with_rows(rank(signs), facts.reading.rows, case.job)
    by_words = None
    of_texts = (
        not ranked or case.job.is_stand_in or _rests_on_texts(facts.reading, signs, ranked[0].cause)
    )
    if alone is None and of_texts and not _ran_out_of_time(case.job, facts.reading):
        by_words = (
            evidence_of_message(case.job, ranked, case.log_lines)
            or evidence_of_ending(case.job, ranked, signs, case.log_lines)
            or evidence_of_answer(case.job, ranked, signs, facts.reading)
        )
    if by_words is not None:
        heard = [*below_words(signs, by_words.cause), by_words]
        ranked_by_words = _with_rows(rank(heard), facts.reading.rows, case.job)
        if _verdict(ranked_by_words) is by_words.cause:
            signs, ranked = heard, ranked_by_words
    verdict = _verdict(ranked)
    needs = _needs(case, facts, verdict)
    frame = _frame(signs, facts.reading, verdict, dumped=facts.timeline.dumps is not None)
    return Diagnosis(
        job=str(case.job.name),
        kind=case.job.kind,
        verdict=verdict,
        causes=advised(ranked, signs, case.job, needs, frame),
        settled_by_error=alone is not None and alone.verdict is verdict,
        by_words_alone=(by_words is not None and verdict is by_words.cause)
        or _is_refused_by_words(facts, signs, verdict),
        sections=facts.timeline.sections,
        needs=needs,
        missing=_missing(case, facts, verdict),
        parts=_parts(case.job),
        frame=frame,
        last_lines=last_lines(case.log_lines),
        row_errors=facts.reading.rows.messages if facts.reading.rows else (),
    )


def _is_refused_by_words(
    facts: CaseFeatures, signs: Sequence[WeightedEvidence], verdict: Cause
) -> bool:
    """Whether nothing speaks for the verdict but lines that came to the end and that the word model alone knows."""
    refusals = facts.timeline.refusals
    if refusals is None or not refusals.by_words or verdict is not refusals.cause:
        return False
    return not any(
        sign.cause is verdict and sign.weight > 0 and sign.evidence.where != refusals.where
        for sign in signs
    )


def _of_the_children(case: Case, catalog: Catalog, probe_threshold_seconds: float) -> Diagnosis:
    """Of a run whose launched jobs failed: each is diagnosed as if it had failed alone."""

    def judge(one: Case) -> Diagnosis:
        return diagnose(one, probe_threshold_seconds=probe_threshold_seconds, catalog=catalog)

    whole = judge(replace(case, children=()))
    found = {str(child.job.name.key): judge(child) for child in case.children}
    surest = max(found.values(), key=lambda one: one.confidence)
    if surest.verdict is Cause.UNKNOWN:
        return whole
    parts = tuple(_part_of(part, case.job, found) for part in whole.parts)
    return replace(surest, job=whole.job, kind=whole.kind, parts=parts)


def _part_of(part: TaskCause, job: Job, found: Mapping[str, Diagnosis]) -> TaskCause:
    """What a task died of by the job that it launched, where that one tells."""
    for node in pipeline.failed(job):
        for detail in node.failed:
            if detail.index != part.index:
                continue
            for name in detail.children:
                reported = found.get(JobName.parse(name).key)
                if reported is not None and reported.verdict is not Cause.UNKNOWN:
                    return replace(part, cause=reported.verdict)
    return part


def _frame(
    signs: Sequence[WeightedEvidence], reading: TextEvidence, verdict: Cause, *, dumped: bool
) -> Frame | None:
    """Where in the user's code the verdict's heaviest traceback stands, or else the last one's; of a log with
    stacks of all threads (`dumped`) only the first."""
    framed = [s for s in signs if s.frame is not None and s.cause is verdict and s.weight > 0]
    if framed:
        return max(framed, key=lambda s: s.weight).frame
    if dumped:
        return None  # several threads' frames, none of which raised: the evidence names the place
    return next((held.frame for held in reversed(reading.raised) if held.frame), None)


@once
def settled(job: Job) -> Diagnosis | None:
    """The diagnosis from the job's own error, where that alone settles the cause; else None.

    Cheap, and asked before anything else is read. A time-out never settles: the machine's load,
    the log and the places of the data are what tells its three families apart. Neither does a mere
    symptom, such as an exit code, nor what the error's own words contradict.
    """
    verdict = _settles(job)
    if verdict is Cause.UNKNOWN:
        return None
    reading = read_job(job)
    ranked = rank(reading.signs)
    if evidence_of_message(job, ranked) is not None:
        return None
    return Diagnosis(
        job=str(job.name),
        kind=job.kind,
        verdict=verdict,
        causes=advised(_with_rows(ranked, reading.rows, job), reading.signs, job, Needs(), None),
        settled_by_error=True,
        parts=_parts(job),
    )


@once
def _settles(job: Job) -> Cause:
    """The cause that the signatures alone see settled by the job's own error; `unknown`: none."""
    reading = read_job(job)
    if not reading.signs or _ran_out_of_time(job, reading):
        return Cause.UNKNOWN
    ranked = rank(reading.signs)
    verdict = _verdict(ranked)
    if verdict is Cause.UNKNOWN or ranked[0].confidence < weight_of("settled-by-error"):
        return Cause.UNKNOWN
    return verdict if _goes_deep(reading.signs, verdict) else Cause.UNKNOWN


def _without_bystanders(case: Case) -> Case:
    """The case without the lines of agents beside the job, which tell neither of its failure nor of its work.

    Where the workers wrote nothing else, the agent is the job.
    """
    own = [
        line for line in case.log_lines if line.task == SERVICE_TASK or not is_bystander(line.text)
    ]
    alone = not any(line.task != SERVICE_TASK for line in own)
    return case if alone or len(own) == len(case.log_lines) else replace(case, log_lines=tuple(own))


def _read_features(
    case: Case, catalog: Catalog, probe_threshold_seconds: float
) -> tuple[CaseFeatures, Sequence[WeightedEvidence]]:
    workload = case.job.facts(catalog, case.model)
    heard = _without_bystanders(case)
    reading = read_case(heard)
    usage = read_usage(case, workload, failed_replicas(case))
    machines = machines_of(case, catalog)
    timed_out = _ran_out_of_time(case.job, reading)
    facts = CaseFeatures(
        job=case.job,
        earlier=case.earlier,
        workload=workload,
        reading=reading,
        usage=usage,
        timeline=read_timeline(
            heard, usage, timed_out=timed_out, vcpus=workload.vcpus, machines=machines
        ),
        distance=read_distance(case, workload, probe_threshold_seconds=probe_threshold_seconds),
        server=_server_of(case, workload.batch_size),
        treated_for=case.attempts[-1].verdict if case.attempts else "",
        recoveries=case.recoveries,
        machines=machines,
        wordless=not any(line.task != SERVICE_TASK and line.text for line in case.log_lines),
    )
    if case.job.state is JobState.SUCCEEDED and reading.rows is None:
        # Nothing failed: what the log complains of did not matter.
        return facts, ()
    return facts, (*reading.signs, *rule_evidence(facts))


def _server_of(case: Case, batch_size: int | None) -> Server | None:
    """The model server of a batch prediction; of a log alone, one that is probed where it does not listen."""
    of_batch = case.job.kind is JobKind.BATCH_PREDICTION
    if not (of_batch or case.job.is_stand_in):
        return None
    server = read_server(case.log_lines, container_of(case.model), batch_size=batch_size)
    return server if of_batch or (server.probed and server.other_port is not None) else None


def _without_other_wishes(signs: Sequence[WeightedEvidence]) -> Sequence[WeightedEvidence]:
    """Without what a log says for a cause that is retried: the job's own error forbids it already.

    The service would not have been asked for its log at all; whoever writes there lifts nothing.
    """
    return [
        item
        for item in signs
        if item.evidence.source is not Source.LOG or item.cause in NEVER_RETRIED or item.weight < 0
    ]


def _rests_on_texts(reading: TextEvidence, signs: Sequence[WeightedEvidence], cause: Cause) -> bool:
    """Whether a text says the cause louder than rules on the job itself and its numbers do."""
    said: list[float] = []
    ruled: list[float] = []
    for sign in signs:
        if sign.cause is cause:
            of_text = sign.group == "last-words" or sign in reading.signs
            (said if of_text else ruled).append(sign.weight)
    return max(said, default=0.0) > max(ruled, default=0.0)


def _ran_out_of_time(job: Job, reading: TextEvidence) -> bool:
    return job.ran_into_timeout or job.trials_ran_out or reading.has(Tag.TIMED_OUT)


def _parts(job: Job) -> tuple[TaskCause, ...]:
    """What each task of a pipeline run died of, by its own error; cancelled ones died of nothing."""
    if job.kind is not JobKind.PIPELINE:
        return ()
    found = []
    for node in pipeline.failed(job):
        for detail in node.failed[:_MOST_ROUNDS]:
            signs = read_task(node.title, detail.where, detail.status).signs
            found.append(TaskCause(detail.index, node.title, _verdict(rank(signs))))
    return tuple(found)


_MOST_ROUNDS = 50  # of one loop that are looked at; chosen


def _goes_deep(signs: Sequence[WeightedEvidence], verdict: Cause) -> bool:
    return any(s.cause is verdict and s.weight > 0 and not s.symptom for s in signs)


def _verdict(ranked: Sequence[RankedCause]) -> Cause:
    if ranked and ranked[0].confidence >= THRESHOLD:
        return ranked[0].cause
    return Cause.UNKNOWN


def _with_rows(
    ranked: tuple[RankedCause, ...], rows: FailedRows | None, job: Job
) -> tuple[RankedCause, ...]:
    """The sum of failed instances belongs to whatever is thought to have failed them."""
    if rows is None or not ranked:
        return ranked
    summed = Evidence(Source.JOB, job.counts_path, rows.says)
    first = replace(ranked[0], evidence=(*ranked[0].evidence, summed))
    return (first, *ranked[1:])


def _memory_share(usage: Usage) -> float | None:
    """The most of the machine's memory that was seen in use, where enough of the run was seen."""
    memory = usage.memory
    return memory.peak if memory is not None and not memory.is_thin else None


def _needs(case: Case, facts: CaseFeatures, verdict: Cause) -> Needs:
    usage: Usage = facts.usage
    rows = facts.reading.rows
    done = facts.timeline.work_done
    if rows is not None and rows.successful:
        done = rows.successful / (rows.successful + rows.failed + rows.incomplete)
    peak = peak_memory_gib(usage, facts.memory_gib)
    return Needs(
        peak_memory_gib=peak,
        memory_is_lower_bound=verdict is Cause.MEMORY_PRESSURE and peak is not None,
        work_done=done,
        request_seconds=facts.reading.elapsed_seconds,
        wanted=wanted_by(facts.reading),
        own_limit=_own_limit(case, facts, verdict),
        full_mount=full_mount_met(facts.reading, case.job.nfs_mount_points),
        progress=_progress(case, facts),
    )


def _own_limit(case: Case, facts: CaseFeatures, verdict: Cause) -> OwnLimit | None:
    """The program's own limit, by what it said of it, else by the heap that its collections kept finding full."""
    said = (line.text for line in case.log_lines)
    met = own_limit_met(
        facts.reading, facts.job, _memory_share(facts.usage), said, facts.memory_gib
    )
    if met is None and verdict is Cause.MEMORY_PRESSURE:
        return heap_met(facts.timeline.pauses, facts.workload.memory_gib)
    return met


def _progress(case: Case, facts: CaseFeatures) -> Progress | None:
    """Asked only where the run came near its time-out: it is of no use to a job that died early."""
    limit, ran = facts.workload.timeout_seconds, case.job.run_seconds
    if not limit or not ran or ran < limit / 2:
        return None
    return read_progress(case.log_lines, case.job)


def _missing(case: Case, facts: CaseFeatures, verdict: Cause) -> tuple[str, ...]:
    """What evidence would settle an unknown; and always, which sources could not be read."""
    gaps = [f"{gap.source.value} could not be read: {gap.why}" for gap in case.gaps]
    if verdict is not Cause.UNKNOWN:
        return tuple(gaps)
    wanted = list(gaps)
    if not case.job.has_error and not case.log_lines:
        wanted.append("the job's error (set about a minute after its end)")
    if not case.log_lines and not is_managed(case.job):
        wanted.append(
            "the workers' log lines; there are none where the job's account may not write logs"
        )
    if facts.usage.is_empty and not is_managed(case.job):
        wanted.append(
            "CPU and memory while it ran: a batch prediction has no such metrics, in-job telemetry "
            "would give them"
            if case.job.kind is JobKind.BATCH_PREDICTION
            else "CPU, memory and accelerator utilisation while it ran"
        )
    if (limit := case.job.command_limit_seconds) is not None:
        wanted.append(
            f"a run under a longer limit: `timeout` in its own command ended it after {span_words(limit)}"
        )
    if facts.timed_out and not facts.timeline.timeline_sections and not is_managed(case.job):
        wanted.append("log lines with times, or telemetry, to see which section took the time")
    if facts.reading.rows is not None and not facts.reading.rows.messages:
        wanted.append(f"the error rows: {facts.reading.rows.says}")
    return tuple(wanted)
