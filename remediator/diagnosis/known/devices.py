"""Signatures of GPUs that were wanted, unseen, unfit or broken, and what they say to each other.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature, Tag
from remediator.diagnosis.signs import DECISIVE, STRONG
from remediator.domain import Cause

_TORCH = "pytorch.org/docs/stable/notes/cuda.html"
_NCCL = "docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"

DEVICES: tuple[Signature, ...] = (
    Signature(
        "gpu-raised",
        None,
        0.0,
        r"no cuda gpus are available|no cuda devices? (found|available|detected)|device_count\(\) (is|==?|returned) ?0\b|found no nvidia driver|on a cuda device but|cuda driver (initialization failed|not found)|cudaerrornodevice|no cuda-capable device|cuda_error_no_device|cuda device was not found|could not select device driver|failed to infer device type|no supported (gpu|device)|(gpu|cuda) (is )?(required|needed)|doesn't support bf16/gpu|no gpu (was |were )?(found|detected|available)|nvidia-smi: (command )?not found|nvidia-smi has failed|no gpu/tpu backend|unable to initialize backend 'cuda'|no visible gpu devices|must have at least one device|not able to see any (cuda|gpu)|nvidia driver on your system is not found|importerror: libcuda\.so|cannot load libcuda|no devices were found|\b0 active drivers|(not available|unsupported|not supported|cannot run) on (the )?cpu\b|since the accelerator is not available|only (available|supported) (for|on) (a )?(gpu|cuda)|you requested gpus?:|your machine only has: ?\[|could not satisfy device specification[^|]{0,120}gpu|supported device types \[cpu\]|cannot assign a device for operation[^|]{0,300}gpu|no opencl (device|platform)s?|(only supports?|supports? only) (cuda|gpu)( devices?| tensors?)?\b|(requires?|must (have|run on)) (a |an |at least (one|1) )?((cuda|nvidia)[ -]?(capable|enabled)? ?)?(gpu|cuda device)\b",
        _TORCH,
        tags=frozenset({Tag.GPU_RAISED}),
        explains=(
            "config-precondition",
            "gpu-fallback",
            "code-traceback",
            "code-runtime",
            "code-import",
            "config-field",
            "code-exception",
            "exit-127",
            "config-argument",
        ),
    ),
    Signature(
        "gpu-probe",
        None,
        0.0,
        r"nvidia-smi[^|]{0,40}(not available|failed: cannot|unavailable)|cannot run program \"nvidia-smi\"",
        "pytorch.org/serve/Troubleshooting.html",  # printed at every start on a machine without a GPU
        explains=("gpu-raised", "gpu-fallback", "code-file", "exit-127", "container-start"),
    ),
    Signature(
        "gpu-fallback",
        None,
        0.0,
        r"(torch\.)?cuda\.is_available\(\)`? ?(is|returned|returns|:|=+) ?false|cuda (is )?(not|un) ?available|not (able|possible) to access (the )?gpu|(cannot|can't|could not|unable to|failed to|not able to) (access|find|detect|locate|use)( a| any| the)? (gpu|cuda|nvidia|accelerator)( device| driver)?s?\b|no (gpu|cuda|accelerator|nvidia)[ -]?(device|card|gpu|hardware)?s? (was |were |is |are )?(found|available|detected|visible|present)|(fall(ing|s)? ?back|switch(ed|ing)|default(ing|s|ed)?)[^.]{0,30}\b(on|to|the|using|with) (the )?cpu\b|cudaexecutionprovider['\"]? is not in available|gpu will not be used|no visible gpu|device is changed from gpu to cpu|any available gpu|setting device to cpu|(gpu|cuda) (device )?not (found|available|detected)|without (a )?gpu\b",
        _TORCH,
        tags=frozenset({Tag.GPU_FALLBACK}),
        explains=(
            "code-traceback",
            "code-runtime",
            "code-import",
            "code-exception",
        ),
    ),
    Signature(
        "gpu-build",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"torch not compiled with cuda|not compiled with (cuda|gpu) (support|enabled)|(was )?not built with (cuda|gpu)",
        _TORCH,
        explains=("gpu-fallback", "gpu-raised"),
    ),
    Signature(
        "gpu-unseen",
        None,
        0.0,
        r"failed call to cuinit|gpu available: ?false|no cuda runtime is found|kernel driver does not appear to be running|could not (find|load) (cuda|dynamic library ['\"]?lib(cuda|cudart|cudnn|cublas|nv))|cannot dlopen some gpu libraries|skipping registering gpu devices|libcuda\.so[^.]{0,20}(cannot|not found|no such)|/proc/driver/nvidia/version does not exist|no gpu/tpu found|an nvidia gpu may be present|gpus? (are|is) visible: ?(0|\[\])|num gpus( available)?: ?0",
        "tensorflow.org/install/gpu",
        tags=frozenset({Tag.GPU_UNSEEN}),
        explains=(
            "bad-input-missing",
            "code-file",
            "code-import",
            "config-not-found",
            "data-parse",
        ),
    ),
    Signature(
        "gpu-on-cpu",
        None,
        0.0,
        r"us(ing|e) device:? ['\"]?cpu\b|(^|[^/:])\bdevice ?(=|:|set to|is) ?['\"]?cpu(['\" ,.;)]|$)|(running|runs|execut(es|ing)|inference|training) (only )?on (the )?cpu\b",
        _TORCH,
        tags=frozenset({Tag.ON_CPU}),
    ),
    Signature(
        "gpu-driver",
        None,
        0.0,
        r"cuda driver version is insufficient|cuda(_)?error(_)?insufficient(_)?driver",
        "docs.nvidia.com/deploy/cuda-compatibility",
        tags=frozenset({Tag.GPU_DRIVER}),
        explains=("gpu-fallback", "gpu-raised", "code-exception", "code-traceback", "code-runtime"),
    ),
    Signature(
        "gpu-mismatch",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"driver on your system is too old|loaded runtime cudnn|expected is_sm\d|gpu generation|major and minor version needs? to match|no kernel image is available|not compatible with the current pytorch|driver/library version mismatch|forward compatibility was attempted|compute capability[^.]{0,60}(not|insufficient|at least|required|only|unsupported)|ptx was compiled with an unsupported|unsupported display driver|cuda version[^.]{0,40}(mismatch|insufficient|too old)|provided ptx|(sm_\d+|gpu)[^.]{0,30} is not (compatible|supported)|bfloat16 is only supported on gpus",
        "docs.nvidia.com/deploy/cuda-compatibility",
        explains=("gpu-raised", "gpu-fallback", "gpu-driver"),
    ),
    Signature(
        "cuda-fault",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"device-side assert|illegal memory access|cublas_status_execution_failed|cuda error: (invalid|an illegal|misaligned|unspecified)|expected all tensors to be on the same device|cuda_error_illegal_address",
        _TORCH,
    ),
    Signature(
        "gpu-hardware",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        r"\bxid\b[^.]{0,20}\d+|uncorrectable (ecc|nvlink)|ecc error|gpu has fallen off the bus|nvlink error|cuda_error_ecc_uncorrectable|unable to determine the device handle|gpu is lost|hardware (error|failure|fault)",
        "docs.nvidia.com/deploy/xid-errors",
    ),
    Signature(
        "nccl",
        None,
        0.0,
        r"nccl (error|warn|failure|timeout|communicator)|nccluniqueid|ncclsystemerror|ncclinternalerror|ncclunhandled|ncclremoteerror|workncc?l|watchdog caught collective|collective operation timeout|processgroupnccl|connection closed by (remote )?peer|gloo[^.]{0,40}(connection|timeout|read error)|distnetworkerror|distbackenderror|rendezvous[^.]{0,40}(timed? ?out|failed|error)",
        _NCCL,
        symptom=True,
        explains=(
            "backend-stream",
            "network-timeout",
            "code-exception",
            "code-traceback",
            "code-runtime",
        ),
    ),
)
