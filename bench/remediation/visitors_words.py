"""What programs, servers and services of the fleet `visitors` print when they end: the author's own wording of
what real software says. A tuple holds the last lines of a program; `{…}` are filled in where a run is told.
"""

from __future__ import annotations

from collections.abc import Mapping

Lines = tuple[str, ...]

TRACE = "Traceback (most recent call last):"

# --- host memory -------------------------------------------------------------------------------------

KILLED: Mapping[str, tuple[tuple[Lines, int], ...]] = {
    "torch": (
        ((TRACE, '  File "/opt/conda/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line 1243, in _try_get_data',
          "    data = self._data_queue.get(timeout=timeout)",
          "RuntimeError: DataLoader worker (pid {pid}) is killed by signal: Killed. "), 1),
        (("[rank0]:[W] ProcessGroupNCCL.cpp:1250] Warning: destroy_process_group() was not called",
          "E1201 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -9) local_rank: 0 (pid: {pid}) of binary: /opt/conda/bin/python",
          TRACE, "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
          "Root Cause (first observed failure):", "  exitcode  : -9 (pid: {pid})",
          "  traceback : Signal 9 (SIGKILL) received by PID {pid}"), 1),
        ((), 137),
    ),
    "pandas": (
        ((TRACE, '  File "/srv/jobs/join_features.py", line 118, in build',
          "    wide = left.merge(right, on='account_id', how='left')",
          "numpy.exceptions._ArrayMemoryError: Unable to allocate {want:.1f} GiB for an array with shape ({rows}, 384) and data type float64"), 1),
        ((TRACE, '  File "/usr/local/lib/python3.11/concurrent/futures/process.py", line 620, in _chain_from_iterable_of_lists',
          "concurrent.futures.process.BrokenProcessPool: A process in the process pool was terminated abruptly while the future was running or pending."), 1),
        ((TRACE, '  File "/usr/local/lib/python3.11/site-packages/joblib/parallel.py", line 2007, in __call__',
          ("joblib.externals.loky.process_executor.TerminatedWorkerError: A worker process managed by the executor was unexpectedly terminated. "
          "This could be caused by a segmentation fault while calling the function or by an excessive memory usage causing the Operating System to kill the worker."),
          "The exit codes of the workers are {SIGKILL(-9)}"), 1),
        ((), 137),
    ),
    "arrow": (
        ((TRACE, '  File "/srv/etl/compact.py", line 61, in main',
          "pyarrow.lib.ArrowMemoryError: malloc of size 17179869184 failed"), 1),
        (("terminate called after throwing an instance of 'std::bad_alloc'", "  what():  std::bad_alloc"), 134),
        ((TRACE, '  File "/srv/etl/report.py", line 33, in run',
          "_duckdb.OutOfMemoryException: Out of Memory Error: could not allocate block of size 256.0 KiB ({pool:.1f} GiB/{pool:.1f} GiB used)"), 1),
        ((), 137),
    ),
    "r": (
        (("Error: cannot allocate vector of size {want:.1f} Gb", "Execution halted"), 1),
        (("Warning message:", "In mclapply(chunks, fit_one, mc.cores = cores) :",
          "  scheduled core 3 did not deliver a result, all values of the job will be affected",
          "Error in do.call(rbind, parts) : second argument must be a list", "Execution halted"), 1),
        ((), 137),
    ),
    "genomics": (
        (("[bam_sort_core] merging from 24 files and {vcpus} in-memory blocks...", "/bin/bash: line 1:    {pid} Killed                  samtools sort -@ {vcpus} -m 3G -o sorted.bam aligned.bam"), 137),
        (("[E::bam_sort_core] out of memory: realloc of the block of {vcpus} threads failed", "samtools sort: couldn't allocate memory for bam_mem"), 1),
        ((), 137),
    ),
    "ray": (
        ((TRACE, "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
          ("Memory on the node (IP: 10.128.0.{pid}, ID: 7be1) where the task (transform_block, ID=c8ef45) was running was {near:.2f}GB / {has:.2f}GB (0.9612), "
          "which exceeds the memory usage threshold of 0.95. Ray killed this worker (ID: 41d0) because it was the most recently scheduled task;")), 1),
    ),
    "dask": (
        (("distributed.nanny.memory - WARNING - Worker tcp://127.0.0.1:{pid} (pid={pid}) exceeded 95% memory budget. Restarting...",
          TRACE, "distributed.scheduler.KilledWorker: Attempted to run task ('join-leaf', 14) on 4 different workers, but all those workers died while running it."), 1),
    ),
    "jvm": (
        (('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
          "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)"), 1),
        (("24/11/30 04:12:09 ERROR Executor: Exception in task 37.0 in stage 12.0 (TID 4021)", "java.lang.OutOfMemoryError: GC overhead limit exceeded",
          "24/11/30 04:12:10 ERROR SparkUncaughtExceptionHandler: Uncaught exception in thread Thread[Executor task launch worker for task 37.0 in stage 12.0]"), 52),
    ),
}  # fmt: skip
"""Last lines and exit status; no line and 137: who reads is told by the service, or by nobody."""

OWN_LIMITS: tuple[tuple[Lines, int, Lines], ...] = (
    (('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', "\tat org.broadinstitute.hellbender.utils.collections.HopscotchMultiMap.<init>(HopscotchMultiMap.java:51)"), 1,
     ("java", "-Xmx6g", "-jar", "/opt/caller.jar")),
    (("<--- JS stacktrace --->", "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory"), 134,
     ("node", "--max-old-space-size=3072", "crawl.js")),
    ((TRACE, "torch.utils.data._utils.worker.WorkerError",
      "RuntimeError: DataLoader worker (pid 211) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit."), 1, ()),
    (("[7f3a] NCCL WARN Error while creating shared memory segment /dev/shm/nccl-Zk3QqD (size 33030528): No space left on device",
      "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error."), 1, ()),
    (("distributed.worker.memory - WARNING - Worker is at 96% memory usage. Process memory: 3.84 GiB -- Worker memory limit: 4.00 GiB",
      TRACE, "distributed.scheduler.KilledWorker: Attempted to run task ('sum-tree', 3) on 4 different workers, but all those workers died while running it."), 1,
     ("dask-worker", "--memory-limit=4GB")),
    ((TRACE, "_duckdb.OutOfMemoryException: Out of Memory Error: failed to allocate data of size 512.0 KiB (7.4 GiB/7.4 GiB used)"), 1,
     ("python", "report.py", "--duckdb-memory-limit=8GB")),
)  # fmt: skip
"""Limits that a program sets itself, or that the container has: last lines, status, arguments."""

ABSURD: tuple[Lines, ...] = (
    (TRACE, '  File "/srv/jobs/pairwise.py", line 22, in <module>',
     "numpy.exceptions._ArrayMemoryError: Unable to allocate 14.2 TiB for an array with shape (1396000, 1396000) and data type float64"),
    (TRACE, "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 41943040000000 bytes. Error code 12 (Cannot allocate memory)"),
    ("Error: cannot allocate vector of size 98212.4 Gb", "Execution halted"),
)  # fmt: skip

# --- devices -----------------------------------------------------------------------------------------

DEVICE_MEMORY: Mapping[str, Lines] = {
    "torch": (TRACE, '  File "/workspace/finetune.py", line 204, in <module>', "    trainer.train()",
              ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {ask:.2f} GiB. GPU 0 has a total capacity of {has:.2f} GiB of which {free:.2f} MiB is free. "
              "Including non-PyTorch memory, this process has {near:.2f} GiB memory in use. Of the allocated memory {alloc:.2f} GiB is allocated by PyTorch, and 512.30 MiB is reserved by PyTorch but unallocated.")),
    "tf": (TRACE, '  File "/usr/local/lib/python3.11/site-packages/keras/src/utils/traceback_utils.py", line 122, in error_handler',
           "tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:",
           "OOM when allocating tensor with shape[{batch},128,256,256] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc"),
    "jax": (TRACE, "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate {bytes} bytes."),
    "vllm": (TRACE, ("ValueError: To serve at least one request with the models's max seq len (32768), ({ask:.2f} GiB KV cache is needed, which is larger than the available KV cache memory (0.61 GiB). "
             "Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.")),
    "rapids": (TRACE, "MemoryError: std::bad_alloc: out_of_memory: CUDA error at: /opt/conda/include/rmm/mr/device/cuda_memory_resource.hpp:62: cudaErrorMemoryAllocation out of memory"),
}  # fmt: skip

NO_DEVICE: tuple[Lines, ...] = (
    (TRACE, '  File "/opt/conda/lib/python3.11/site-packages/transformers/quantizers/quantizer_bnb_4bit.py", line 73, in validate_environment',
     "RuntimeError: No GPU found. A GPU is needed for quantization."),
    (TRACE, "ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere GPU with cuda>=11.0"),
    (TRACE, "lightning.fabric.utilities.exceptions.MisconfigurationException: No supported gpu backend found!"),
    (TRACE, '  File "/opt/conda/lib/python3.11/site-packages/torch/cuda/__init__.py", line 372, in _lazy_init',
     "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from http://www.nvidia.com/Download/index.aspx"),
    (TRACE, "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 100: no CUDA-capable device is detected"),
)  # fmt: skip
SLOW_WITHOUT: tuple[str, ...] = (
    "GPU available: False, used: False",
    "/opt/conda/lib/python3.11/site-packages/torch/cuda/__init__.py:182: UserWarning: CUDA initialization: Found no NVIDIA driver on your system.",
    "WARNING:root:no CUDA device found, running on CPU; this will be slow",
    "W0000 cuda_executor.cc:1228] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
)  # fmt: skip

# --- disk --------------------------------------------------------------------------------------------

DISK_FULL: tuple[Lines, ...] = (
    (TRACE, '  File "/opt/conda/lib/python3.11/site-packages/huggingface_hub/file_download.py", line 1726, in _download_to_tmp_and_move',
     "OSError: [Errno 28] No space left on device: '/home/trainer/.cache/huggingface/hub/models--base/blobs/4f1c.incomplete'"),
    ('samtools sort: failed writing to "/tmp/sort.0042.bam": No space left on device',),
    (TRACE, "RuntimeError: [enforce fail at inline_container.cc:603] . unexpected pos 8589934592 vs 8589934482"),
    ("java.io.IOException: No space left on device", "\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)",
     "org.apache.spark.SparkException: Job aborted due to stage failure: Task 11 in stage 4.0 failed 4 times"),
    (TRACE, "sqlite3.OperationalError: database or disk is full"),
    ("tar: ./shards/part-00117.tar: Cannot write: No space left on device", "tar: Exiting with failure status due to previous errors"),
)  # fmt: skip

# --- services ----------------------------------------------------------------------------------------

SERVICE_ERRORS: tuple[tuple[int, str], ...] = (
    (13, "Internal error encountered."),
    (13, "Internal error occurred for the current attempt."),
    (14, "The service is currently unavailable."),
    (13, "Workerpool0-0 became unreachable: the connection to the virtual machine was lost. Please retry the job."),
)  # fmt: skip
SERVICE_LINES: tuple[Lines, ...] = (
    (TRACE, "google.api_core.exceptions.ServiceUnavailable: 503 POST https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs?prettyPrint=false: Visibility check was unavailable. Please retry the request and contact support if the problem persists"),
    (TRACE, "huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://huggingface.co/api/models/base/tree/main (Request ID: Root=1-67)"),
    (TRACE, "tensorflow.python.framework.errors_impl.UnavailableError: Error executing an HTTP request: HTTP response code 503 when reading gs://{bucket}/shards/part-00042.tfrecord"),
    (TRACE, "google.api_core.exceptions.RetryError: Timeout of 120.0s exceeded, last exception: 503 GET https://storage.googleapis.com/storage/v1/b/{bucket}/o: Service Unavailable"),
    (TRACE, 'sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "10.20.0.3", port 5432 failed: FATAL:  the database system is starting up'),
    (TRACE, "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"),
)  # fmt: skip
TAKEN: tuple[tuple[int, str], ...] = (
    (9, "The replica workerpool0-0 was preempted. The Spot VM was reclaimed by Compute Engine and the number of restarts is used up."),
    (3, "The replica workerpool0-0 exited with a non-zero status of 143. Termination reason: Preempted."),
    (8, "Spot VM instance was preempted."),
)  # fmt: skip
TAKEN_LINES: tuple[Lines, ...] = (
    ("[rank: 0] Received SIGTERM: 15",),
    ("WARNING:absl:preemption notice received, stopping after the current step",),
    (),
)  # fmt: skip
SLOW_SERVICE: tuple[str, ...] = (
    "WARNING urllib3.connectionpool: Retrying (Retry(total=3, connect=None, read=None, redirect=None, status=None)) after connection broken by 'ReadTimeoutError(\"HTTPSConnectionPool(host='features.partner.example', port=443): Read timed out. (read timeout=60)\")': /v3/lookup",
    "INFO lookup: batch {n} answered by https://features.partner.example after 47.{n} s",
    "WARN  [reference] GET http://refdata.partner.example/chr{n}.fa slow: 0.4 MB/s",
)  # fmt: skip

# --- programs that nothing helps ------------------------------------------------------------------------

HOPELESS: Mapping[str, tuple[tuple[Lines, int], ...]] = {
    "user_code_error": (
        ((TRACE, '  File "/srv/train/model.py", line 77, in forward', "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"), 1),
        ((TRACE, '  File "/srv/train/loop.py", line 141, in evaluate', "AttributeError: 'NoneType' object has no attribute 'detach'"), 1),
        ((TRACE, '  File "/srv/jobs/aggregate.py", line 58, in main', "IndexError: list index out of range"), 1),
        ((TRACE, 'polars.exceptions.ColumnNotFoundError: unable to find column "customer_key"; valid columns: ["customer_id", "ts"]'), 1),
        (("panic: runtime error: index out of range [4] with length 4", "goroutine 1 [running]:", "main.merge(...)", "\t/src/merge.go:88 +0x1d"), 2),
        ((TRACE, '  File "/srv/train/loss.py", line 12, in focal', "ZeroDivisionError: float division by zero"), 1),
        (("Error in lm.fit(x, y, offset = offset) : NA/NaN/Inf in 'y'", "Calls: fit_all -> lm -> lm.fit", "Execution halted"), 1),
    ),
    "bad_input": (
        ((TRACE, "pandas.errors.ParserError: Error tokenizing data. C error: Expected 14 fields in line 88213, saw 15"), 1),
        ((TRACE, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x92 in position 41177: invalid start byte"), 1),
        (('[E::hts_open_format] Failed to open file "sample_17.bam" : Exec format error', 'samtools view: failed to open "sample_17.bam" for reading: Exec format error'), 1),
        ((TRACE, "tensorflow.python.framework.errors_impl.DataLossError: corrupted record at 20971520 [Op:IteratorGetNext]"), 1),
        ((TRACE, "PIL.UnidentifiedImageError: cannot identify image file <_io.BytesIO object at 0x7f1c>"), 1),
    ),
    "permission": (
        ((TRACE, "google.api_core.exceptions.Forbidden: 403 GET https://storage.googleapis.com/storage/v1/b/{bucket}/o?prefix=train: team-sa@visitors.iam.gserviceaccount.com does not have storage.objects.list access to the Google Cloud Storage bucket."), 1),
        ((TRACE, "google.api_core.exceptions.PermissionDenied: 403 Permission 'secretmanager.versions.access' denied for resource 'projects/visitors/secrets/db-password/versions/latest' (or it may not exist)."), 1),
        ((TRACE, "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url https://huggingface.co/org/base/resolve/main/config.json. Access to model org/base is restricted."), 1),
    ),
    "invalid_config": (
        (("usage: train.py [-h] --table TABLE --out OUT", "train.py: error: the following arguments are required: --out"), 2),
        ((TRACE, "ModuleNotFoundError: No module named 'trainer'"), 1),
        (("exec /app/entrypoint.sh: exec format error",), 1),
        ((TRACE, "yaml.scanner.ScannerError: mapping values are not allowed here", '  in "/app/config.yaml", line 14, column 9'), 1),
        (("python: can't open file '/app/tasks/main.py': [Errno 2] No such file or directory",), 2),
    ),
}  # fmt: skip

# --- servers -----------------------------------------------------------------------------------------

SERVER_START: tuple[str, ...] = (
    "INFO:     Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)",
    "[1] [INFO] Listening at: http://0.0.0.0:8080 (1)",
    "I1201 04:10:22 server.cc:674] Started HTTPService at 0.0.0.0:8080",
)
SERVER_KILLED: tuple[str, ...] = (
    "[1] [ERROR] Worker (pid:{pid}) was sent SIGKILL! Perhaps out of memory?",
    "INFO:     Child process [{pid}] died",
    "",
)
SERVER_BAD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "bad_input": (
        ("422", '{"detail":[{"type":"missing","loc":["body","instances",0,"age"],"msg":"Field required"}]}'),
        ("400", '{"error": "could not convert string to float: \'n/a\'"}'),
    ),
    "user_code_error": (
        ("500", "Internal Server Error"),
        ("500", '{"error": "KeyError: \'embedding\'"}'),
    ),
}  # fmt: skip
"""Result codes and bodies of a server that refuses every row."""
SERVER_BUG: tuple[Lines, ...] = (
    (TRACE, '  File "/app/serve.py", line 31, in predict', "KeyError: 'embedding'"),
    (TRACE, '  File "/app/serve.py", line 19, in predict', "AttributeError: 'list' object has no attribute 'shape'"),
)  # fmt: skip
SERVER_DOWN: tuple[tuple[str, Lines], ...] = (
    ("503", ("redis.exceptions.ConnectionError: Error 111 connecting to 10.20.0.9:6379. Connection refused.",)),
    ("503", ('grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with: status = StatusCode.UNAVAILABLE details = "failed to connect to all addresses">',)),
    ("429", ("google.api_core.exceptions.TooManyRequests: 429 Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute' of service 'firestore.googleapis.com'",)),
)  # fmt: skip

# --- Gemini ------------------------------------------------------------------------------------------

GEMINI_BUSY: tuple[tuple[int, str], ...] = (
    (8, "Resource exhausted. Please try again later. Please refer to https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."),
    (13, "Internal error encountered while the batch was being processed."),
    (14, "The model is overloaded. Please try again later."),
)  # fmt: skip
GEMINI_BAD: Mapping[str, tuple[tuple[int, str], ...]] = {
    "bad_input": (
        (3, "Failed to parse the input file gs://{bucket}/prompts.jsonl: line 17: missing required field 'request.contents'."),
        (3, "The input table has no column named 'request'."),
    ),
    "permission": (
        (7, "The Vertex AI service agent does not have permission storage.objects.get on gs://{bucket}/prompts.jsonl."),
    ),
    "invalid_config": (
        (5, "Publisher Model `projects/visitors/locations/us-central1/publishers/google/models/gemini-2.5-flahs` was not found or your project does not have access to it."),
    ),
}  # fmt: skip
