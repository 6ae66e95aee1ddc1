"""Last words of jobs that exited with 1: a setting or a program that is wrong, a file that is, another service.

Recalled from the software's messages, the launchers' printed by coreutils 9.1, bash 5.2 and GNU time 1.9.
"""

from __future__ import annotations

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Cause

SETTINGS = (
    "ERROR: /etc/prometheus/prometheus.yml: yaml: line 7: did not find expected key",
    "[error] configuration file /etc/app.toml: line 4: expected '=' after a key",
    "/usr/bin/env: \u2018python3.9\u2019: No such file or directory",
    "./run.sh: ./tool: /bin/zsh: bad interpreter: No such file or directory",
    "bash: ./run.sh: cannot execute: required file not found",
    "bash: exec: gatk: not found",
    "sh: 1: java: not found",
    "xargs: pigz: No such file or directory",
    "nohup: failed to run command 'julia': No such file or directory",
    "timeout: failed to run command \u2018spades.py\u2019: No such file or directory",
    "nice: \u2018raxml\u2019: No such file or directory",
    "/usr/bin/time: cannot run blastx: No such file or directory",
    "java.lang.IllegalArgumentException: Missing required option: --inputTable",
    'Exception in thread "main" com.beust.jcommander.ParameterException: The following option is required: [--output]',
    "run.rb:5:in `<main>': missing argument: --file (OptionParser::MissingArgument)",
    "celery.exceptions.ImproperlyConfigured: \nMissing connection string! Do you have the CELERY_RESULT_BACKEND setting set to a real value?",
    "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
    "Error: The module '/app/node_modules/re2/build/Release/re2.node'\nwas compiled against a different Node.js version using\nNODE_MODULE_VERSION 93. This version of Node.js requires\nNODE_MODULE_VERSION 115.",
    "Config key 'model.name' not found",
    "Unknown model architecture: vit_hugee (see --list-models)",
)
DATA = (
    "cat: input.txt: No such file or directory",
    "Error: could not parse option chain file /data/options.csv: line 3: missing column 'strike'",
    "Error: /data/settings_2020.csv: line 3: expected 5 fields, found 4",
    "env.csv: No such file or directory",
    "ERROR: missing required column 'label' in /data/train.csv",
    "ERROR: parameter file /data/params_042.nc is truncated",
    "Error: sample s3 has a missing flag field in column 6",
    "Error: could not find a column named 'price' in /data/train.csv",
    "cannot open input file 'abc.hdr': No such file or directory",
)
RAISED = """Traceback (most recent call last):
  File "/app/job.py", line 12, in <module>
    main()
  File "/app/job.py", line 8, in main
    x = fetch()
"""
SERVICES = (
    RAISED + "pysolr.SolrError: Solr responded with an error (HTTP 503): [Reason: None]",
    RAISED + "SPARQLWrapper.SPARQLExceptions.EndPointInternalError: EndPointInternalError: The endpoint returned the HTTP status code 500.",
    RAISED + "ollama._types.ResponseError: llama runner process no longer running (status code: 500)",
    RAISED + "RuntimeError: the feature store answered with status 502",
    "Error: HTTP error 503.\nExecution halted",
    "curl: (18) transfer closed with 1048576 bytes remaining to read",
    "fatal: unable to access 'https://git.example/repo/': The requested URL returned error: 502",
    "mysqldump: Got error: 2013: Lost connection to server during query when dumping table `t` at row: 12",
)  # fmt: skip
OF_THE_JOB = (
    (RAISED + "AssertionError: expected status code 200, got 503", Cause.USER_CODE_ERROR),
    (RAISED + "pysolr.SolrError: Solr responded with an error (HTTP 401): [Reason: None]", Cause.PERMISSION),
    (RAISED + "TypeError: unsupported status code: 503", Cause.USER_CODE_ERROR),
)  # fmt: skip
HOSTS = (
    "fatal: could not resolve host: data.partner.example",
    "error: cannot find server ldap01",
)


def verdict(text: str) -> Cause:
    lines = ["starting", *text.split("\n")]
    body = {
        "job": {
            "name": "projects/1/locations/us-central1/customJobs/1",
            "state": "JOB_STATE_FAILED",
            "createTime": "2026-11-30T10:00:00Z",
            "startTime": "2026-11-30T10:02:00Z",
            "endTime": "2026-11-30T10:32:00Z",
            "error": {
                "code": 3,
                "message": "The replica workerpool0-0 exited with a non-zero status of 1.",
            },
        },
        "logEntries": [
            {
                "severity": "ERROR",
                "insertId": f"{number}",
                "timestamp": "2026-11-30T10:31:59Z",
                "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0"}},
                "textPayload": line,
            }
            for number, line in enumerate(lines)
        ],
    }
    return diagnose(Case.parse(body)).verdict


@pytest.mark.parametrize("text", SETTINGS)
def test_what_the_job_was_told_or_lacks_is_its_configuration(text: str) -> None:
    assert verdict(text) is Cause.INVALID_CONFIG


@pytest.mark.parametrize("text", DATA)
def test_a_file_that_is_not_whole_or_not_there_is_input(text: str) -> None:
    assert verdict(text) is Cause.BAD_INPUT


@pytest.mark.parametrize("text", SERVICES)
def test_whoever_was_answered_with_a_status_speaks_of_another_service(text: str) -> None:
    assert verdict(text) is Cause.TRANSIENT_BACKEND


@pytest.mark.parametrize(("text", "cause"), OF_THE_JOB)
def test_a_status_that_is_no_answer_or_no_failure_of_the_service_is_not_retried(
    text: str, cause: Cause
) -> None:
    assert verdict(text) is cause


@pytest.mark.parametrize("text", HOSTS)
def test_a_host_that_is_not_found_is_the_network(text: str) -> None:
    assert verdict(text) in {Cause.NETWORK_LATENCY, Cause.INVALID_CONFIG, Cause.TRANSIENT_BACKEND}
