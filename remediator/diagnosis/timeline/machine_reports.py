"""How busy the machine's CPUs were, where nobody measured them and the job's own log tells it.

Owns the forms: `vmstat`, `sar` and `mpstat`, `top`, and the load average of `uptime` beside a number of CPUs. What a
program says of its own process (`cpu=100%`) is left out where it does not say of how many CPUs. Pure; called by
`read_timeline`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.replicas import ReplicaMachine, machine_of
from remediator.diagnosis.timeline.line_words import unprefixed
from remediator.diagnosis.timeline.vmstat import vmstat_row
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import median

__all__ = ["MachineReports", "is_report", "read_machine_reports"]

# Of which every form holds one: asked first, since most lines hold none.
_ANY = Linear(
    r"\bload|utili[sz]ation|\bidle|nr_throttled|\bcpu ?%|(?:cpus?|cores)_|\bthreads\b.{0,24}\d/|\d ?/ ?\d{1,4} threads\b|\bcpu[ =:]{1,4}\d{3}|\bcores?\b|\bv?cpus\b|\bcpu\b.{0,24}%|\bcpu[a-z_ ]{0,20}[=:]|%cpu|\b\d{2,5}(?:\.\d{1,2})? ?%,? ?cpu|%?cpu\(s\)|\ball\s+\d|(?:^|[0-9Z]\s)\W{0,3}(?:\S*vmstat\S*\s+)?(?:\d{1,12}\s+){12}"
)
# `%Cpu(s): 98.2 us,  1.1 sy`; documented: top(1).
_TOP = Linear(
    r"cpu\(s\):\s{0,3}(?P<user>\d{1,3}(?:[.,]\d+)?)%? ?us,\s{1,3}(?P<system>\d{1,3}(?:[.,]\d+)?)%? ?sy"
)
# `12:00:01 all 97.1 0.0 1.2 0.0 0.0 1.7` (sar), more columns in mpstat: user and nice first; documented: sar(1).
_SAR = Linear(
    r"\ball\s+(?P<user>\d{1,3}[.,]\d{2})\s+(?P<nice>\d{1,3}[.,]\d{2})\s+(?P<system>\d{1,3}[.,]\d{2})\s+(?P<rest>\d{1,3}[.,]\d{2})\b"
)
# `load average: 8.08, 8.05, 8.05`, `load 17.7 17.5 16.2 (4 cpus)`, `load1=1.06 ncpu=8`. A program loads much else:
# the bare word counts before three numbers or beside a number of CPUs, and nothing that a unit follows.
_LOAD = Linear(
    r"\bload(?P<named>[ _]?avg|[ _]average|1)?(?: is)?[ =:]{1,2}\[?(?P<load>\d{1,4}[.,]\d{1,2})\b(?P<unit> ?(?:[kmgt]?i?b|u?s|ms|secs?|seconds?|min|k?n|%)(?:\W|$))?(?P<three>,? \d{1,4}[.,]\d{1,2},? \d{1,4}[.,]\d{1,2}\b)?(?:.{0,40}?\b(?:n?cpus?|cores)[ =:]{1,2}(?P<of>\d{1,4})\b|.{0,30}?\(?(?P<count>\d{1,4}) (?:v?cpus?|cores)\b)?"
)
# `top - 21:41:59 up 5:40:20, load average: …`, the first line of top and the only one of uptime.
_UPTIME = Linear(r"\bup\b.{1,40}\bload average: ", needs="average")
# `cpu 3193%`: above one and a half CPUs it can only be all threads of a program, in hundredths of a CPU.
_THREADS = Linear(
    r"\bcpu[ =:]{1,4}(?P<percent>\d{3,5})(?:\.\d{1,2})? ?%|\b(?P<before>\d{3,5})(?:\.\d{1,2})? ?% cpu\b|(?:%cpu|\bcpu ?%)[ =:]{1,3}(?P<column>\d{3,5})(?:\.\d{1,2})?\b",
    needs="cpu",
)
# `cpu 1.0 of 8 cores`, `busy 7.9/8 cpus`, `2 of 16 cores in use`; what a scheduler gave away is no use.
_IN_USE = Linear(
    r"\b(?:cpus?|cores?|using|uses|used|busy|util[a-z]{0,10})\b[^\d]{0,16}(?P<used>\d{1,4}(?:[.,]\d{1,2})?) ?(?:/|of|out of) ?(?P<of>\d{1,4}) (?:v?cpus?|cores)\b"
    r"|\b(?P<busy>\d{1,4}(?:[.,]\d{1,2})?) ?(?:/|of|out of) ?(?P<all>\d{1,4}) (?:v?cpus?|cores) (?:are |is )?(?:busy|in use|used|active)\b"
)
# `threads busy 15.9/16`: with a fraction it is measured, and no count of a pool's members that wait for something.
_THREADS_BUSY = Linear(
    r"\b(?:busy|active|running|computing)[ _]threads[ =:]{1,3}(?P<used>\d{1,3}\.\d{1,2}) ?(?:/|of|out of) ?(?P<of>\d{1,4})\b"
    r"|\bthreads[ _](?:busy|active|running|computing|in use)[ =:]{1,3}(?P<number>\d{1,3}\.\d{1,2}) ?(?:/|of|out of) ?(?P<all>\d{1,4})\b"
    r"|\b(?P<first>\d{1,3}\.\d{1,2}) ?(?:/|of|out of) ?(?P<last>\d{1,4}) threads (?:are |is )?(?:busy|active|running|computing|in use)\b",
    needs="thread",
)
# `8 threads, utilisation 99%`, `cpu idle 0.4%`, `cpu_used=7.9 cpu_total=8`.
_OF_THREADS = Linear(
    r"\b(?P<threads>\d{1,3}) (?:busy |compute |worker )?threads\b[^|%]{0,24}\butili[sz]ation[ =:]{1,3}(?P<percent>\d{1,3}(?:\.\d{1,2})?) ?%",
    needs="utili",
)
_CPU_IDLE = Linear(
    r"\bcpus?[ _](?:is |are )?idle[ _a-z]{0,8}[ =:]{1,3}(?P<percent>\d{1,3}(?:[.,]\d{1,2})?) ?%|\b(?P<before>\d{1,3}(?:[.,]\d{1,2})?) ?% (?:of (?:the |all )?)?(?:cpus?|cores) (?:is |are |were )?idle\b",
    needs="idle",
)
_USED_AND_ALL = Linear(
    r"\b(?:cpus?|cores)[_ ](?:used|busy|in[_ ]use)[ =:]{1,3}(?P<used>\d{1,3}(?:\.\d{1,2})?)[ ,;]{1,3}(?:cpus?|cores)[_ ](?:total|count|all|available|limit)[ =:]{1,3}(?P<of>\d{1,3})\b"
)
# `nr_periods 600 nr_throttled 598`: periods in which all that was allowed was used up; documented: the kernel's cgroups.
_HELD_BACK = Linear(
    r"\bnr_periods\W{1,4}(?P<all>\d{1,12})\W{1,6}nr_throttled\W{1,4}(?P<held>\d{1,12})",
    needs="throttled",
)
# `cpu=7.95 cores`, `cpu 3.9 vcpus`: so many of them.
_SO_MANY = Linear(
    r"\bcpus?(?:[ _](?:usage|use|used))?[ =:]{1,3}(?P<used>\d{1,3}[.,]\d{1,2}) ?(?:v?cpus?|cores)\b",
    needs="cpu",
)
_GIVEN = Linear(
    r"\b(?:request|logical|allocat|reserv|claim|assign|grant|availab|free|idle|limit)[a-z]{0,6}\b"
)
# `process cpu 100% (1 core)`, `cpu usage: 96.5% of 8 cores`: a share of so many, or above one CPU of all together.
_OF_CORES = Linear(
    r"\b(?:cpu(?:[ _](?:usage|use|util[a-z]{0,10}|load|percent|efficiency))?|utili[sz]ation)[ =:]{1,3}(?P<percent>\d{1,5}(?:[.,]\d{1,2})?) ?(?:%,? ?\(?|\()(?:(?:of|on) )?(?:all )?(?P<cores>one|\d{1,3}) (?:v?cpus?|cores?)\b",
    needs="cpu utili",
)
# `system cpu 12.5%`: of all of them, by its name.
_OF_MACHINE = Linear(
    r"\b(?:system|machine|host|node|overall|all[ -]cores?)[ _.]cpu(?:[ _](?:usage|use|util[a-z]{0,10}|load|percent))?[ =:]{1,3}(?P<percent>\d{1,3}(?:[.,]\d{1,2})?) ?%",
    needs="cpu",
)
# `cpu per core: 99 98 99 100`, `cpu_percent=[99.0, 98.1, …]`: each of them; documented: psutil's cpu_percent.
_EACH = Linear(
    r"\bcpu[a-z_ ]{0,20}[=:]\s{0,2}\[?(?P<values>(?:\d{1,3}(?:\.\d{1,2})?%?(?:, ?| )){3,255}\d{1,3}(?:\.\d{1,2})?)",
    needs="cpu",
)
_VALUE = late_pattern(r"\d{1,3}(?:\.\d{1,2})?")
# `all 8 workers at 99% cpu`, `one core at 100%`.
_BUSY = Linear(
    r"\ball (?P<count>\d{1,3}) (?:workers|processes|threads|cores|cpus) (?:are |busy )?(?:at )?(?:9[0-9]|100)(?:\.\d)? ?%|\b(?:one|1|a single|single) (?:cpu )?core (?:is )?(?:at (?:9[0-9]|100) ?%|busy|pegged|maxed)"
)
_MORE_THAN_ONE = 150.0  # percent; chosen
# What a machine says of processes that wait for its disk: they make a load, and no CPU busy. `iowait=92%`, top's
# `90.4 wa`, `%iowait 88.0` (documented: top(1), iostat(1)), `io full avg10=91.20` (documented: the kernel's PSI).
_DISK = Linear(
    r"(?:\bio ?wait\b|%iowait|\bio[_ -]wait\b|\bdisk[_ -]wait\b|\bwa\b)[\"']?[ =:]{1,3}(?P<percent>\d{1,3}(?:[.,]\d{1,2})?)\b|\b(?P<top>\d{1,3}(?:[.,]\d{1,2})?)%? ?wa\b|\bio (?:full|some) avg10=(?P<stalled>\d{1,3}(?:\.\d{1,2})?)",
    needs="wait wa avg10",
)
# `14 processes in state D`, `blocked=15 (uninterruptible)`.
_BLOCKED = Linear(
    r"\b(?P<count>\d{1,5}) (?:process(?:es)?|procs?|threads?|tasks?|workers?) (?:are )?(?:in |blocked in )?(?:(?:state|status) )?\(?(?:D\b|D[ -]state|uninterruptible|disk (?:sleep|wait))|\b(?:(?:procs_)?blocked|uninterruptible|d[_ -]state|state[_ ]D)[ =:]{1,3}(?P<named>\d{1,5})\b",
    needs="state status disk uninterruptible blocked d-state process proc thread task worker",
)
_WAITS_MUCH = 0.3  # of the CPUs' time, or of a load's processes; chosen
# Lines that tell of nothing but the machine.
_OF_THE_MACHINE = Linear(
    r"^\W{0,3}(?:load(?:[ _]?avg|[ _]average)?s?[ =:]{1,3}\[?\d|avg-cpu\b|%?io ?wait\b|(?:io|memory|cpu) (?:some|full) avg10=|(?:procs_)?blocked[ =:])"
)
_FEWEST = 5  # reports; chosen
_FEW, _EVEN = (
    3,
    0.1,
)  # reports, and by how much of all CPUs they differ where they are enough; chosen


class MachineReports(Struct, frozen=True):
    """What reports in the log tell of the CPUs: how many there are, the usual part of all CPUs that were busy (0 to 1;
    a load above their number is 1), the line of the last, how many CPUs the machine has (None: not known), and of
    which replica they tell, where several write.
    """

    count: int
    busy: float
    where: str
    vcpus: int | None = None
    replica: str = ""


def read_machine_reports(
    lines: Sequence[LogLine], vcpus: int | None, machines: Sequence[ReplicaMachine] = ()
) -> MachineReports | None:
    """What the log's own reports tell of the CPUs of the busiest replica; None: there are too few.

    `vcpus` is the machine's number, for a load average that names none; `machines` are those of the pools.
    """
    heard: dict[str, _ReplicaReports] = {}
    for position, line in enumerate(lines):
        text = line.text[:TEXT]
        held = heard.get(line.task)
        if held is None:
            of_task = machine_of(line.task, machines)
            held = heard[line.task] = _ReplicaReports(
                of_task.vcpus if of_task is not None else vcpus
            )
        if held.cpus is None and (counted := _IN_USE.search(text)):
            held.cpus = int(counted["of"] or counted["all"])
        share = _share_of(line, held.cpus)
        load = _load_in(text, held.cpus) if share is None else None
        if share is not None or load is not None:
            held.where = line.insert_id
            held.is_late = position * 2 >= len(lines)
        if share is not None:
            held.shares.append(share)
        elif load is not None:
            held.loads.append(load)
            held.lasting += _lasts(text)
        waiting = _waiting_in(text, held.cpus)
        if waiting is not None:
            held.waits.append(waiting)
    enough = [(one.busy, task, one) for task, one in heard.items() if one.is_enough]
    if not enough:
        return None
    busy, task, most = max(enough, key=lambda one: one[0])
    replica = task if len(heard) > 1 else ""
    count = len(most.parts)
    return MachineReports(count, min(1.0, busy), most.where or "logEntries", most.cpus, replica)


class _ReplicaReports(Struct):
    """What one replica's reports tell: parts of all CPUs, by their time and by loads; `lasting`: of so many loads three
    averages agree; `is_late`: the last report stands in the second half.
    """

    cpus: int | None
    shares: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    where: str = ""
    lasting: int = 0
    is_late: bool = False

    @property
    def parts(self) -> list[float]:
        # Who waits for a disk makes a load, and leaves the CPUs idle.
        waits = bool(self.waits) and median(self.waits) >= _WAITS_MUCH
        return self.shares if waits else self.shares + self.loads

    @property
    def is_enough(self) -> bool:
        count = len(self.parts)
        if count >= _FEWEST or not self.is_late:
            return count >= _FEWEST
        even = count >= _FEW and max(self.parts) - min(self.parts) <= _EVEN
        return even or 0 < count == self.lasting

    @property
    def busy(self) -> float:
        return median(self.parts)


def _lasts(text: str) -> bool:
    """Whether a line tells three load averages that agree: the CPUs were so busy for a quarter of an hour."""
    found = _LOAD.search(text)
    if found is None or not found["three"]:
        return False
    held = [_number(one) for one in (found["load"], *_DECIMAL.findall(found["three"]))]
    return max(held) - min(held) <= max(held) * _AGREES


_DECIMAL = late_pattern(r"\d{1,4}[.,]\d{1,2}")
_AGREES = 0.15  # of the highest, by which load averages may differ; chosen


def is_report(text: str) -> bool:
    """Whether a line is one of `vmstat`, `top`, `sar` or `mpstat` and nothing else: no section of the program."""
    bare = unprefixed(text)
    if _OF_THE_MACHINE.is_in(bare):
        return True
    if not _ANY.is_in(text):
        return False
    return vmstat_row(text) is not None or any(one.is_in(bare) for one in (_TOP, _UPTIME, _SAR))


def _share_of(line: LogLine, vcpus: int | None) -> float | None:
    share = _of_fields(line.fields, vcpus)
    return _share_in(line.text[:TEXT], vcpus) if share is None else share


def _share_in(text: str, vcpus: int | None) -> float | None:
    """The part of all CPUs that was busy, by a line that tells of their time; None where it does not."""
    if not _ANY.is_in(text):
        return None
    row = vmstat_row(text)
    if row is not None:
        return (row.user + row.system) / 100
    for pattern in (_TOP, _SAR):
        found = pattern.search(text)
        if found is not None and _is_a_part(found.groupdict()):
            return (_number(found["user"]) + _number(found["system"])) / 100
    threads = _THREADS.search(text)
    percent = (
        float(threads["percent"] or threads["column"] or threads["before"])
        if threads is not None
        else 0.0
    )
    if vcpus and percent > _MORE_THAN_ONE:
        return percent / 100 / vcpus
    return _in_use(text, vcpus)


def _load_in(text: str, vcpus: int | None) -> float | None:
    """The same by a load average, in which processes that wait for a disk are counted."""
    if not _ANY.is_in(text):
        return None
    found = _LOAD.search(text)
    if found is None or found["unit"]:
        return None
    counted = int(found["of"] or found["count"] or 0)
    if not (counted or found["named"] or found["three"]):
        return None
    of = counted or vcpus
    return _number(found["load"]) / of if of else None


def _waiting_in(text: str, vcpus: int | None) -> float | None:
    """The part of the CPUs' time in which they waited for a disk, or of the CPUs that so many waiting processes would
    fill; None where a line does not tell.
    """
    row = vmstat_row(text)
    if row is not None:
        return row.wait / 100
    found = _DISK.search(text)
    if found is not None:
        return _number(found["percent"] or found["top"] or found["stalled"]) / 100
    found = _BLOCKED.search(text)
    count = found and (found["count"] or found["named"])
    return int(count) / (vcpus or 1) if count else None


# What a structured line tells of the CPUs in use, or of the machine's part; a bare `cpu` does not say of whom.
_CORES_FIELD = late_pattern(
    r"^(?:cpus?|cores?|v?cpu_cores)_(?:used|busy|in_use)$|^(?:used|busy|active)_(?:cpus?|cores)$|^cpu_cores$",
    re.IGNORECASE,
)
_MACHINE_FIELD = late_pattern(
    r"^(?:system|host|machine|node)[._]cpu(?:[._](?:percent|pct|usage|util\w{0,10}))?$",
    re.IGNORECASE,
)


def _of_fields(fields: Mapping[str, object], vcpus: int | None) -> float | None:
    """The same by the fields of a structured line."""
    for key, value in fields.items():
        if isinstance(value, float) and vcpus and _CORES_FIELD.match(key) and value >= 0:
            return value / vcpus if value <= vcpus * _OVER else None
        if isinstance(value, float) and _MACHINE_FIELD.match(key) and 0 <= value <= _WHOLE:
            return value / 100
    return None


def _in_use(text: str, vcpus: int | None) -> float | None:
    """The part of the machine's CPUs that a line says were in use, where it tells of how many it speaks."""
    used = _IN_USE.search(text)
    if used is not None and (used["busy"] or not _GIVEN.is_in(text)):
        of = int(used["of"] or used["all"])
        number = _number(used["used"] or used["busy"])
        return number / of if of > 0 and number <= of * _OVER else None
    busy_threads = _THREADS_BUSY.search(text)
    if busy_threads is not None:
        number = float(next(filter(None, busy_threads.group("used", "number", "first"))))
        of = int(next(filter(None, busy_threads.group("of", "all", "last"))))
        all_cpus = vcpus or of
        return number / all_cpus if number <= min(of, all_cpus) * _OVER else None
    part = _by_other_words(text, vcpus)
    if part is not None:
        return part
    many = _SO_MANY.search(text)
    if many is not None and vcpus:
        number = _number(many["used"])
        return number / vcpus if number <= vcpus * _OVER else None
    each = _EACH.search(text)
    if each is not None:
        values = [_number(one) for one in _VALUE.findall(each["values"])]
        return sum(values) / len(values) / 100 if max(values) <= _WHOLE * _OVER else None
    busy = _BUSY.search(text)
    if busy is not None and vcpus:
        return (int(busy["count"]) if busy["count"] else 1) / vcpus
    whole = _OF_MACHINE.search(text)
    if whole is not None:
        return _number(whole["percent"]) / 100
    share = _OF_CORES.search(text)
    if share is None or not vcpus:
        return None
    cores = 1 if share["cores"].lower() == "one" else int(share["cores"])
    percent = _number(share["percent"])
    busy = percent / 100 * (cores if percent <= _WHOLE * _OVER else 1)
    return busy / vcpus if busy <= vcpus * _OVER else None


def _by_other_words(text: str, vcpus: int | None) -> float | None:
    """The same where a line tells what was idle, or how far so many threads were used."""
    idle = _CPU_IDLE.search(text)
    if idle is not None:
        return max(0.0, 1.0 - _number(idle["percent"] or idle["before"]) / 100)
    both = _USED_AND_ALL.search(text)
    if both is not None and int(both["of"]):
        return min(1.0, _number(both["used"]) / int(both["of"]))
    held = _HELD_BACK.search(text)
    if held is not None and int(held["all"]):
        return min(1.0, int(held["held"]) / int(held["all"]))
    threads = _OF_THREADS.search(text)
    if threads is None or not vcpus or "gpu" in text.lower():
        return None
    busy = int(threads["threads"]) * _number(threads["percent"]) / 100
    return busy / vcpus if busy <= vcpus * _OVER else None


_OVER = 1.1  # times all of them: reports are rounded; chosen


def _is_a_part(shares: Mapping[str, str | None]) -> bool:
    """Whether what a row tells may be shares of one time, in percent: other tables of numbers look alike."""
    return sum(_number(share) for share in shares.values() if share) <= _WHOLE + _ROUNDED


_WHOLE, _ROUNDED = 100.0, 3.0  # percent; the latter chosen: each share is rounded


def _number(text: str) -> float:
    return float(text.replace(",", "."))
