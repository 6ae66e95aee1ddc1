"""The report: what it counts, and that its page is safe, self-contained and usable by anyone."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import fields, replace

from remediator.domain import Attempt, Change, JobState
from remediator.ledger import (
    Approval,
    ApprovalChoice,
    Chain,
    Conclusion,
    Incident,
    Stage,
    WatchedJob,
)
from remediator.report.export import as_csv, as_json
from remediator.report.history import Curve, Story, StoryOutcome, stories, sums
from remediator.report.page import render
from tests.hostile import CLOSES_TAGS_AND_QUOTES

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BIGGER = Change(
    "jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-8", "n1-standard-16"
)


def incident(number: int, **changed: object) -> Incident:
    plain = Incident(
        key=f"us-central1/customJobs/{number}",
        job=f"projects/acme/locations/us-central1/customJobs/{number}",
        stage=Stage.DONE,
        first_known=NOON + timedelta(minutes=1),
        root=f"us-central1/customJobs/{number}",
        ended=NOON,
        display_name=f"job-{number}",
        verdict="cpu_saturation",
        confidence=0.9,
        run_seconds=3600.0,
        machine="n1-standard-8",
        policy="starved-of-cpu",
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def attempt(number: int, state: JobState, *, hours: float = 1.0, usd: float = 2.0) -> Attempt:
    created = NOON + HOUR * number
    return Attempt(
        name=f"projects/acme/locations/us-central1/customJobs/9{number}",
        state=state,
        create_time=created,
        policy="starved-of-cpu",
        step=1,
        verdict="cpu_saturation",
        changes=(BIGGER,),
        number=number,
        estimated_usd=usd,
        end_time=created + HOUR * hours if state.is_terminal else None,
    )


def chain(number: int, *attempts: Attempt, spent: float = 0.0) -> Chain:
    key = f"us-central1/customJobs/{number}"
    return Chain(key=key, root=f"projects/acme/locations/{key}", attempts=attempts, spent_usd=spent)


RECOVERED = (
    incident(1, conclusion=Conclusion.RESUBMITTED),
    incident(
        91,
        root="us-central1/customJobs/1",
        attempt=1,
        ended=NOON + HOUR * 2,
        conclusion=Conclusion.RECOVERED,
    ),
)
GIVEN_UP = (
    incident(2, conclusion=Conclusion.RESUBMITTED),
    incident(
        92,
        root="us-central1/customJobs/2",
        attempt=2,
        conclusion=Conclusion.GIVEN_UP,
        reason="tired",
    ),
)
SPARED = incident(3, conclusion=Conclusion.ALERTED, verdict="bad_input", run_seconds=1800.0)
WAITING = incident(4, stage=Stage.WAITING)
OLD = incident(5, conclusion=Conclusion.TOO_OLD)
LEDGER = (*RECOVERED, *GIVEN_UP, SPARED, WAITING, OLD)
CHAINS = (
    chain(1, attempt(1, JobState.SUCCEEDED), spent=2.5),
    chain(2, attempt(1, JobState.FAILED), attempt(2, JobState.FAILED), spent=4.0),
)


def test_every_chain_is_one_story_with_its_outcome() -> None:
    told = {story.name: story.outcome for story in stories(LEDGER, CHAINS)}
    assert told == {
        "job-1": StoryOutcome.RECOVERED,
        "job-2": StoryOutcome.GIVEN_UP,
        "job-3": StoryOutcome.ALERTED,
        "job-4": StoryOutcome.OPEN,
        "job-5": StoryOutcome.RECORDED,
    }


def test_the_figures_add_up() -> None:
    total = sums(stories(LEDGER, CHAINS, first_run_usd=lambda one: (one.run_seconds or 0) / 3600))
    # two were resubmitted and ended; bad input is nothing that a rerun fixes
    assert (total.recovered, total.could_recover, total.recovery_rate) == (1, 2, 0.5)
    assert total.wrong_share == 2 / 3
    # four first runs of 1 h, 1 h, 0.5 h and 1 h, and two attempts of 1 h that failed
    assert total.lost_seconds == 5.5 * 3600
    assert total.wasted_usd == 4.0 + 3.5
    assert (total.saved_seconds, total.saved_usd) == (1800.0, 0.5)
    assert (total.spent_usd, total.estimated_usd) == (6.5, 6.0)
    assert (total.needing_people, total.in_progress, total.chains) == (2, 1, 5)
    assert total.only_recorded == 1
    assert total.median_recovery_seconds == 7200.0


def test_what_no_rerun_fixes_is_spared_and_cannot_recover_alike() -> None:
    """Slow code is fixed by no rerun either, so it counts as saved just where it is no miss."""
    slow = incident(3, conclusion=Conclusion.ALERTED, verdict="slow_code", run_seconds=1800.0)
    total = sums(stories([slow], []))
    assert (total.could_recover, total.saved_seconds) == (0, 1800.0)


def test_money_of_a_mended_chain_is_lost_only_for_the_attempts_that_failed() -> None:
    mended = chain(
        1, attempt(1, JobState.FAILED, usd=1), attempt(2, JobState.SUCCEEDED, usd=3), spent=8
    )
    [story] = stories(RECOVERED, [mended])
    assert story.wasted_usd == 2.0


def test_nothing_to_divide_is_none_yet() -> None:
    total = sums(stories([SPARED], []))
    assert total.recovery_rate is None
    assert total.wrong_share is None
    assert total.saved_usd is None


def test_a_story_tells_what_happened_in_order() -> None:
    approved = Approval(
        "a", "d", NOON + HOUR, ApprovalChoice.APPROVED, "ana@example.com", NOON + HOUR / 2
    )
    first, last = RECOVERED
    [story] = stories([last, replace(first, approval=approved)], CHAINS[:1])
    assert [(event.at - NOON, event.what) for event in story.events] == [
        (timedelta(0), "the job failed"),
        (timedelta(minutes=1), "the end of the job became known"),
        (HOUR / 2, "approved by ana@example.com"),
        (HOUR, "attempt 1 was created on n1-standard-16"),
        (HOUR * 2, "attempt 1 succeeded"),
    ]


def test_the_end_of_each_attempt_is_told_by_what_became_of_it() -> None:
    """The ledger keeps an attempt's end with the attempt; its incident began when it was made."""
    made = chain(2, attempt(1, JobState.FAILED), attempt(2, JobState.CANCELLED))
    opened = incident(92, root="us-central1/customJobs/2", attempt=2, ended=None)
    [story] = stories([GIVEN_UP[0], opened], [made])
    assert [event.what for event in story.events] == [
        "the job failed",
        "the end of the job became known",
        "attempt 1 was created on n1-standard-16",
        "attempt 1 failed",
        "attempt 2 was created on n1-standard-16",
        "attempt 2 was cancelled",
    ]


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        ({"conclusion": Conclusion.GIVEN_UP}, StoryOutcome.GIVEN_UP),
        ({"stage": Stage.UNSETTLED}, StoryOutcome.OPEN),
    ],
    ids=["given-up", "asked-again"],
)
def test_an_attempt_that_no_machine_came_for_neither_ends_a_chain_nor_was_wrong(
    first: dict[str, object], outcome: StoryOutcome
) -> None:
    """Its own incident ends as ignored; what it was made for is asked again and decides."""
    waited = replace(attempt(1, JobState.CANCELLED), abandoned=True)
    asked = incident(2, **first)
    over = incident(91, root=asked.root, attempt=1, conclusion=Conclusion.IGNORED)
    [story] = stories([asked, over], [chain(2, waited)])
    assert story.outcome is outcome
    assert story.events[-1].what == ("attempt 1 was cancelled, having waited for a machine in vain")
    total = sums([story])
    assert (total.finished_attempts, total.wrong_share) == (0, None)


def test_nothing_saved_is_no_price_that_is_not_known() -> None:
    made = Page(render(stories(RECOVERED, CHAINS[:1]), title="acme", made=NOON))
    told = " ".join(" ".join(made.words).split())
    assert "Saved none yet" in told
    assert "price not known" not in told


# --- who, what, and what waits ------------------------------------------------------------------

ASKED = incident(
    6,
    stage=Stage.APPROVAL,
    ended=NOON - HOUR,
    changes=(BIGGER,),
    estimated_usd=3.04,
    approval=Approval("7f3k-9m2q", "d", NOON + HOUR * 9, reason="custom is not in rerun_safe"),
    team="genomics",
    account="train@acme.iam.gserviceaccount.com",
    image="europe-docker.pkg.dev/acme/train:7",
    accelerators=4,
)


def test_what_waits_for_a_yes_stands_first_until_it_expires() -> None:
    first, *_ = stories((*LEDGER, ASKED), CHAINS, now=NOON)
    assert (first.name, first.outcome) == ("job-6", StoryOutcome.WAITING)
    assert first.question is not None
    assert first.question.question == "resubmit on n1-standard-16?"
    assert sums([first]).waiting == 1
    assert sums([first]).could_recover == 0  # it has not ended
    late = stories((*LEDGER, ASKED), CHAINS, now=NOON + HOUR * 9)
    assert [one.question for one in late] == [None] * 6


def test_the_page_begins_with_a_badge_and_the_command_for_each_question() -> None:
    told = stories((*LEDGER, ASKED), CHAINS, now=NOON)
    made = render(
        told,
        title="acme",
        made=NOON,
        days=7,
        command=lambda words, region: f"LEDGER {region} {words}",
    )
    read = " ".join(" ".join(Page(made).words).split())
    assert "acme 1 waits for your yes Written 2026-11-23 12:00 UTC" in read
    assert "of the last 7 days and what is open" in read
    waiting = read.partition("Waits for your yes ")[2].partition(" In figures")[0]
    assert waiting == (
        "job-6 failed (CPUs full): resubmit on n1-standard-16? For about $3.04, until "
        "2026-11-23 21:00 UTC . Asked because custom is not in rerun_safe. "
        "LEDGER us-central1 approve 7f3k-9m2q"
    )


def test_failures_are_gathered_by_team_account_model_image_and_kind() -> None:
    told = stories((*LEDGER, ASKED), CHAINS, now=NOON)
    read = " ".join(" ".join(Page(render(told, title="acme", made=NOON)).words).split())
    counts = "mostly CPUs full 1 0 1.0 h 4.0 $0.00 $0.00"
    for name in (ASKED.team, ASKED.account, ASKED.image):
        assert f"{name} {counts}" in read
    assert "Kind of job Failures Recovered Lost GPU-hours Cost Spent custom" in read


@pytest.mark.parametrize(
    ("model", "title", "words"),
    [
        ("projects/1/locations/us-central1/models/6021", "genomics", "genomics (6021)"),
        ("projects/1/locations/us-central1/models/6021", "", "model 6021, whose name is not known"),
        ("publishers/google/models/gemini-2.5-flash", "", "gemini-2.5-flash"),
        ("", "", ""),
    ],
    ids=["titled", "a-number", "publisher", "none"],
)
def test_a_model_is_never_a_bare_number(model: str, title: str, words: str) -> None:
    [story] = stories([incident(1, model=model, model_title=title)], [])
    assert story.model_words == words


def test_gpu_hours_are_those_of_the_runs_that_failed() -> None:
    """An attempt has an incident of its own, which knows its accelerators; earlier ledgers do not."""
    first = replace(GIVEN_UP[0], accelerators=2)
    second = replace(GIVEN_UP[1], accelerators=8)  # of the job 92
    [story] = stories([first, second], CHAINS[1:])
    assert story.failed_gpu_seconds == (2 + 2 + 8) * 3600  # 91 kept none, so as the first run
    assert sums(stories(GIVEN_UP, CHAINS[1:])).lost_gpu_seconds is None


def test_the_same_is_told_as_data() -> None:
    told = stories((*LEDGER, replace(ASKED, display_name="=cmd()")), CHAINS, now=NOON)
    body = as_json(told, title="acme", made=NOON, days=None)
    assert [one["id"] for one in body["waiting"]] == ["7f3k-9m2q"]
    figures = body["figures"]
    assert (figures["recovery_rate"], figures["recovered"], figures["could_recover"]) == (0.5, 1, 2)
    assert (figures["lost_hours"], figures["wasted_usd"], figures["lost_gpu_hours"]) == (
        6.5,
        4.0,
        4.0,
    )
    assert not [name for name in figures if "seconds" in name]
    [first, *others] = csv.DictReader(io.StringIO(as_csv(told)))
    assert (first["name"], first["outcome"], first["team"]) == (
        "'=cmd()",
        "waits for a yes",
        "genomics",
    )
    assert [one["name"] for one in others] == [one["name"] for one in body["incidents"][1:]]
    assert set(body["incidents"][0]) - set(first) == {"evidence", "attempts"}


def test_no_secret_leaves_as_data() -> None:
    secret = "hf_" + "aB3" * 12
    [story] = stories([incident(1, reason=f"token={secret}", display_name=secret)], [])
    assert secret not in as_csv([story])
    assert secret not in json.dumps(as_json([story], title=secret, made=NOON, days=1))


# --- the page ----------------------------------------------------------------------------------

VOID = {"meta", "input"}


class Page(HTMLParser):
    """The page as an assistive technology would walk it; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.text = text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag in tags]


TOLD = tuple(
    replace(
        story,
        model="projects/acme/locations/us-central1/models/genomics@3",
        evidence=({"source": "metric", "where": "training/cpu", "says": "CPUs 97% full"},),
        curves=(Curve("CPU", tuple((NOON + HOUR * n, n / 4) for n in range(5))),),
    )
    for story in stories(LEDGER, CHAINS)
)


MENDED = TOLD[-1]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(TOLD, title="Remediation in acme", made=NOON + HOUR * 5))


def test_the_page_asks_nothing_of_the_network(page: Page) -> None:
    assert not page.all("link", "img", "iframe", "object", "embed", "base")
    assert all("src" not in attrs and "action" not in attrs for _, attrs in page.tags)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", page.text)
    [policy] = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ")


def test_the_pages_policy_allows_its_own_script_and_no_other(page: Page) -> None:
    [script] = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.text
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_everything_has_a_name_that_can_be_read_out(page: Page) -> None:
    assert [attrs["lang"] for attrs in page.all("html")] == ["en"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["for"] for attrs in page.all("label")} == {"words", "cause", "outcome"}
    assert {a["id"] for a in page.all("input", "select")} == {"words", "cause", "outcome"}
    assert all(attrs["aria-labelledby"] in ids for attrs in page.all("section"))
    for attrs in page.all("svg"):
        assert attrs.get("aria-hidden") == "true" or (
            attrs["role"] == "img" and attrs["aria-label"]
        )
    assert len(page.all("caption")) == len(page.all("table")) > 0
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    assert Counter(tag for tag, _ in page.tags)["h1"] == 1
    assert len(page.all("main")) == 1


def test_every_incident_can_be_opened_found_and_filtered(page: Page) -> None:
    found = [a for a in page.all("details") if a.get("class") == "incident"]
    assert [(a["data-cause"], a["data-outcome"]) for a in found] == [
        (story.verdict, story.outcome.value) for story in TOLD
    ]
    options = {attrs["value"] for attrs in page.all("option")}
    assert options == {"", *(s.verdict for s in TOLD), *(s.outcome.value for s in TOLD)}


def test_the_figures_are_read_as_written_here(page: Page) -> None:
    told = " ".join(" ".join(page.words).split())
    for words in (
        "Remediation in acme",
        "Written 2026-11-23 17:00 UTC ; failures since 2026-11-23 12:00 UTC .",
        "Recovered 50% 1 of 2 ended failures that a rerun may fix; 1 of 2 resubmitted chains",
        "Wrong actions 67% 2 of 3 resubmissions did not succeed",
        "Lost 5.5 h, $4.00",
        "Saved 0.5 h, price not known",
        "Spent on resubmissions $6.50 estimated beforehand: $6.00",
        "Time to recovery 2.0 h median, from the failure to the success",
        "Left to people 2 of 5 chains, given up or told",
        "Failures 5 1 in progress, 1 recorded only",
        "CPUs 97% full [metric, training/cpu]",
        "CPU: 50% on average, 100% at most",
        "Policy starved-of-cpu Lost",
    ):
        assert words in told


def test_what_was_only_recorded_is_not_said_to_lack_evidence() -> None:
    unseen = incident(5, conclusion=Conclusion.TOO_OLD, verdict="", confidence=0.0)
    told = " ".join(Page(render(stories([unseen], []), title="acme", made=NOON)).words)
    assert "not looked into: it was known too late, or was nobody's to be told about" in told
    assert "the evidence does not say" not in told


def test_a_job_is_linked_to_its_console_page(page: Page) -> None:
    links = [attrs["href"] for attrs in page.all("a")]
    console = "https://console.cloud.google.com/agent-platform/locations/us-central1/training"
    assert f"{console}/1?project=acme" in links
    assert f"{console}/91?project=acme" in links


def test_a_model_goes_by_its_last_part_in_the_table_and_whole_in_its_incidents(page: Page) -> None:
    told = " ".join(" ".join(page.words).split())
    assert "genomics@3 mostly CPUs full 4 1 5.5 h not known $4.00 $6.50" in told
    assert told.count("projects/acme/locations/us-central1/models/genomics@3") == 5


def test_a_ledger_without_history_makes_a_page_too() -> None:
    told = " ".join(Page(render((), title="acme", made=NOON)).words)
    assert "none yet" in told
    assert "Nothing yet." in told


HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x1b[31m password=hunter2hunter2'
)


def test_text_from_outside_stays_text_and_loses_its_secrets() -> None:
    wild = Story(
        root=HOSTILE,
        job=HOSTILE,
        name=HOSTILE,
        outcome=StoryOutcome.GIVEN_UP,
        failed_at=NOON,
        verdict=HOSTILE,
        reason=HOSTILE,
        model=HOSTILE,
        machine=HOSTILE,
        refused_by=(HOSTILE,),
        evidence=({"source": HOSTILE, "where": HOSTILE, "says": HOSTILE},),
        attempts=(
            replace(
                attempt(1, JobState.FAILED),
                name=HOSTILE,
                policy=HOSTILE,
                changes=(Change(HOSTILE, HOSTILE, HOSTILE),),
            ),
        ),
        curves=(Curve(HOSTILE, ((NOON, 7.0), (NOON, -1.0))),),
    )
    made = Page(render([wild], title=HOSTILE, made=NOON))
    assert made.text.count("<script") == 1
    assert not made.all("img")
    assert all("onerror" not in attrs for _, attrs in made.tags)
    assert not {"\u202e", "\x1b"} & set(made.text)
    assert "hunter2" not in made.text


_TEXTS = [one.name for one in fields(Story) if one.type is str and one.name != "root"]


@pytest.mark.parametrize("field", [*_TEXTS, "command", "title"])
def test_a_name_that_closes_tags_and_quotes_is_text_wherever_it_stands(field: str) -> None:
    """The page with it has the tags and attributes of the page with plain words in its place."""

    def shape(text: str) -> list[tuple[str, list[str]]]:
        told = stories((*LEDGER, ASKED), CHAINS, now=NOON)
        if field in _TEXTS:
            told = tuple(replace(story, **{field: text}) for story in told)
        made = render(
            told,
            title=text if field == "title" else "acme",
            made=NOON,
            command=(lambda _, __: text) if field == "command" else None,
        )
        page = Page(made)
        seen = "".join(page.words) + " ".join(v for _, attrs in page.tags for v in attrs.values())
        assert text in seen
        return [(tag, sorted(attrs)) for tag, attrs in page.tags]

    assert shape(CLOSES_TAGS_AND_QUOTES) == shape("plain words")


def test_the_templates_put_in_two_of_our_own_files_unescaped_and_nothing_else() -> None:
    """Style sheet and script; a text of a job that went in so would be markup."""
    package = Path(__file__).resolve().parents[1] / "remediator"
    raw = {
        (path.name, found)
        for path in package.rglob("*.jinja")
        for found in re.findall(r"\w+ ?\| ?safe|autoescape|Markup", path.read_text())
    }
    assert raw == {("report.html.jinja", "style|safe"), ("report.html.jinja", "script|safe")}


def test_a_long_history_is_counted_whole_and_drawn_in_part() -> None:
    many = [replace(MENDED, failed_at=NOON - HOUR * 24 * n, root=str(n)) for n in range(2500)]
    made = render(many, title="acme", made=NOON)
    assert made.count('<details class="incident"') == 2000
    assert "500 older incidents counted above, not drawn here." in made
    assert made.count("<rect") < 100


@pytest.mark.parametrize("days", [1, 30, 61, 400, 3000, 9000])
def test_however_long_the_history_few_bars_are_drawn(days: int) -> None:
    told = [
        replace(MENDED, failed_at=NOON),
        replace(MENDED, failed_at=NOON - timedelta(days=days)),
    ]
    made = render(told, title="acme", made=NOON)
    bars = re.search(r"<tbody>(.*?)</tbody>", made, re.DOTALL)
    assert bars is not None
    assert 1 <= bars[1].count("<tr>") <= 61


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_chromium_runs_the_script_under_the_pages_own_policy(tmp_path: Path) -> None:
    """The script shows the filter and counts; a policy that forbade it would leave both alone."""
    file = tmp_path / "report.html"
    file.write_text(render(TOLD, title="acme", made=NOON))
    dump = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "5 of 5 shown" in dump
    assert '<form id="filters" role="search" aria-label="Incidents">' in dump


# --- running jobs ---------------------------------------------------------------------------------


def test_what_running_jobs_cost_while_they_stood_still_is_on_the_page_and_in_the_data() -> None:
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    hung = WatchedJob(
        key="us-central1/customJobs/7",
        job="projects/1/locations/us-central1/customJobs/7",
        first_seen=now,
        due=now,
        display_name="<b>pretrain</b>",
        alerted="stalled",
        since=now - timedelta(hours=2),
        spell_usd=7.34,
        usd=2.0,
        spells=1,
    )
    ended = replace(hung, key="k", display_name="old", alerted="", since=None, usd=1.0)
    healthy = replace(hung, key="h", alerted="", usd=0.0, spells=0, display_name="fine")
    watched = (ended, healthy, hung)
    page = render((), title="t", made=now, watched=watched)
    assert "<b>pretrain" not in page
    read = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Stood still $10.34 2 running jobs in trouble, 1 at present" in read
    assert "stood still since 2026-11-28 10:00 UTC $9.34" in read
    assert "old it went on, or has ended $1.00" in read
    assert "fine" not in read
    data = as_json((), title="t", made=now, days=None, watched=watched)["stood_still"]
    assert data["usd"] == 10.34
    assert [one["spells"] for one in data["jobs"]] == [2, 1]
    assert data["jobs"][0]["since"] == "2026-11-28T10:00:00Z"
    assert "no running job was found in trouble" in render((), title="t", made=now)
