"""Failures that a platform team's users meet: the verdict, the next step, and advice that names the thing.

`tests/data/platform_failures.jsonl`: 44 failures of frameworks, model servers, clients of Google Cloud and of the service
itself, written from memory of their messages before the product was asked (2026-12-01). `truth`: the acceptable causes, the
best first; `step`: what may be planned where the shipped policies enforce; `names`: what the advice must name; `quote`: what
the alert must show. What the product said the first time stands in bench/diagnosis/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Cause, History
from remediator.planning import plan
from remediator.policy import Policies, load
from remediator.workflow.preview import preview
from tests.case_parts import custom, lines

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).parent / "data" / "platform_failures.jsonl"


def failures() -> Iterator[Any]:
    for line in DATA.read_text(encoding="utf-8").splitlines():
        failure = json.loads(line)
        yield pytest.param(failure, id=failure["id"])


@pytest.fixture(scope="module")
def policies() -> Policies:
    text = (ROOT / "policies.yaml").read_text(encoding="utf-8")
    text = text.replace("mode: observe", "mode: enforce")
    text = text.replace("[batch_prediction]\n", "[batch_prediction, custom]\n", 1)
    loaded = load(text, "policies.yaml").policies
    assert loaded is not None
    return loaded


@pytest.mark.parametrize("failure", [*failures()])
def test_a_platform_teams_failure(failure: dict[str, Any], policies: Policies) -> None:
    case, catalog = Case.parse(failure["case"]), Catalog.built_in()
    found = diagnose(case)
    assert found.verdict.value in failure["truth"]
    assert plan(case, found, policies, History(), catalog).action.value in failure["step"]
    assert [name for name in failure["names"] if name not in found.causes[0].advice] == []
    alert = preview(case, policies, catalog)
    assert alert is not None
    assert failure["quote"] in msgspec.json.encode(alert.message).decode().replace('\\"', '"')


def ended_with(text: str, *before: str) -> dict:
    """A custom job that exited with 1, its last lines these."""
    rows = [*before, *text.split("\n")]
    entries = lines(*((880 + index / 1000, row) for index, row in enumerate(rows)))
    for entry in entries[len(before) :]:
        entry["severity"] = "ERROR"
    said = "The replica workerpool0-0 exited with a non-zero status of 1."
    return {**custom(900, said), "logEntries": entries}


READERS = {
    "julia-column": "ERROR: LoadError: ArgumentError: column name :customer_id not found in the data frame; existing most similar names are: :cust_id\nStacktrace:\n [1] lookupname\n   @ ~/.julia/packages/DataFrames/58MUJ/src/other/index.jl:413 [inlined]\n [2] top-level scope\n   @ /app/prep.jl:14\nin expression starting at /app/prep.jl:14",
    "julia-parse": 'ERROR: LoadError: ArgumentError: cannot parse "n/a" as Float64\nStacktrace:\n [1] parse(::Type{Float64}, s::String)\n   @ Base ./parse.jl:386\n [2] top-level scope\n   @ /app/prep.jl:22\nin expression starting at /app/prep.jl:22',
    "julia-json": "ERROR: LoadError: Unexpected end of input\nLine: 0\nStacktrace:\n [1] error(s::String)\n   @ Base ./error.jl:35",
    "julia-date": "ERROR: LoadError: ArgumentError: Unable to parse date time. Expected directive DatePart(mm) at char 4\nStacktrace:\n [1] parse\n   @ /usr/local/julia/share/julia/stdlib/v1.10/Dates/src/parse.jl:300 [inlined]",
    "perl-csv": "# CSV_XS ERROR: 2034 - EIF - Loose unescaped quote @ rec 4127 pos 12 field 3\nparse failed at /app/load.pl line 44, <$in> line 4127.",
    "go-time": 'panic: parsing time "2026-13-01": month out of range\n\ngoroutine 1 [running]:\nmain.must(...)\n\t/app/main.go:19\nmain.main()\n\t/app/main.go:71 +0x85\nexit status 2',
    "java-csv": 'Exception in thread "main" java.lang.IllegalArgumentException: Mapping for customer_id not found, expected one of [cust_id, amount, ts]\n\tat org.apache.commons.csv.CSVRecord.get(CSVRecord.java:118)\n\tat com.acme.prep.Loader.readRow(Loader.java:60)',
    "r-inner": 'Error in `mutate()`:\n\u2139 In argument: `day = ymd(when)`.\nCaused by error in `parse_date()`:\n! 14 dates could not be parsed: "31/02/2026"\nBacktrace:\n 1. orders |> mutate(day = ymd(when))\nExecution halted',
    "spark-cast": "Traceback (most recent call last):\n  File \"/app/features.py\", line 44, in <module>\n    df.count()\npyspark.errors.exceptions.captured.NumberFormatException: [CAST_INVALID_INPUT] The value 'n/a' of the type \"STRING\" cannot be cast to \"INT\" because it is malformed.",
}  # fmt: skip


@pytest.mark.parametrize("text", READERS.values(), ids=READERS)
def test_what_a_reader_of_any_language_raises_is_the_datas_fault(text: str) -> None:
    assert diagnose(Case.parse(ended_with(text, "14000 rows read"))).verdict is Cause.BAD_INPUT


SOURCE = {
    "julia": "ERROR: LoadError: UndefVarError: `n_chains` not defined\nStacktrace:\n [1] top-level scope\n   @ /app/prep.jl:14\nin expression starting at /app/prep.jl:14",
    "go": "panic: assignment to entry in nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:71 +0x85\nexit status 2",
    "perl": "Can't locate object method \"colums\" via package \"Table\" at /app/load.pl line 44, <$in> line 4127.",
    "spark": 'Traceback (most recent call last):\n  File "/app/features.py", line 44, in <module>\n    df.count()\npyspark.errors.exceptions.captured.ArithmeticException: [DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0.',
    "rlang": "Error in `step()`:\n! Step `normalise` did not finish.\nCaused by error in `normalise()`:\n! unused argument (center = 0)\nExecution halted",
}  # fmt: skip


@pytest.mark.parametrize("text", SOURCE.values(), ids=SOURCE)
def test_what_a_language_says_of_the_source_stays_the_codes_fault(text: str) -> None:
    assert diagnose(Case.parse(ended_with(text))).verdict is Cause.USER_CODE_ERROR


def test_of_the_tidyverses_errors_the_inner_one_is_quoted() -> None:
    found = diagnose(Case.parse(ended_with(READERS["r-inner"])))
    assert "14 dates could not be parsed" in found.causes[0].evidence[0].says


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("rate server answered 503 five times in a row, giving up", Cause.TRANSIENT_BACKEND),
        ("the catalogue service said 502 each of the four times I asked", Cause.TRANSIENT_BACKEND),
        ("still 503 after 6 attempts, stopping", Cause.TRANSIENT_BACKEND),
        ("exporter: the API keeps answering 500 (7 tries), I stop here", Cause.TRANSIENT_BACKEND),
        ("the geocoder answered 429 nine times in a row, I stop here", Cause.QUOTA),
        ("feature store said 403 on every page, nothing fetched", Cause.PERMISSION),
        ("the archive said 404 for 2026-11-29.csv.gz, nothing to score", Cause.BAD_INPUT),
    ],
)
def test_a_status_in_a_programs_own_words_is_what_its_service_answered(
    text: str, cause: Cause
) -> None:
    before = ("reading /gcs/acme/in/week48.csv", "14000 rows read")
    assert diagnose(Case.parse(ended_with(text, *before))).verdict is cause


def test_the_files_that_healthy_rows_name_tell_of_no_failure() -> None:
    text = "rule server said no four times, import failed"
    before = ("reading /gcs/acme/in/week48.csv", "14000 rows read")
    assert diagnose(Case.parse(ended_with(text, *before))).verdict is not Cause.BAD_INPUT


def test_no_default_credentials_on_vertex_may_be_a_metadata_server_that_failed() -> None:
    text = "google.auth.exceptions.DefaultCredentialsError: Your default credentials were not found. To set up Application Default Credentials, see https://cloud.google.com/docs/authentication/external/set-up-adc for more information."
    found = diagnose(Case.parse(ended_with(text)))
    assert [one.cause for one in found.causes[:2]] == [Cause.PERMISSION, Cause.TRANSIENT_BACKEND]
    assert found.causes[0].advice.startswith("Run it again once")
    assert found.confidence < 0.7
