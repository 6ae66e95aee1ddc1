r"""What software inside the container prints when it fails: rows of `Signature`.

Owns data only: kernel and container runtime, the JVM, Python and its numeric libraries, PyTorch,
TensorFlow, JAX, XGBoost, CUDA and NCCL, model servers (gunicorn, uvicorn, TorchServe, Triton,
vLLM, TensorFlow Serving), Spark and Beam, HTTP clients. What an exception is called and what its
message says are different rows: the message goes deeper than the name.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Place, Signature, Tag
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_PYTHON = "docs.python.org/3/library/exceptions.html"
_TORCH = "pytorch.org/docs/stable/notes/cuda.html"
_TF = "tensorflow.org/api_docs/python/tf/errors"
_KERNEL = "kernel.org/doc/gorman/html/understand/understand016.html"
_JVM = "docs.oracle.com/javase/8/docs/technotes/guides/troubleshoot/memleaks002.html"
_SPARK = "spark.apache.org/docs/latest/tuning.html"
_BEAM = "cloud.google.com/dataflow/docs/guides/common-errors"
_GUNICORN = "docs.gunicorn.org/en/stable/faq.html"
_TORCHSERVE = "pytorch.org/serve/Troubleshooting.html"
_VLLM = "docs.vllm.ai/en/latest/usage/troubleshooting"
_NCCL = "docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_CONTAINER = "kubernetes.io/docs/concepts/containers/images"
_HTTP = "urllib3.readthedocs.io"
_PIP = "pip.pypa.io"
_FIELD = "seen in public issue threads"

_MEMORY = (
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
        r"std::bad_alloc|bad allocation|\bmemoryerror\b|arraymemoryerror|cannot allocate memory|unable to allocate [\d.]+ ?[kmgtp]i?b|(failed|unable|could not|cannot|not) (to )?(allocate|malloc|realloc|mmap)[^.]{0,40}(memory|bytes|heap|buffer)|malloc(\(\))?:? (of size [^ ]+ )?failed|arrowmemoryerror|defaultcpuallocator|not enough memory: you tried|cannot allocate vector|(used|uses|using|needed) (more|too much) memory( than)?\b|\benomem\b|errno 12\b|insufficient memory|memory exhausted|out of host memory|memory allocation (of [\d.]+ (bytes )?)?failed|(not enough|lack of|shortage of|running low on|low on) (host |system |physical |available )?memory",
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
        r"terminatedworkererror|killed by signal:? (killed|9|sigkill)|dataloader worker \(pid.{0,80}(is killed by signal: (killed|9)|exited unexpectedly)|excessive memory usage|ray\.exceptions\.outofmemoryerror|memory monitor|workers? (was|were|has been|have been) (oom|sent sigkill)|perhaps out of memory|workerlosterror|killedworker\b|ray[^.]{0,80}(low on memory|running low)|exit status 137|exit code:? 137|signal: killed|terminated due to signal 9|process killed, exit code -9",
        "joblib.readthedocs.io",
        symptom=True,
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
        r"insufficient shared memory|shared memory object|bus error|unable to (open|write to) (file )?<?/?(dev/shm|torch_)|out of shared memory|shared memory \(shm\)|no space left on device[^.]{0,80}(shm|shared)|/dev/shm",
        "pytorch.org/docs/stable/multiprocessing.html",
        explains=(
            "server-model-config",
            "exit-crash",
        ),
    ),
    Signature(
        "shared-memory-nccl",
        Cause.INVALID_CONFIG,
        STRONG,
        r"nccl[^|]{0,120}shared memory segment|shared memory segment [^ ]{0,40}nccl",
        _NCCL,
        explains=("shared-memory", "server-model-config", "nccl"),
    ),
    Signature(
        "memory-warning",
        Cause.MEMORY_PRESSURE,
        HINT,
        r"exceeds \d+% of (free )?(system|host) memory|tcmalloc: large alloc|memory usage (is )?(high|above|over|at (9\d|100))|swap(ping)? (is )?(full|thrash)",
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

_GPU_MEMORY = (
    Signature(
        "cuda-oom",
        Cause.GPU_MEMORY,
        CERTAIN,
        r"(cuda|hip|gpu|mps|xpu|hbm|vram|device)( error| driver error| runtime error| backend)?( \(\d+\))? ?:? ?(is |ran )?out[ -]of[ -]memory|cuda_?error_?out_?of_?memory|cuda(error)?memoryallocation|torch\.(cuda\.)?outofmemoryerror|cuda (oom|memory error)|cupy[^|]{0,60}out ?of ?memory|out_of_memory: cuda|not enough memory on device|\b(v100|a100|h100|t4|l4|p100|k80|h200|a10g?|gpu|cuda|tpu)[^.]{0,20} oom\b|\boom [^.]{0,30}\b(gpu|cuda|a100|v100|h100|t4|l4)\b|cublas_status_alloc_failed|cudnn_status_alloc_failed|cuda failure ['\"]?(2|out of memory)|(cudamalloc|cumemalloc|cudahostalloc|cumemcreate)[^.]{0,40}(fail|out of memory)|failed to allocate (cuda|gpu|device) memory|ran out of (gpu|cuda|device|video) memory|(gpu|cuda|device|video) memory (is )?(exhausted|full|insufficient)|not enough (gpu|cuda|device|video) memory|insufficient (gpu|cuda|device|video) memory|tried to allocate [\d.]+ ?[kmg]i?b[^|]{0,60}gpu|\binternal: out of memory|\[trt\][^|]{0,200}out ?of ?memory|error code 2: out ?of ?memory|nvml_error_insufficient_memory|cuda error in [a-z]+:? ?\d? ?\(?out of memory|not enough memory to handle \d+ [a-z ]*tokens|out of memory error on gpu|(cannot|can't|unable to|failed to) (malloc|allocate) [\d.]+ ?[kmg]i?b (of )?(gpu memory|memory on (gpu|device))|dst tensor is not initialized|failed to allocate \d+ bytes for new constant|gpulaunchkernel[^|]{0,200}out of memory|unable to allocate [^.]{0,40}(gpu|cuda|device) memory",
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

_GPU_WANTED = (
    Signature(
        "gpu-raised",
        None,
        0.0,
        r"no cuda gpus are available|no cuda devices? (found|available|detected)|device_count\(\) (is|==?|returned) ?0\b|found no nvidia driver|on a cuda device but|cuda driver (initialization failed|not found)|cudaerrornodevice|no cuda-capable device|cuda_error_no_device|cuda device was not found|could not select device driver|failed to infer device type|no supported (gpu|device)|(gpu|cuda) (is )?(required|needed)|doesn't support bf16/gpu|no gpu (was |were )?(found|detected|available)|nvidia-smi[^.]{0,40}(not found|failed|couldn't)|no gpu/tpu backend|must have at least one device|not able to see any (cuda|gpu)|nvidia driver on your system is not found|importerror: libcuda\.so|no devices were found|\b0 active drivers|(not available|unsupported|not supported|cannot run) on (the )?cpu\b|since the accelerator is not available|only (available|supported) (for|on) (a )?(gpu|cuda)|you requested gpus?:|your machine only has: ?\[|no opencl (device|platform)s?|(only supports?|supports? only) (cuda|gpu)( devices?| tensors?)?\b|(requires?|must (have|run on)) (a |an |at least (one|1) )?((cuda|nvidia)[ -]?(capable|enabled)? ?)?(gpu|cuda device)\b",
        _TORCH,
        tags=frozenset({Tag.GPU_RAISED}),
        explains=(
            "code-traceback",
            "code-import",
            "config-field",
            "code-exception",
            "exit-127",
            "config-argument",
        ),
    ),
    Signature(
        "gpu-fallback",
        None,
        0.0,
        r"(torch\.)?cuda\.is_available\(\)`? ?(is|returned|returns|:|=+) ?false|cuda (is )?(not|un) ?available|not (able|possible) to access (the )?gpu|(cannot|can't|could not|unable to|failed to|not able to) (access|find|detect|locate|use)( a| any| the)? (gpu|cuda|nvidia|accelerator)( device| driver)?s?\b|no (gpu|cuda|accelerator|nvidia)[ -]?(device|card|gpu|hardware)?s? (was |were |is |are )?(found|available|detected|visible|present)|(fall(ing|s)? ?back|switch(ed|ing)|default(ing|s|ed)?)[^.]{0,30}\b(on|to|the|using|with) (the )?cpu\b|gpu will not be used|(gpu|cuda) (device )?not (found|available|detected)|without (a )?gpu\b",
        _TORCH,
        tags=frozenset({Tag.GPU_FALLBACK}),
        explains=(
            "code-traceback",
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
        r"failed call to cuinit|kernel driver does not appear to be running|could not (find|load) (cuda|dynamic library ['\"]?lib(cuda|cudart|cudnn|cublas|nv))|cannot dlopen some gpu libraries|skipping registering gpu devices|libcuda\.so[^.]{0,20}(cannot|not found|no such)|/proc/driver/nvidia/version does not exist|no gpu/tpu found|an nvidia gpu may be present|gpus? (are|is) visible: ?(0|\[\])|num gpus( available)?: ?0",
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
        explains=("gpu-fallback", "gpu-raised", "code-exception", "code-traceback"),
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
        ),
    ),
)

_SERVERS = (
    Signature(
        "gunicorn-timeout",
        Cause.SLOW_CODE,
        FAIR + 0.3,
        r"\bworker timeout\b|worker (failed|did not|didn't) (to )?(notify|respond|heartbeat)|harakiri|softtimelimitexceeded|timelimitexceeded|soft time limit",
        _GUNICORN,
        explains_all=("worker-killed",),
        explains=("bare-oom", "exit-137"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "upstream-slow",
        None,
        0.0,
        r"upstream timed out[^|]{0,40} while reading (the )?response|(client|upstream) timed out[^|]{0,40}waiting for request",
        "nginx.org/en/docs/http/ngx_http_proxy_module.html",
        explains=("network-timeout",),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "futures-timed-out",
        None,
        0.0,
        r"futures timed out after|concurrent\.timeoutexception|celltimeouterror|cell (execution )?timed out",
        _SPARK,
        explains=("network-timeout", "code-traceback"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "server-no-worker",
        None,
        0.0,
        r"no workers? (is|are) available to serve",
        _TORCHSERVE,
        symptom=True,
        explains=("backend-words", "backend-code", "capacity-words"),
    ),
    Signature(
        "torchserve-slow",
        Cause.SLOW_CODE,
        FAIR + 0.5,
        r"did not respond in given time|backend worker did not respond|(request|prediction|inference)[^.]{0,40}(timed out|took (too long|more than|longer than)|exceeded [^.]{0,20}timeout)|default_response_timeout|after 60 seconds|60(-| )?s(econds?)? time-?out",
        _TORCHSERVE,
        symptom=True,
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "torchserve-init",
        Cause.SLOW_STARTUP,
        FAIR - 0.4,
        r"workerinitializationexception: backend worker did not respond",
        "github.com/pytorch/serve/issues/2452",
        explains=("torchserve-slow", "gunicorn-timeout", "torchserve-prediction"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "torchserve-load",
        Cause.SLOW_STARTUP,
        FAIR,
        r"load model failed[^.]{0,60}worker died|worker disconnected\. worker_started|auto recovery start timestamp",
        _TORCHSERVE,
        explains_all=("torchserve-slow",),
        explains=("torchserve-prediction",),
        symptom=True,
    ),
    Signature(
        "torchserve-prediction",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"internalserverexception|prediction failed|invoking custom service failed|worker died\b|modelservererror|workerinitializationexception|predictionexception|error (in|during|while) (prediction|inference|predict|postprocess|preprocess)|exception (in|on) (/predict|/v1|asgi|wsgi|worker|thread)",
        _TORCHSERVE,
        symptom=True,
        explains=("backend-code", "backend-words"),
    ),
    Signature(
        "server-boot",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"worker failed to boot|haltserver|failed to find attribute|error loading asgi app|could not import module|attribute \"?\w+\"? not found in module|application startup failed|application failed to start|enginedeaderror|engine process failed to start|failed to load (the )?application",
        _GUNICORN,
        symptom=True,
    ),
    Signature(
        "server-model-config",
        Cause.INVALID_CONFIG,
        STRONG,
        r"(savedmodel|saved_model)[^.]{0,60}(does not exist|not found|no such)|no versions of servable|failed to start vertex ai service|expect the model repository|could not find (base path|model|any model)|model archive (not found|file)|failed to load all models|(model|artifact|directory|saved_model)[^.]{0,160} (does not|must) contain|unable to (find|load|create) (the )?(model repository|backend|engine|model configuration)|model repository|no model (found|file)|unexpected (inference|model) (input|configuration)|model\.(bst|pkl|joblib|pt|mar)[^.]{0,60}(not found|missing|does not exist)|unsupported (model )?architectures?|no module named model|address already in use|cannot assign requested address|attempting to bind on address|port (is )?already (in use|allocated)|exec format error|no space left on device|disk (is )?full|disk quota exceeded|low on disk|bootdisksizegb|op type not registered|unsupported opset|opset version",
        "github.com/triton-inference-server/server",
        explains=(
            "code-exception",
            "code-errno13",
            "permission-code",
            "quota-code",
            "backend-again",
        ),
    ),
    Signature(
        "container-start",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"executable file not found|oci runtime (create|exec)|failed to create (containerd? task|shim)|runc create failed|createcontainer(config)?error|runcontainererror|no such file or directory: unknown|exec: \"|starting container process|exec user process caused|entrypoint[^.]{0,60}(not found|no such|invalid|wrong)|invalid reference format|can't open file|unrecognized arguments?|the following arguments are required|no such option|unknown (flag|option|command line)|unable to open entrypoint|invalid choice",
        _CONTAINER,
        explains=("code-file", "bad-input-missing"),
    ),
    Signature(
        "container-image",
        Cause.INVALID_CONFIG,
        STRONG,
        r"imagepullbackoff|errimagepull|manifest (for [^ ]+ )?(unknown|not found)|(image|repository|tag|manifest)[^.]{0,120}(not found|does not exist|unknown)|container uri|(make sure|ensure|check) (that )?(the )?image exists|failed to (pull|resolve|fetch) (image|reference|the image|docker image)|name_unknown|manifest_unknown|failed to pull|no matching manifest|invalidimagename|image [^.]{0,80}(is not supported|could not be|cannot be|invalid)|not known to the registry",
        _CONTAINER,
        symptom=True,
        explains=("network-dns", "input-import", "bad-input-missing"),
    ),
)

_NETWORK = (
    Signature(
        "network-timeout",
        Cause.NETWORK_LATENCY,
        STRONG + 0.4,
        r"connect(ion)? ?time(d)?-?out|connecttimeout|readtimeout|read timed out|connection (to [^ ]+ )?timed out|(socket|ssl|tls|handshake|http|dial|lookup|i/o|dns|ssh|client)[^.]{0,20}(time-?out|timed out)|client\.timeout exceeded|awaiting headers|timeout (while|when) (connecting|fetching|reading|downloading)|(fetch|download|connect|request to|query|upload)(ing|ed)?[^.]{0,60}timed? ?out|can'?t connect to [^|]{0,80}timed out|time-?out connecting|\(timed out\)|: timed out$|serverselectiontimeout|timed out, timeout: ?\d|(read |write |handshake |recv |connect )?operation timed out after|(read|write|handshake|recv|connect) operation timed out|timed out (while |when )?(download|fetch|connect|read)|etimedout|errno 110|sockettimeout|no route to host|did not properly respond after a period|connected host has failed to respond|network is unreachable|host is unreachable|ehostunreach|stuck at \d+ of \d+ bytes|operation too slow|less than \d+ bytes/sec|(low|slow) throughput|fstimeouterror|early eof\b|remote end hung up|fetch-pack: |rpc failed; (curl|result)|speed [^.]{0,40}below|nobrokersavailable|check your (internet |network )?connection|timeouterror[^.]{0,20} (while|when) (fetch|download|connect|read)|timeout on reading data",
        _HTTP,
        explains=("code-import", "too-large-limit"),
    ),
    Signature(
        "network-dns",
        Cause.NETWORK_LATENCY,
        STRONG,
        r"temporary failure in name resolution|name or service not known|(could not|unable to|cannot|can't|failed to) resolve (host|['\"]?[a-z0-9-]+\.[a-z0-9.-]+)|getaddrinfo (failed|enotfound)|failed to resolve|nameresolutionerror|nodename nor servname|unknownhostexception|no such host|dns (resolution|lookup)[^.]{0,20}fail|\benotfound\b|name resolution (error|fail)|(error|failure|failed)[^.]{0,20} name resolution",
        _HTTP,
    ),
    Signature(
        "network-retries",
        Cause.NETWORK_LATENCY,
        FAIR + 0.4,
        r"max retries exceeded with url|newconnectionerror|failed to establish a new connection|httpsconnectionpool|could not fetch url|retryerror|slow (network|download|read|connection)|high latency|connection broken by|(could not|couldn'?t|can'?t|cannot|unable to|failed to) connect to (the )?(([a-z]+ )?(server|host|endpoint|database)|['\"]?https?://)|error while dialing|connection refused|econnrefused",
        _HTTP,
        symptom=True,
        explains=("too-large-limit",),
    ),
    Signature(
        "network-os",
        None,
        0.0,
        r"error: os error",
        _TF,
        symptom=True,
    ),
    Signature(
        "retrying",
        None,
        0.0,
        r"(deprecation|future|runtime|user|pending|resource)warning\b|\bdeprecated\b|\bretrying\b|will (be )?retr(y|ied)|retry (number|attempt|in|after|\d+ of)|backing off|(sleeping|waiting) [\d.]+ ?s[^.]{0,20}before (next|another|retry)|attempt \d+ ?(/|of) ?\d+|\bskipp(ing|ed)\b|\bignor(ing|ed)\b|using (the )?defaults?\b",
        _HTTP,
        tags=frozenset({Tag.PASSING}),
    ),
)

_CODE = (
    Signature(
        "code-import",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"modulenotfounderror|\bimporterror\b|cannot find module|no module named|cannot import name|undefined symbol|symbol not found|classnotfoundexception|noclassdeffounderror|nosuchmethoderror|cannot open shared object file|version .?glibc|incompatible library version|unsatisfiedlinkerror|pkg_resources\.[a-z]*(conflict|notfound)|importing the numpy c-extensions failed|numpy\.dtype size changed|compiled using numpy 1|distributionnotfound",
        _PYTHON,
    ),
    Signature(
        "code-r",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"\berror in [a-z][\w.]*\(|execution halted",
        "cran.r-project.org/doc/manuals/r-release/R-lang.html",
        last_resort=True,
    ),
    Signature(
        "config-environment",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"environment variables? [^.]{0,40}(not (set|defined|found)|missing|undefined|required|empty|must be set)|(missing|required|undefined|unset) environment variables?|validation errors? for [a-z]*settings\b|configcompositionexception|could not override|missingmandatoryvalue|missing mandatory (value|field)",
        _PYTHON,
        explains=("code-exception", "data-features", "config-field"),
    ),
    Signature(
        "code-packages",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"do not match the hashes|no matching distribution found|could not find a version that satisfies|resolutionimpossible|conflicting dependencies|failed building wheel|could not build wheels|pip subprocess[^.]{0,20}(error|fail)|metadata-generation-failed|dependency conflict|package versions? have conflicting|package [^ ]+ failed to install|failed to install [^.]{0,40}(package|requirement|dependenc)|pip-[^ ]{0,40}build/setup\.py|error: subprocess-exited-with-error|requires python|requires a different python",
        _PIP,
        explains=("code-import",),
    ),
    Signature(
        "code-exception",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"\b(key|value|type|attribute|index|name|zerodivision|assertion|notimplemented|syntax|indentation|recursion|unboundlocal|overflow|stopiteration|lookup|eof|arithmetic|floatingpoint|tab|unicodeencode|pickling|unpickling|config|configuration|validation|notfitted|linalg|invalidindex|invalidparameter|duplicate|merge|jsonencode|systemexit|usage|missingargument|omegaconf|misconfiguration|hydra)_?(error|exception)\b(:| at|\(|$)|nullpointerexception|illegalargumentexception|illegalstateexception|classcastexception|arrayindexoutofbounds|indexoutofbounds|numberformatexception|nosuchelementexception|unsupportedoperationexception|too many open files|yaml\.\w+\.\w+error|arithmeticexception|notserializableexception|analysisexception|raise [a-z]+(error|exception)|is not defined\b|is not callable|is not (iterable|subscriptable)|object has no attribute|got an unexpected keyword|missing \d+ required positional|takes \d+ positional|object is not|list index out of range|division by zero|unsupported operand|panicked at|panic: |thread '[^']*' panicked|goroutine \d+ \[|uncaught exception|unhandled exception|terminate called after throwing|assertion [^.]{0,60}failed|assert failed|(^|[\]:] ?)check failed:|(xgboost|lightgbm|catboost)error\b|contractexception|syntax error: [a-z ]+ unexpected|syntax error near unexpected token",
        _PYTHON,
        explains=(
            "config-field",
            "config-argument",
        ),
    ),
    Signature(
        "code-shapes",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"shapes? [^.]{0,60}(mismatch|incompatible|not aligned|do not match|cannot be|must match|is invalid|not compatible)|size mismatch|mat1 and mat2|dimension(s)? (mismatch|out of range|must be)|incompatible (shape|with the layer|dimension)|is incompatible with (the )?layer|expected (scalar type|input|object of|tensor|\d+d)|error\(s\) in loading state_dict|unexpected key\(s\)|missing key\(s\)|graph execution error|no gradients provided|does not have a grad_fn|element \d+ of tensors does not require|dtype mismatch|concretizationtypeerror|tracerarrayconversion|jax\.errors|loss is nan|nan loss|nan detected|loss (became|is|was) (nan|inf)|could not broadcast",
        _TF,
        explains=(
            "bigquery-sql",
            "data-features",
        ),
    ),
    Signature(
        "code-traceback",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"traceback \(most recent call last\)|exception in thread|caused by: |\bat [a-z]+(\.[a-z_$]+)+\([a-z]+\.(java|scala):\d+\)|during handling of the above exception|stack trace:|unhandledexception|\bfile \"[^\"]+\.py\", line \d+|userexception|user code|raised an exception|training code",
        _PYTHON,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "code-runtime",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"runtimeerror:",
        _PYTHON,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "wrapped-failure",
        None,
        0.0,
        r"runtimeerror: ([a-z]+ ){0,3}(job|training|tuning|prediction|pipeline|run|task|deployment)[a-z ]{0,20} failed (with|because)|failed \d+ times\W{1,3}aborting|the dag failed because|failed to start and (cannot|can't|could not) serve",
        _FIELD,
        symptom=True,
        explains=(
            "config-argument",
            "code-runtime",
            "backend-code",
            "backend-words",
            "backend-number",
        ),
    ),
    Signature(
        "server-engine",
        None,
        0.0,
        r"engine core initialization failed",
        _VLLM,
        symptom=True,
        explains=("code-exception", "code-runtime", "code-traceback"),
    ),
    Signature(
        "code-file",
        Cause.BAD_INPUT,
        FAIR + 0.6,
        r"filenotfounderror|no such file or directory|errno 2\b|file does not exist|could not open file|path does not exist|does not exist: |notfounderror|nosuchfileexception|file not found|isadirectoryerror|notadirectoryerror|path not found|input path",
        _PYTHON,
    ),
    Signature(
        "code-errno13",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"errno 13\b|permissionerror|eacces\b|\b(open|mkdir|stat|exec|fork/exec) /[^ :]+: permission denied",
        _PYTHON,
        explains=("permission-code",),
    ),
    Signature(
        "gcsfuse-permission",
        Cause.PERMISSION,
        DECISIVE,
        r"permission denied:? ?['\"]?/gcs/",
        "cloud.google.com/storage/docs/cloud-storage-fuse/troubleshooting",
        explains=("code-errno13",),
    ),
    Signature(
        "tuning-metric",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"too many hyperparameter tuning metrics|(trial|hyperparameter)[^.]{0,80}(did not|does not|didn't|never|without) (report|include|write|return|contain)[^.]{0,60}metric|no (hyperparameter tuning )?metrics? (was |were )?(reported|written|found)",
        "cloud.google.com/vertex-ai/docs/training/code-requirements",
        explains=("code-exception",),
    ),
    Signature(
        "code-nonzero",
        None,
        0.0,
        r"returned non-zero exit status|calledprocesserror|childfailederror|childprocesserror",
        _PYTHON,
        symptom=True,
    ),
    Signature(
        "ssl",
        Cause.INVALID_CONFIG,
        STRONG,
        r"certificate_verify_failed|certificate (verify failed|has expired|signed by unknown authority|is (not (valid|trusted)|invalid|untrusted))|remote certificate|self[- ]signed certificate|sslcertverification|pkix path|certpathbuilder|valid certification path|unable to get (local )?issuer|wrong version number|wrong_version_number|hostname [^.]{0,60}does ?n[o']t match|unknown_?ca\b|x509: ",
        _HTTP,
        explains=("network-retries", "code-exception", "backend-code"),
    ),
    Signature(
        "ssl-any",
        Cause.INVALID_CONFIG,
        FAIR,
        r"sslerror",
        _HTTP,
    ),
    Signature(
        "peer-failed",
        None,
        0.0,
        r"horovod has been shut down|exception on one of the ranks?|one of the (other )?(ranks?|workers|peers|processes|replicas)[^.]{0,60}(fail|exit|died|finished|terminated|crash)|remote (process|peer|rank) (has )?(exited|died|failed)|peer (process|rank|worker)[^.]{0,40}(died|failed|exited)|another (rank|worker|process|replica) (has )?(failed|exited|died|crashed)",
        _NCCL,
        symptom=True,
        explains=("code-exception", "code-traceback", "nccl", "backend-stream", "worker-gone"),
    ),
)

_DATA = (
    Signature(
        "data-parse",
        Cause.BAD_INPUT,
        DECISIVE,
        r"jsondecodeerror|json\.decoder|unicodedecodeerror|codec can'?t decode|error tokenizing data|parsererror|emptydataerror|no columns to parse|expecting value: line|extra data: line|unterminated string|unidentifiedimageerror|cannot identify image|image file is truncated|truncated (file|image|record|data|jpeg)|badzipfile|not a (gzip|zip|parquet|hdf5|valid)[^.]{0,20}file|bad magic number|invalid load key|is it an? [a-z]+ file|premature end of (jpeg|image|file|data|png)|deserializing header|headertoolarge|invalidheader|(provided|input|given) (image|video|audio|document|file) is (not valid|invalid)|format not recogni[sz]ed|cannot read header|!_?src\.empty\(\)|while (tokeniz|pars|read|decod|process)ing (row|line|record|file|image|instance|example)\b|file signature not found|time data '[^']*' does not match format|parquet magic|arrowinvalid|datalosserror|data ?loss|incorrect header check|error -3 while decompressing|invalid (block|stored|distance)|corrupt(ed)? (record|file|data|image|input|jpeg|row)|file is corrupt|malformed (line|row|record|json|csv|input|csv)|could not convert string to|invalid literal for (int|float)|cannot convert (string|str|non-finite)|could not parse|unable to parse|failed to parse|parse error|(input|label|target|data|feature|array)s? (\w+ )?contains? (nan|infinity|inf\b)|contains? (nan|null|missing) values?|empty (csv|file|dataset|dataframe|input)|dataset is empty|(no|zero) (training |valid )?(samples|examples|rows|records|images)|found array with 0 sample|n_samples=0|num_samples=0|malformedinputexception|invalid (csv|json|parquet|avro|tfrecord|image)|csv parse|sparkexception: malformed",
        "pandas.pydata.org",
        explains=("code-exception",),
    ),
    Signature(
        "data-features",
        Cause.BAD_INPUT,
        STRONG,
        r"features?, but [^.]{0,60} (is )?expecting|feature(_| )?(names?|shape)[^.]{0,40}(mismatch|should match|must match|unseen|missing)|columns? (are )?missing|(not|none of [^|]{0,120} are) in (the )?\[?(index|columns)\b|(column|field|feature)s? ['\"`\[][^.]{0,60}(not found|missing|is missing|does not exist|not in)|schema (mismatch|does not match|validation)|(does|do) not match (the |its )?([a-z'-]+ )?(input |expected |table )?(schema|signature)|number of (columns|features)[^|]{0,60}(must|should|does not|do not|match|expected|differ|mismatch)|expected \d+ (columns|fields|features),? (but|got|found|saw|received)|has \d+ features?[^|]{0,60}expect(ing|ed)|(features?|shape)\b[^|]{0,60}(at|during|than|in) (the )?(fit|train)|not have enough (training )?(samples|examples|rows|items|images)|no (positive|negative) (class|samples|examples)|(label|target)s? -?[\d.]+ (encountered|is out)|wrong number of (columns|fields|items)|(input|data|row|record|instance|example|jsonl?|csv|file|dataset)s? ([^ ]+ ){0,3}(must|should) (have|contain|follow|include|match|conform)\b|y contains previously unseen labels|unknown categor|feature: [^ ]+ \(data type|can't parse serialized example|labels? (out of range|must be)|invalid (label|class|target)s?|instances? (must|should|is|are) (not )?(an? |be )?(valid|invalid|list|array|dict|object|missing|malformed|base64|empty|null)|does not have named input|signature_def|field required|missing required (input|field|key)|input (to|tensor)[^.]{0,60}(missing|not found|invalid)|unexpected instance",
        "scikit-learn.org",
        explains=(
            "config-field",
            "code-exception",
        ),
    ),
)

_ROWS = (
    Signature(
        "data-dimensions",
        Cause.BAD_INPUT,
        DECISIVE,
        r"expect(ed|ing|s)? (a )?\d ?-?(d\b|dimension(al)?)|got \d ?-?d(imensional)? array",
        "scikit-learn.org",
        explains=("torchserve-prediction", "code-exception", "code-shapes"),
        places=Place.ROW,
    ),
)

_SLOW = (
    Signature(
        "slow-callback",
        Cause.SLOW_CODE,
        STRONG,
        r"(thread|event ?loop)[^|]{0,80}(has been |is |was )?blocked (for )?\d|blockedthreadchecker|dataframe is highly fragmented|request ran for longer than|is slow compared to the batch|(your|the) (input pipeline|input|data ?loader|dataset|callback)s? [^.]{0,40}(is|are|ran) (too |very )?slow|(does not have many workers|data ?loading) which may be a bottleneck|input[- ]bound",
        _TF,
        explains=("code-traceback",),
    ),
    Signature(
        "beam-stuck",
        Cause.SLOW_CODE,
        STRONG,
        r"operation ongoing in (step|bundle|transform)|processing (lull|stuck)|without outputting or completing|for at least [\dhms]+ without",
        _BEAM,
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "beam-work-item",
        Cause.USER_CODE_ERROR,
        HINT,
        r"work item was attempted 4 times|a work item was attempted|workflow failed|the job failed because",
        _BEAM,
        symptom=True,
    ),
)

SOFTWARE_SIGNATURES: tuple[Signature, ...] = (
    *_MEMORY,
    *_GPU_MEMORY,
    *_GPU_WANTED,
    *_SERVERS,
    *_NETWORK,
    *_CODE,
    *_DATA,
    *_ROWS,
    *_SLOW,
)
"""What the software that runs on Vertex AI says, grouped by what it means."""
