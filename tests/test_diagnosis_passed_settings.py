"""A library refuses what the job passed to it: by whether that was a setting, a credential, a choice, or data.

Kinds of the fifth blind set (`tests/data/lab`), in other software; recalled from its messages.
"""

from __future__ import annotations

import pytest

from remediator.diagnosis.passed_settings import passes_a_setting
from remediator.domain import Cause
from tests.test_diagnosis_last_words import verdict


def traced(call: str, below: str, ended: str) -> str:
    """A traceback of the user's own call, one library frame below it, and what that raised."""
    file, _, function = below.partition(":")
    return (
        "Traceback (most recent call last):\n"
        '  File "/app/job.py", line 9, in <module>\n'
        f"    {call}\n"
        f'  File "/opt/venv/lib/python3.11/site-packages/{file}", line 80, in {function}\n'
        "    raise problem\n"
        f"{ended}"
    )


SETTINGS = (
    traced('ServiceBusClient.from_connection_string(os.environ["SB"])', "azure/servicebus/_base.py:from_connection_string", "ValueError: Connection string is either blank or malformed."),
    traced('croniter(os.environ["WHEN"], base)', "croniter/croniter.py:__init__", "croniter.croniter.CroniterBadCronError: Exactly 5 or 6 columns has to be specified for iterator expression."),
    traced('raven = Client(dsn=os.environ["TRACKER"])', "raven/conf/remote.py:from_string", "raven.exceptions.InvalidDsn: Unsupported scheme: ''"),
    traced("backend = Backend(args.backend)", "acme/store/base.py:__init__", "KeyError: 'redys'"),
    traced("model = build(name)", "acme/models/registry.py:build", 'KeyError: "Unknown model resnet5. Available models are: resnet18, resnet34, resnet50"'),
    traced("expression = jsonpath.parse(rule)", "jsonpath_ng/parser.py:parse", "jsonpath_ng.exceptions.JSONPathSyntaxError: Invalid jsonpath expression: Parse error at 1:8"),
    traced("storage = Client.from_service_account_json(path)", "google/auth/_service_account_info.py:from_filename", "FileNotFoundError: [Errno 2] No such file or directory: '/secrets/robot.json'"),
    "Exception: Missing/incomplete configuration file: /home/user/.ecmwfapirc",
    "regex parse error:\n    (?P<loss\n     ^\nerror: unclosed group name",
    "mail: account work not found in /app/mailrc",
)  # fmt: skip
DATA = (
    traced("table = read_table(args.table)", "acme/tables/reader.py:read_table", "ValueError: Truncated header in /data/sales.dbf"),
    traced('frame = pd.read_csv(os.environ["PRICES"])', "pandas/io/parsers/readers.py:read_csv", "pandas.errors.EmptyDataError: No columns to parse from file"),
    traced("model.fit(x, epochs=args.epochs)", "sklearn/utils/validation.py:fit", "ValueError: Input X contains NaN."),
    traced("cohort = Cohort(args.data_path)", "acme/cohort.py:__init__", "ValueError: row 17 has 4 fields, expected 5"),
    traced("table = read_table(path)", "acme/tables/reader.py:read_table", "FileNotFoundError: [Errno 2] No such file or directory: 'credentials_history.parquet'"),
    traced("table = read_table(path)", "acme/tables/reader.py:read_table", "FileNotFoundError: [Errno 2] No such file or directory: 'service-accounts-2025.csv'"),
    "[bcf_reader.cpp:71 BCFReader] Not a VCF/BCF file: /data/calls.vcf",
    "./lib/codec/decode.cc:2123: invalid signature\nFailed to decode image",
    "Invalid xlsx file: /data/prices.xlsx\nException ignored in: <function Reader.__del__ at 0x7f13>\nTraceback (most recent call last):\n  File \"/usr/bin/reader\", line 213, in __del__\nAttributeError: 'Reader' object has no attribute 'handle'",
)  # fmt: skip
OTHERS = (
    (traced("client.chat_postMessage(text=text)", "slack_sdk/web/base_client.py:validate", "slack_sdk.errors.SlackApiError: The request to the Slack API failed.\nThe server responded with: {'ok': False, 'error': 'token_expired'}"), Cause.PERMISSION),
    ("/usr/lib/ruby/sequel/adapters/sqlite.rb:218:in `execute': SQLite3::ReadOnlyException: attempt to write a readonly database (Sequel::DatabaseError)\n\tfrom /app/store.rb:3:in `<main>'", Cause.PERMISSION),
    (traced("transport.open()", "thrift/transport/TSocket.py:open", "thrift.transport.TTransport.TTransportException: Could not connect to any of [('10.4.0.9', 9090)]"), Cause.TRANSIENT_BACKEND),
    (traced("uploader.upload()", "tusclient/request.py:upload", "tusclient.exceptions.TusCommunicationError: Attempt to retrieve create file url with status 502"), Cause.TRANSIENT_BACKEND),
    (";; WARNING: response timeout for 10.0.0.9@53(UDP)\n;; ERROR: failed to query server 10.0.0.9@53(UDP)", Cause.TRANSIENT_BACKEND),
    ("fft: cannot allocate 2048 MB for a grid of 512^3", Cause.MEMORY_PRESSURE),
    ("Error: could not allocate 16 GiB for the hash table", Cause.MEMORY_PRESSURE),
    ("ExecaError: Command was killed with SIGKILL (Forced termination): python3 child.py\n    at getFinalError (/app/node_modules/execa/lib/return/final-error.js:6:9)", Cause.MEMORY_PRESSURE),
    ("17 +++ killed by SIGKILL +++", Cause.MEMORY_PRESSURE),
    ("Error: No object with number 1.\nScript line 3 not performed or completed:\n\u00ab selectObject: sound \u00bb", Cause.USER_CODE_ERROR),
    ("Error: non-conformable arrays\nExecution halted", Cause.USER_CODE_ERROR),
)  # fmt: skip


@pytest.mark.parametrize("text", SETTINGS)
def test_what_a_library_refuses_of_the_settings_is_the_configuration(text: str) -> None:
    assert verdict(text) is Cause.INVALID_CONFIG


@pytest.mark.parametrize("text", DATA)
def test_what_a_reader_refuses_of_its_file_is_input(text: str) -> None:
    assert verdict(text) is Cause.BAD_INPUT


@pytest.mark.parametrize(("text", "cause"), OTHERS)
def test_what_else_a_program_says_last(text: str, cause: Cause) -> None:
    assert verdict(text) is cause


@pytest.mark.parametrize(
    ("below", "call", "passed"),
    [
        ("cron/trigger.from_crontab", 'CronTrigger.from_crontab(os.environ["SCHEDULE"])', True),
        ("core/db.__init__", 'Database(os.getenv("DATABASE_URL"))', True),
        ("core/db.__init__", "Database(url=settings.url)", True),
        ("core/db.__init__", 'Database(cfg["url"], pool=3)', True),
        ("core/db.connect", "Database(args.url)", False),  # another function raised it
        ("tables/io.load", "load(args.input)", False),  # a place of data
        ("tables/io.load", "load(rows, args.mode)", False),  # no first argument
        ("tables/io.load", "load(rows)", False),
        ("", "int(args.count)", False),
    ],
)
def test_a_setting_is_passed_as_the_first_argument(below: str, call: str, passed: bool) -> None:
    assert passes_a_setting(below, call) is passed
