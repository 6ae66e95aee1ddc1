"""What a complaint is about: a file's content, a setting or the image, or the program's own logic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.case import Case, LogLine
from remediator.diagnosis import diagnose
from remediator.diagnosis.complaints import cause_of_exception, cause_of_line
from remediator.diagnosis.structure import read_log
from remediator.domain import Cause

INPUT, SETTING, CODE = Cause.BAD_INPUT, Cause.INVALID_CONFIG, Cause.USER_CODE_ERROR


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("FATAL: File '/data/one.fa' contains 1 sequence, nothing to align", INPUT),
        ("Error:  Sequence must be 20000 characters (only 64 read).", INPUT),
        ("pg_restore: error: input file is too short (read 0, expected 5)", INPUT),
        ("Error: in prepare, file is not a database (26)", INPUT),
        ("/data/s.tif: Cannot read TIFF header.", INPUT),
        ("Error: Not a valid JPG (looks more like a TXT) - /data/s.jpg", INPUT),
        ("couldn't unpack docx container: not enough bytes", INPUT),
        ("E: dcmdump: I/O suspension or premature end of stream: reading file: /data/s.dcm", INPUT),
        ("Bad directive or wrong number of arguments", SETTING),
        ("can't run as root without the -u switch", SETTING),
        ("/app/n.conf:1: unknown option 'directry'", SETTING),
        ('1796048755: Error: Unknown configuration variable "listenner".', SETTING),
        ("sox FAIL formats: no handler for file extension `opus'", SETTING),
        ('meson.build:2:0: ERROR: Dependency "libtorch-nope" not found', SETTING),
        ("node: bad option: --max-old-space=1", SETTING),
        ("prep: index out of bounds", CODE),
        ("/app/s.asm:2: error: undefined symbol `foo'", CODE),
        ("Fortran runtime error: Index '101' of dimension 1 of array 'u' above upper bound", CODE),
    ],
)
def test_what_a_line_is_about(line: str, cause: Cause) -> None:
    assert cause_of_line(line, CODE) is cause


def test_words_that_say_nothing_are_about_whatever_runs() -> None:
    assert cause_of_line("it went wrong again", CODE) is CODE
    assert cause_of_line("it went wrong again", INPUT) is INPUT


@pytest.mark.parametrize(
    ("text", "below", "cause"),
    [
        ("cbor2.CBORDecodeEOF: premature end of stream", "", INPUT),
        ("py7zr.exceptions.Bad7zFile: not a 7z file", "py7zr/py7zr._real_get_contents", INPUT),
        ("lxml.etree.XMLSyntaxError: xmlParseEntityRef: no name, line 2", "", INPUT),
        ("OSError: Invalid data stream", "python3.11/bz2.read python3.11/_compression.read", INPUT),
        ("StopIteration", "ezdxf/filemanagement.readfile lldxf/validator._detect_dxf_info", INPUT),
        ("TypeError: buffer is too small for requested array", "fits/file.readarray", INPUT),
        ("ValueError: /data/1abc.cif:2:0(7): Wrong number of values in loop _a.*", "", INPUT),
        ("KeyError: 'DATA_DIR'", "/frozen.os.__getitem__", SETTING),
        ("KeyError: 'DATA_DIR'", "/os.__getitem__", SETTING),
        ("configparser.NoOptionError: No option 'batch'", "python3.11/configparser.get", SETTING),
        ('yaml.scanner.ScannerError: mapping values in "/app/config.yaml", line 2', "", SETTING),
        ('yaml.scanner.ScannerError: mapping values in "/data/labels.yml", line 2', "", INPUT),
        ("FileNotFoundError: 'samtoolz'", "python3.11/subprocess._execute_child", SETTING),
        ("getopt.GetoptError: option --rate not recognized", "/getopt.long_has_args", SETTING),
        ("ValueError: Some errors were detected ! Line #2", "lib/_npyio_impl.genfromtxt", INPUT),
        # Bugs, wherever they were raised.
        ("TypeError: the JSON object must be str, not NoneType", "json/__init__.loads", None),
        ("TypeError: load() missing 1 required positional argument: 'Loader'", "", None),
        ("AttributeError: 'NoneType' object has no attribute 'read'", "json/__init__.load", None),
        ("ModuleNotFoundError: No module named 'x'", "importlib/__init__.load_module", None),
        ("orjson.JSONEncodeError: Type is not JSON serializable: object", "", None),
        ("KeyError: 'userid'", "", None),
        ("ValueError: operands could not be broadcast together with shapes (3,) (4,)", "", None),
        ("IndexError: list index out of range", "", None),
        # Devices and versions have rules of their own.
        ("RuntimeError: Attempting to deserialize object on a CUDA device", "torch/s.load", None),
        ("ValueError: node array from the pickle has an incompatible dtype", "/pickle.load", None),
    ],
)
def test_what_an_exception_is_about(text: str, below: str, cause: Cause | None) -> None:
    assert cause_of_exception(text, below) is cause


START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def raised(text: str) -> tuple[str, str]:
    """What stands below the user's own call, and where in the user's code that is."""
    lines = [
        LogLine(START + timedelta(milliseconds=i), "ERROR", part, f"a{i}", "w", {}, {})
        for i, part in enumerate(text.splitlines())
    ]
    (one,) = [item for item in read_log(lines) if item.raised]
    assert one.frame is not None
    return one.raised[0].below, f"{one.frame.file}:{one.frame.line}"


def test_the_functions_below_the_users_call_are_kept_and_compiled_ones_are_not_the_users() -> None:
    below, own = raised(
        "Traceback (most recent call last):\n"
        '  File "/app/run.py", line 2, in <module>\n'
        "    av.open('/data/clip.mkv')\n"
        '  File "av/container/core.py", line 369, in av.container.core.Container.err_check\n'
        '  File "av/error.py", line 354, in av.error.err_check\n'
        "av.error.InvalidDataError: Invalid data found when processing input: '/data/clip.mkv'"
    )
    assert below == "container/core.err_check av/error.err_check"
    assert own == "/app/run.py:2"


def test_each_exception_of_a_chain_has_its_own_functions() -> None:
    lines = (
        "Traceback (most recent call last):\n"
        '  File "/app/run.py", line 2, in load\n'
        "    json.loads(text)\n"
        '  File "/usr/lib/python3.11/json/decoder.py", line 337, in decode\n'
        "    obj, end = self.raw_decode(s)\n"
        "ValueError: no\n"
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "/app/run.py", line 4, in load\n'
        "    raise KeyError(text)\n"
        "KeyError: 'a'"
    )
    (one,) = [
        item
        for item in read_log(
            [
                LogLine(START, "ERROR", part, f"a{i}", "w", {}, {})
                for i, part in enumerate(lines.split("\n"))
            ]
        )
        if item.raised
    ]
    assert [(x.name, x.below) for x in one.raised] == [
        ("KeyError", ""),
        ("ValueError", "json/decoder.decode"),
    ]


def test_ruby_and_node_say_which_function_of_theirs_read() -> None:
    below, own = raised(
        "/usr/lib/ruby/3.1.0/csv/parser.rb:945:in `parse_quotable_robust': Illegal quoting in line 1. (CSV::MalformedCSVError)\n"
        "\tfrom /usr/lib/ruby/3.1.0/csv.rb:1669:in `read'\n"
        "\tfrom /app/x.rb:2:in `<main>'"
    )
    assert (below, own) == ("csv.read parser.parse_quotable_robust", "/app/x.rb:2")
    below, own = raised(
        "SyntaxError: Expected property name or '}' in JSON at position 1\n"
        "    at JSON.parse (<anonymous>)\n"
        "    at Object.<anonymous> (/app/x.js:1:6)\n"
        "    at Module._compile (node:internal/modules/cjs/loader:1521:14)"
    )
    assert (below, own) == ("JSON.parse", "/app/x.js:1")
    assert cause_of_exception("SyntaxError: Expected property name or '}' in JSON", below) is INPUT
    assert cause_of_exception("SyntaxError: Unexpected token ')'", "") is None


def case(command: str, *lines: str, status: int = 1) -> Case:
    """A custom job that printed these lines and exited."""
    container = {"imageUri": "us-docker.pkg.dev/p/r/i:1", "command": ["sh", "-c", command]}
    message = f"The replica workerpool0-0 exited with a non-zero status of {status}."
    labels = {"job_id": "7", "task_name": "workerpool0-0"}
    return Case.parse(
        {
            "job": {
                "name": "projects/1/locations/us-central1/customJobs/7",
                "state": "JOB_STATE_FAILED",
                "jobSpec": {"workerPoolSpecs": [{"containerSpec": container}]},
                "error": {"code": 3, "message": message},
            },
            "logEntries": [
                {
                    "insertId": f"l{i}",
                    "timestamp": f"2026-11-23T10:00:{i:02}Z",
                    "severity": "ERROR",
                    "textPayload": line,
                    "resource": {"type": "ml_job", "labels": labels},
                }
                for i, line in enumerate(lines)
            ],
        }
    )


@pytest.mark.parametrize(
    ("command", "lines", "cause", "advice"),
    [
        (
            "exec named -c /app/n.conf",
            ["/app/n.conf:1: unknown option 'directry'"],
            SETTING,
            "Correct /app/n.conf at line 1, as the message says; the job can never run with it.",
        ),
        (
            "exec python run.py",
            ["/app/ops.c:1:10: fatal error: cudnn_ops.h: No such file or directory"],
            SETTING,
            "The image has no cudnn_ops.h: install the system package that brings it, and build the image anew.",
        ),
        (
            "exec ./solve",
            [
                "./solve: error while loading shared libraries: libgsl.so.27: cannot open shared object file"
            ],
            SETTING,
            "The image has no libgsl.so.27: install the system package that brings it, and build the image anew.",
        ),
        (
            "exec mkvmerge -o o.mkv /data/a.mkv",
            ["Error: The type of file '/data/a.mkv' could not be recognized."],
            INPUT,
            "Look at /data/a.mkv: it is not whole, or not of the format that the code expects.",
        ),
        (
            "exec h5repack -f GZIP=5 /data/c.h5 /app/o.h5",
            ["Error occurred while repacking"],
            INPUT,
            'Put right what the message says of the input; running it again changes nothing: "Error occurred while repacking."',
        ),
        (
            "exec beanstalkd -p eleven",
            ["Error occurred again and again"],
            SETTING,
            'Put right what the message names, without which the job can never run: "Error occurred again and again."',
        ),
        (
            "exec python3 run.py",
            ["Error occurred while repacking"],
            CODE,
            (
                "Read what it wrote before that line, of which nothing is known: the program ended by itself, most often over an "
                "error of its own. If the lines tell of something that passes or that a machine lacks, run it again yourself."
            ),
        ),
    ],
)
def test_the_advice_names_the_thing(
    command: str, lines: list[str], cause: Cause, advice: str
) -> None:
    found = diagnose(case(command, *lines))
    assert found.verdict is cause
    assert found.causes[0].advice == advice


def test_a_readers_exception_is_the_file_and_the_advice_says_who_reads_it() -> None:
    found = diagnose(
        case(
            "exec python run.py",
            "Traceback (most recent call last):",
            '  File "/app/run.py", line 3, in <module>',
            "    pydicom.dcmread(path)",
            '  File "/opt/venv/lib/python3.11/site-packages/pydicom/filereader.py", line 784, in read_preamble',
            "    raise InvalidDicomError(",
            "pydicom.errors.InvalidDicomError: File is missing DICOM File Meta Information header",
        )
    )
    assert found.verdict is INPUT
    assert found.causes[0].advice == (
        "Look at what /app/run.py reads or converts at line 3: it is not whole, or not of the form that is "
        'expected there. Running it again changes nothing. The message: "File is missing DICOM File Meta Information header."'
    )
