"""What ended a program, in whoever's words: sockets, devices, paths, a child's status."""

from __future__ import annotations

import pytest

from remediator.case import LogLine
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.structure import read_log
from remediator.domain import Cause
from tests.case_parts import custom, lines, of, series

EXITED = "The replica workerpool0-0 exited with a non-zero status of {}. Termination reason: Error."


def ended(*texts: str, status: int = 1, severity: str = "ERROR", **job: object) -> dict:
    """A custom job that wrote these lines and exited with this status."""
    told = lines(*((400 + i, text) for i, text in enumerate(texts)))
    for entry in told:
        entry["severity"] = severity
    return {**custom(600, EXITED.format(status), **job), "logEntries": told}


WITH_GPU = {
    "jobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {
                    "machineType": "n1-standard-8",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                },
                "replicaCount": "1",
            }
        ]
    }
}
TRACE = (
    "Traceback (most recent call last):",
    '  File "/app/run.py", line 3, in <module>',
    "    go()",
)

ENDINGS = [
    pytest.param(
        ended('tabix: failed to open "https://ftp.partner.example/a.vcf.gz" : Connection refused'),
        Cause.TRANSIENT_BACKEND,
        id="socket-error-of-a-url",
    ),
    pytest.param(
        ended("cannot read ftp://data.partner.example/b.bam: No route to host"),
        Cause.NETWORK_LATENCY,
        id="no-route-to-the-host-of-a-url",
    ),
    pytest.param(
        ended(
            'Startup probe failed: Get "http://10.4.0.7:8000/ready": dial tcp 10.4.0.7:8000: connection refused'
        ),
        Cause.SLOW_STARTUP,
        id="a-probe-is-no-other-host",
    ),
    pytest.param(
        ended('(EE): index "/data/ref/genome" does not exist', "Exiting now ...", status=3),
        Cause.BAD_INPUT,
        id="path-that-does-not-exist",
    ),
    pytest.param(
        ended("aligner: fatal error: no index found for [/data/ref]", status=2),
        Cause.BAD_INPUT,
        id="nothing-found",
    ),
    pytest.param(
        ended("== Fatal ==  file is empty: /data/reads.fq", status=4, severity="INFO"),
        Cause.BAD_INPUT,
        id="an-error-on-stdout",
    ),
    pytest.param(
        ended(*TRACE, "treelib.TreeError: ROCm support is not included in this wheel's build."),
        Cause.INVALID_CONFIG,
        id="build-without-the-device",
    ),
    pytest.param(
        ended(*TRACE, "simlib.DriverError: the NVIDIA driver could not be found"),
        Cause.ACCELERATOR_MISSING,
        id="device-not-there",
    ),
    pytest.param(
        ended("worker failed, see its log", status=247), Cause.MEMORY_PRESSURE, id="child-killed"
    ),
    pytest.param(
        ended(*TRACE, "mathlib.errors.InvalidArgument: INVALID_ARGUMENT : rank 3, expected 2"),
        Cause.USER_CODE_ERROR,
        id="invalid-argument-of-a-library",
    ),
    pytest.param(
        ended(*TRACE, "google.api_core.exceptions.InvalidArgument: 400 INVALID_ARGUMENT"),
        Cause.INVALID_CONFIG,
        id="invalid-argument-of-the-service",
    ),
]


@pytest.mark.parametrize(("body", "cause"), ENDINGS)
def test_what_ended_a_program_names_the_cause(body: dict, cause: Cause) -> None:
    assert of(body).verdict is cause


def test_a_device_that_the_machine_has_is_not_missing() -> None:
    body = ended(*TRACE, "simlib.DriverError: the NVIDIA driver could not be found", **WITH_GPU)
    assert of(body).verdict is not Cause.ACCELERATOR_MISSING


STARTS = ("torch._C._cuda_init()", "pynvml.nvmlInit()", "cuda.runtime.getDeviceCount()")


@pytest.mark.parametrize("call", STARTS)
def test_a_traceback_cut_off_in_the_first_call_on_a_device_misses_one(call: str) -> None:
    found = of(ended(*TRACE[:2], f"    {call}"))
    assert found.verdict is Cause.ACCELERATOR_MISSING
    assert f'cut off in "/app/run.py <module>: {call}"; n1-standard-8 has none' in str(found.causes)
    assert of(ended(TRACE[0], f"    {call}")).verdict is Cause.ACCELERATOR_MISSING
    assert of(ended(*TRACE[:2], f"    {call}", **WITH_GPU)).verdict is not Cause.ACCELERATOR_MISSING
    whole = ended(*TRACE[:2], f"    {call}", "KeyError: 'price'")
    assert of(whole).verdict is Cause.USER_CODE_ERROR


@pytest.mark.parametrize(
    ("call", "level", "cause"),
    [
        ("loss.backward()", 0.99, Cause.GPU_MEMORY),
        ("return F.linear(x, w)", 0.99, Cause.GPU_MEMORY),
        ("loss.backward()", 0.4, Cause.USER_CODE_ERROR),
        ("rows = table[key]", 0.99, Cause.USER_CODE_ERROR),
    ],
)
def test_a_traceback_cut_off_on_a_full_device_is_its_memory(
    call: str, level: float, cause: Cause
) -> None:
    body = ended(*TRACE[:2], f"    {call}", **WITH_GPU)
    full = series("accelerator/memory/utilization", [level] * 10)
    verdict = of(body | {"timeSeries": [full]}).verdict
    assert verdict is cause or (cause is Cause.USER_CODE_ERROR and verdict is Cause.UNKNOWN)


def raised_in(*texts: str) -> list[LogItem]:
    entries = [entry for text in texts for entry in lines((1, text))]
    return [one for one in read_log([LogLine.parse(entry) for entry in entries]) if one.raised]


def test_an_error_of_r_without_a_function_is_one_thing() -> None:
    (found,) = raised_in("Error: `n` must be a positive number", "Execution halted")
    assert (found.raised[0].name, found.traced) == ("R", True)


def test_a_traceback_that_a_logger_indents_is_one_thing() -> None:
    last = "\tfeeds.ConnectionResetError: closed by the other side"
    (found,) = raised_in(*(f"\t{one}" for one in TRACE), last)
    assert found.raised[0].name == "feeds.ConnectionResetError"
    assert found.frame is not None
    assert (found.frame.file, found.frame.line) == ("/app/run.py", 3)


SERVICES = {
    "refused, with the client's time-outs": (
        (
            "store.errors.ConnectionRefusedError: store.internal:27017: [Errno 111] Connection refused "
            "(configured timeouts: connectTimeoutMS: 20000.0ms), Timeout: 2.5s"
        ),
        Cause.TRANSIENT_BACKEND,
    ),
    "no broker": (
        'cimpl.KafkaException: KafkaError{code=_TRANSPORT,val=-195,str="Local: Broker transport failure"}',
        Cause.TRANSIENT_BACKEND,
    ),
    "sealed": (
        "hvac.exceptions.VaultDown: Vault is sealed, on get http://vault.internal:8200/v1/secret/data/db",
        Cause.TRANSIENT_BACKEND,
    ),
    "in maintenance": (
        "requests.exceptions.ConnectionError: the cluster is in maintenance mode",
        Cause.TRANSIENT_BACKEND,
    ),
    "a password": (
        "pymongo.errors.OperationFailure: Authentication failed., full error: {'code': 18}",
        Cause.PERMISSION,
    ),
}


@pytest.mark.parametrize(("text", "cause"), SERVICES.values(), ids=SERVICES)
def test_a_service_that_was_reached_says_what_state_it_is_in(text: str, cause: Cause) -> None:
    assert of(ended(*TRACE, text)).verdict is cause


MISSING_DEVICES = [
    "pyopencl._cl.LogicError: clGetPlatformIDs failed: PLATFORM_NOT_FOUND_KHR",
    "RuntimeError: No HIP GPUs are available",
    "RuntimeError: No device of requested type available. -1 (PI_ERROR_DEVICE_NOT_FOUND)",
    "pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found",
    "RuntimeError: vkCreateInstance failed with ERROR_INCOMPATIBLE_DRIVER",
    "FileNotFoundError: [Errno 2] No such file or directory: '/dev/kfd'",
    "OSError: libcuda.so.1: cannot open shared object file: No such file or directory",
    "RuntimeError: Unknown backend: 'gpu' requested, but no platforms that are instances of gpu are present",
]


@pytest.mark.parametrize("text", MISSING_DEVICES)
def test_a_device_that_no_runtime_finds_is_missing(text: str) -> None:
    assert of(ended(*TRACE, text)).verdict is Cause.ACCELERATOR_MISSING
    assert of(ended(*TRACE, text, **WITH_GPU)).verdict is not Cause.ACCELERATOR_MISSING


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        pytest.param(
            ended(
                "NVRM: Xid (PCI:0000:00:04): 79, GPU has fallen off the bus.",
                *TRACE,
                "RuntimeError: CUDA error: unspecified launch failure",
                **WITH_GPU,
            ),
            Cause.TRANSIENT_BACKEND,
            id="a-lost-gpu-is-no-mistake-of-the-code",
        ),
        pytest.param(
            ended(*TRACE, "RuntimeError: CUDA error: unspecified launch failure", **WITH_GPU),
            Cause.USER_CODE_ERROR,
            id="a-failed-launch-alone-is",
        ),
        pytest.param(
            ended(*TRACE, "ImportError: cannot import name 'ReadTimeout' from 'httpx' (/x.py)"),
            Cause.USER_CODE_ERROR,
            id="a-missing-name-that-says-timeout",
        ),
        pytest.param(
            ended(
                *TRACE, "pandas.errors.ParserError: Error tokenizing data. C error: out of memory"
            ),
            Cause.MEMORY_PRESSURE,
            id="a-parser-without-memory",
        ),
        pytest.param(
            ended(
                *TRACE,
                "RuntimeError: unable to write to file </torch_12_3>: No space left on device (28)",
            ),
            Cause.MEMORY_PRESSURE,
            id="torch-writes-to-shared-memory",
        ),
    ],
)
def test_words_of_another_cause_do_not_mislead(body: dict, cause: Cause) -> None:
    assert of(body).verdict is cause


@pytest.mark.parametrize(
    ("error", "causes"),
    [
        ("AssertionError: expected status 'PREEMPTED' but got 'DONE'", "user_code_error"),
        ("AssertionError: expected log to contain 'CUDA out of memory'", "user_code_error"),
        ("ValueError: column 'quota_exceeded' not in frame: ['id']", "bad_input"),
        ("ValueError: y contains previously unseen labels: 'connection timed out'", "bad_input"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/d/oom-killed/a.csv'",
            "bad_input",
        ),
        ("FileNotFoundError: No such file: '/d/no space left on device/x.csv'", "bad_input"),
        ("ValueError: No available memory for the cache blocks.", "gpu_memory"),
    ],
)
def test_a_quoted_value_names_no_cause(error: str, causes: str) -> None:
    assert of(ended(*TRACE, error)).verdict == Cause(causes)


def test_a_request_that_a_server_set_aside_is_no_preemption() -> None:
    set_aside = ended(
        "WARNING scheduler.py:1057] Sequence group 5 is preempted by PreemptionMode.SWAP mode "
        "because there is not enough KV cache space.",
        severity="INFO",
    )
    assert Cause.PREEMPTION not in [one.cause for one in of(set_aside).causes]


# --- pools of several kinds ----------------------------------------------------------------------------

NO_DRIVER = (
    "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"
)
ON_CPU = {"machineType": "n1-standard-4"}
ON_T4 = {
    "machineType": "n1-standard-8",
    "acceleratorType": "NVIDIA_TESLA_T4",
    "acceleratorCount": 1,
}
ON_L4 = {"machineType": "g2-standard-8"}


@pytest.mark.parametrize(
    ("chief", "worker", "pool", "cause"),
    [
        (ON_CPU, ON_T4, 1, Cause.INVALID_CONFIG),  # it has one, and does not see it
        (ON_CPU, ON_L4, 1, Cause.INVALID_CONFIG),
        (ON_T4, ON_CPU, 1, Cause.ACCELERATOR_MISSING),
        (ON_T4, ON_CPU, 0, Cause.INVALID_CONFIG),
        (ON_CPU, ON_T4, 0, Cause.ACCELERATOR_MISSING),
    ],
)
def test_whether_a_gpu_is_missing_is_asked_of_the_pool_that_missed_it(
    chief: dict, worker: dict, pool: int, cause: Cause
) -> None:
    said = f"The replica workerpool{pool}-0 exited with a non-zero status of 1."
    body = custom(60, said)
    body["job"]["jobSpec"]["workerPoolSpecs"] = [
        {"machineSpec": chief, "replicaCount": "1"},
        {"machineSpec": worker, "replicaCount": "3"},
    ]
    told = lines((58, NO_DRIVER), task=f"workerpool{pool}-0")
    assert of(body | {"logEntries": told}).verdict is cause
