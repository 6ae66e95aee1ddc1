"""Signatures of memory that was not enough, the machine's and the device's.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_PYTHON = "docs.python.org/3/library/exceptions.html"
_TORCH = "pytorch.org/docs/stable/notes/cuda.html"
_TF = "tensorflow.org/api_docs/python/tf/errors"
_KERNEL = "kernel.org/doc/gorman/html/understand/understand016.html"
_JVM = "docs.oracle.com/javase/8/docs/technotes/guides/troubleshoot/memleaks002.html"
_SPARK = "spark.apache.org/docs/latest/tuning.html"
_VLLM = "docs.vllm.ai/en/latest/usage/troubleshooting"
_NCCL = "docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"

MEMORY: tuple[Signature, ...] = (
    Signature(
        "kernel-oom",
        Cause.MEMORY_PRESSURE,
        CERTAIN,
        r"\boom-?_?killed\b|\boom-?_?kill(er)?\b|out of memory: kill(ed)? process|memory cgroup out of memory|invoked oom-killer|killed process \d+ \(|killed due to (memory|out|oom)|(used|exceeded|over|exceeds?|reached|hit) (the |its |their |a )?(container |pod |cgroup |soft |hard |private |yarn |physical |virtual )*memory (usage )?(limits?|thresholds?)|exceed(s|ed|ing)? (the |its |their |a |[a-z0-9]+ ){0,4}memory (usage )?(limits?|thresholds?)|low on resource: memory|killed due to memory pressure|memory limit (of [^.]{0,30} )?(exceeded|reached)|exceeding memory limits|memorypressure\b|gc thrashing|running beyond (the )?(physical|virtual) memory|(requires?|needs?) more memory than",
        _KERNEL,
    ),
    Signature(
        "allocation",
        Cause.MEMORY_PRESSURE,
        DECISIVE,
        r"std::bad_alloc|bad allocation|\bmemoryerror\b|arraymemoryerror|cannot allocate memory|unable to allocate [\d.]+ ?[kmgtp]i?b|(failed|unable|could not|cannot|not) (to )?(allocate|malloc|realloc|mmap)[^.]{0,40}(memory|bytes|heap|buffer)|malloc(\(\))?:? (of size [^ ]+ )?failed|arrowmemoryerror|defaultcpuallocator|not enough memory: you tried|cannot allocate vector|(used|uses|using|needed) (more|too much) memory( than)?\b|\benomem\b|errno 12\b|insufficient memory|memory (size of [\d.]+ bytes )?exhausted|out of host memory|memory allocation (of [\d.]+ (bytes )?)?failed|that much (ram|memory)|(increase|raise|give it more|requires more|needs more) (the )?(ram|memory)\b|limit\w{0,20}ram\W[^|]{0,60}too small|(not enough|lack of|shortage of|running low on|low on) (host |system |physical |available )?memory",
        _PYTHON,
        explains=("exit-crash",),  # what cannot allocate aborts
    ),
    Signature(
        "oom-cpu-tensor",
        Cause.MEMORY_PRESSURE,
        DECISIVE,
        r"oom when allocating tensor[^|]{0,300}(device:cpu|allocator (cpu|mklcpu))|allocator (cpu|mklcpu) ran out of memory",
        _TF,
        explains=("gpu-oom-tensor", "quota-code"),
    ),
    Signature(
        "jvm-heap",
        Cause.MEMORY_PRESSURE,
        CERTAIN,
        r"java\.lang\.outofmemoryerror|gc overhead limit exceeded|java heap space|heap out of memory|allocation failure[^|]{0,80}heap|containerd? killed by yarn|yarn for exceeding",
        _JVM,
    ),
    Signature(
        "worker-killed",
        Cause.MEMORY_PRESSURE,
        STRONG,
        r"terminatedworkererror|python worker exited unexpectedly|subprocess(es)? (has |have )?(abruptly )?died|died with <signals\.sigkill|(child|worker|sub)[ -]?process(es)? \W?\d{0,9}\W{0,2}(has |was |have )?(died|been killed|killed|lost|vanished|disappeared)|exit ?code\W{1,3}-9\b|(status|wait status|returned) 35072\b|did not deliver a result|killed by signal:? (killed|9|sigkill)|dataloader worker \(pid.{0,80}(is killed by signal: (killed|9)|exited unexpectedly)|excessive memory usage|ray\.exceptions\.outofmemoryerror|memory monitor|workers? (was|were|has been|have been) (oom|sent sigkill)|perhaps out of memory|workerlosterror|killedworker\b|ray[^.]{0,80}(low on memory|running low)|exit status 137|exit code:? 137|signal: killed|terminated due to signal 9|process killed, exit code -9",
        "joblib.readthedocs.io",
        symptom=True,
        explains=("code-exception", "code-runtime", "code-traceback", "code-nonzero"),
    ),
    Signature(
        "guesses",
        None,
        0.0,
        r"potential root causes",
        "docs.ray.io",
        explains=(
            "kernel-oom",
            "bare-oom",
            "exit-137",
            "exit-crash",
            "worker-killed",
            "worker-gone",
        ),
    ),
    Signature(
        "process-pool",
        Cause.MEMORY_PRESSURE,
        FAIR,
        r"brokenprocesspool|process pool was terminated abruptly|executorlostfailure|lost executor|remote rpc client disassociated",
        _SPARK,
        symptom=True,
    ),
    Signature(
        "worker-gone",
        Cause.MEMORY_PRESSURE,
        HINT + 0.6,
        r"nodes? (was|were) lost|sdk harness[^.]{0,40}disconnected|data channel closed|worker (lost|lost contact)|actor died unexpectedly|worker (process )?(has )?died|worker (exits?|crashed) unexpectedly",
        _SPARK,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "shared-memory",
        Cause.MEMORY_PRESSURE,
        STRONG,
        r"insufficient shared memory|shared memory object|bus error|unable to (open|write to) (file )?<?/?(dev/shm|torch_)|out of shared memory|shared memory ?\(shm\)|no space left on device[^.]{0,80}(shm|shared)|(\bshm|shared[ _]memory)[^|]{0,160}no space left|/dev/shm",
        "pytorch.org/docs/stable/multiprocessing.html",
        explains=(
            "server-model-config",
            "exit-crash",
            "disk-full",
            "allocation",
        ),
    ),
    Signature(
        "shared-memory-nccl",
        Cause.INVALID_CONFIG,
        STRONG,
        r"nccl[^|]{0,120}shared memory segment|\bshm\.(h|cc):\d+ nccl|shared memory segment [^ ]{0,40}nccl",
        _NCCL,
        explains=("shared-memory", "server-model-config", "nccl", "disk-full"),
    ),
    Signature(
        "memory-warning",
        Cause.MEMORY_PRESSURE,
        HINT,
        r"exceeds \d+% of (free )?(system|host) memory|tcmalloc: large alloc|memory usage\. pausing worker|worker is at \d+% memory|memory usage (is )?(high|above|over|at (9\d|100))|swap(ping)? (is )?(full|thrash)",
        _TF,
        symptom=True,
    ),
    Signature(
        "bare-oom",
        Cause.MEMORY_PRESSURE,
        FAIR + 0.5,
        r"out[ -]of[ -]memory|outofmemory|\boom\b|\bkilled$|^killed\.?$|\b\d{2,} killed\b|(engine|process|worker|job|container|pod)( \d+)? (was )?killed\b|\bkilled (python|/|\./|bash|sh )|memory (budget|quota)\b",
        _KERNEL,
        symptom=True,
        explains=("server-boot",),
    ),
)

GPU_MEMORY: tuple[Signature, ...] = (
    Signature(
        "cuda-oom",
        Cause.GPU_MEMORY,
        CERTAIN,
        r"(cuda|hip|gpu|mps|xpu|hbm|vram|device)( error| driver error| runtime error| backend)?( \(\d+\))? ?:? ?(is |ran )?out[ -]of[ -]memory|cuda_?error_?out_?of_?memory|cuda(error)?memoryallocation|torch\.(cuda\.)?outofmemoryerror|cuda (oom|memory error)|cupy[^|]{0,60}out ?of ?memory|out_of_memory: cuda|not enough memory on device|\b(v100|a100|h100|t4|l4|p100|k80|h200|a10g?|gpu|cuda|tpu)[^.]{0,20} oom\b|\boom [^.]{0,30}\b(gpu|cuda|a100|v100|h100|t4|l4)\b|cublas_status_alloc_failed|cudnn_status_alloc_failed|cuda failure ['\"]?(2|out of memory)|(cudamalloc|cumemalloc|cudahostalloc|cumemcreate)[^.]{0,40}(fail|out of memory)|failed to allocate (cuda|gpu|device) memory|ran out of (gpu|cuda|device|video) memory|(gpu|cuda|device|video) memory (is )?(exhausted|full|insufficient)|not enough (gpu|cuda|device|video) memory|insufficient (gpu|cuda|device|video) memory|tried to allocate [\d.]+ ?[kmg]i?b[^|]{0,60}gpu|\binternal: out of memory|\[trt\][^|]{0,200}out ?of ?memory|error code 2: out ?of ?memory|nvml_error_insufficient_memory|cuda error in [a-z]+:? ?\d? ?\(?out of memory|cuda runtime \(out of memory|insufficient memory on requested size|bytes of device memory|not enough memory to handle \d+ [a-z ]*tokens|out of memory error on gpu|(cannot|can't|unable to|failed to) (malloc|allocate) [\d.]+ ?[kmg]i?b (of )?(gpu memory|memory on (gpu|device))|dst tensor is not initialized|failed to allocate \d+ bytes for new constant|gpulaunchkernel[^|]{0,200}out of memory|unable to allocate [^.]{0,40}(gpu|cuda|device) memory",
        _TORCH,
        explains=("bare-oom", "allocation", "quota-code", "exit-oom"),
    ),
    Signature(
        "gpu-oom-tensor",
        Cause.GPU_MEMORY,
        DECISIVE,
        r"oom when allocating tensor|resource_?exhausted(error)?:? [^.]{0,80}(out of memory|oom|failed to allocate)|out of memory (while|when) (trying to )?allocat|failed to allocate request for|resource_?exhausted[^|]{0,60}(allocat|reserve)[^|]{0,80}(bytes|gib|mib|\d[gm]\b)|attempting to (allocate|reserve) [\d.]+ ?[kmg]i?b?\b|error allocating device buffer|(thrust|rmm|\.cuh?\b)[^|]{0,120}(out[ _]of[ _]memory|bad_alloc)|allocator \(?gpu_\d[^ ]* ran out|ran out of memory in memory space [hvs]mem|ran out of memory in memory space hbm|exceed(s|ed) (hbm|vmem) capacity|requires? [\d.]+ ?[gm]i?b? of hbm|exceeds? [\d.]+ ?[gm]i?b? (of )?hbm|cuda_pool_malloc[^.]{0,20}failed|bfc_?arena|bfc_?allocator[^.]{0,60}(failed|out of memory|ran out)|hbm usage|failed to allocate memory for requested buffer",
        "docs.jax.dev/en/latest/gpu_memory_allocation.html",
        explains=(
            "bare-oom",
            "quota-code",
            "quota-words",
            "allocation",
            "exit-oom",
            "code-exception",
        ),
    ),
    Signature(
        "vllm-kv",
        Cause.GPU_MEMORY,
        DECISIVE,
        r"no available memory for the cache blocks|kv cache (is )?(not|too|larger|exceeds|is needed)|maximum number of tokens that can be stored in kv cache|less than desired gpu memory utilization|(decreasing|decrease|increasing|increase|reduc\w+) `?(max_model_len|gpu_memory_utilization|max_num_seqs)",
        _VLLM,
        explains=("too-large-limit",),
    ),
    Signature(
        "gpu-handle",
        Cause.GPU_MEMORY,
        FAIR + 0.5,
        r"failed to get convolution algorithm|create cu(blas|dnn)[a-z]* handle fail|cublas_status_success \(1 |(memory|mem)[ _]object[ _]allocation[ _]failure|cl_out_of_(resources|host_memory)|failed to create cu(blas|dnn|solver|sparse)[a-z]* handle|(failure to initialize|failed to initialize) cu(blas|dnn)[^|]{0,40}oom|cu(blas|dnn)[^.]{0,40}resource allocation failed",
        _TF,
        explains=("bare-oom", "allocation", "gpu-build", "cudnn-init", "code-exception"),
    ),
    Signature(
        "cudnn-init",
        Cause.GPU_MEMORY,
        HINT,
        r"cudnn_status_not_initialized|could not create cudnn handle|cublas_status_not_initialized",
        _TF,
        symptom=True,
    ),
)
