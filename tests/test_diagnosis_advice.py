"""Advice names the thing: what a message says is in it, and nothing that nobody can do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.cli.subject import diagnose_inputs
from remediator.diagnosis import diagnose
from remediator.diagnosis.advice_needs import bytes_words
from remediator.diagnosis.advice_products import PRODUCT_RULES
from remediator.diagnosis.advice_rules import RULES
from remediator.diagnosis.advice_statements import remedy_in
from remediator.domain import Cause, Diagnosis
from remediator.inputs import assemble
from remediator.inputs.documents import read_document
from remediator.policy import load
from remediator.workflow.preview import preview
from tests.case_parts import custom

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).parent / "data" / "advice"


def judged(name: str):
    return diagnose(Case.parse(json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    ("name", "verdict", "words"),
    [
        ("container-spec", Cause.INVALID_CONFIG, "compile the pipeline again"),
        ("required-location", Cause.INVALID_CONFIG, "us-central1"),
        ("image-access", Cause.PERMISSION, "roles/artifactregistry.reader"),
    ],
)
def test_known_silent_or_wrong_cases(name: str, verdict: Cause, words: str) -> None:
    found = judged(name)
    assert found.verdict is verdict
    assert words in found.causes[0].advice


def test_advice_on_a_message_that_came_alone_names_no_stand_in() -> None:
    text = b"The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus\n"
    found = diagnose_inputs(assemble([read_document(text, "pasted.txt")]))
    assert found.verdict is Cause.QUOTA
    assert "nvidia_l4_gpus in the job's region, run fewer" in found.causes[0].advice


def test_a_lone_log_is_not_told_what_its_job_has() -> None:
    text = b"trainer: ERROR: no GPU on this machine, giving up\n"
    found = diagnose_inputs(assemble([read_document(text, "pasted.txt")]))
    assert found.verdict is Cause.ACCELERATOR_MISSING
    assert "the job has" not in found.causes[0].evidence[0].says


@pytest.mark.parametrize("word", ["no time left (1h)", "time budget of 60s exhausted"])
def test_a_program_that_ends_by_its_own_time_names_no_error_in_the_code(word: str) -> None:
    text = f"[batch] ERROR: {word}, 3100/12000 documents downloaded\n".encode()
    assert diagnose_inputs(assemble([read_document(text, "pasted.txt")])).verdict is Cause.UNKNOWN


def test_a_lone_line_is_no_section_of_all_the_run() -> None:
    assert judged("lone-line").sections == ()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("403 train@p.iam.gserviceaccount.com does not have storage.objects.get access to the Google Cloud Storage object.", "(for example roles/storage.objectViewer) on the bucket"),
        ("google.genai.errors.ClientError: 429 RESOURCE_EXHAUSTED. Resource exhausted. Please try again later. Please refer to https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.", "The model is asked for more"),
        ("fetch page 2: GET https://rates.partner.example/v2/daily?page=2: unexpected status 503 Service Unavailable", "rates.partner.example answered 503: see that it is up"),
        ("openai.RateLimitError: Error code: 429 - quota exceeded, read https://platform.openai.com/docs/guides/error-codes for help", "The service is asked too often"),
        ("requests.exceptions.HTTPError: 429 Client Error: Too Many Requests for url: https://api.partner.example/v2/items?page=3", "api.partner.example is asked too often: let the job ask more slowly"),
        ("aiohttp.client_exceptions.ClientResponseError: 429, message='Too Many Requests', url=URL('https://api.weather.example/v1')", "ask the owner of api.weather.example for a higher limit"),
        ("anthropic.RateLimitError: Error code: 429 - {'type': 'error', 'error': {'type': 'rate_limit_error', 'message': 'Number of requests has exceeded your rate limit'}}", "The anthropic API is asked too often"),
        ("botocore.exceptions.ClientError: An error occurred (ThrottlingException) when calling the GetRecords operation (reached max retries: 4): Rate exceeded", "The service behind GetRecords is asked too often"),
        ("google.api_core.exceptions.TooManyRequests: 429 GET https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs: Exceeded rate limits: too many api requests per user per method. For more information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas", "bigquery.googleapis.com is asked too often"),
        ("google.api_core.exceptions.ResourceExhausted: 429 Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service 'sheets.googleapis.com'", "sheets.googleapis.com is asked too often"),
        ("google.api_core.exceptions.ResourceExhausted: 429 Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_per_base_model with base model: gemini-pro.", "The job asks Vertex too often: let the job ask more slowly"),
        ("ResourceExhausted: 429 Quota exceeded for quota metric 'CPUs' and limit 'CPUs per region' of service compute.googleapis.com: usage of cpus quota", "run fewer"),
        ("Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p/locations/us-central1/endpoints/7'", "endpoints/7"),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error. Cannot access gated repo for url https://huggingface.co/org/model-7b/resolve/main/config.json.", "org/model-7b"),
        ("HTTPError: 401 Client Error: Unauthorized for url: https://artifacts.example.org/x.whl", "artifacts.example.org refused the request: give the job a token"),
        ("google.api_core.exceptions.Forbidden: 403 GET https://storage.googleapis.com/storage/v1/b/b/o: Forbidden", "storage.googleapis.com refused the job's account"),
        ("ModuleNotFoundError: No module named 'lightgbm'", "lightgbm"),
        ('The accelerator count "8" is not allowed. The allowed numbers of accelerator "NVIDIA_L4" to use with machine type "g2-standard-8" are: [1].', "[1]"),
        ("The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_nvidia_a100_gpus", "custom_model_training_nvidia_a100_gpus in us-central1"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/gcs/data/train.csv'", "/gcs/data/train.csv"),
        ("404 No such object: gs://genomes/2026/chr1.vcf.gz", "gs://genomes/2026/chr1.vcf.gz"),
        ("/app/run.sh: line 4: OUTPUT_DIR: unbound variable", "OUTPUT_DIR"),
        ("train.py: error: unrecognized arguments: --epocs=3", "--epocs=3"),
        ('400 INVALID_ARGUMENT: Machine type "a2-highgpu-1g" is not supported in region us-west2.', "offers in us-west2: a2-highgpu-1g"),
        ('400 INVALID_ARGUMENT: Machine type "n1-standard-9" is not supported.', "n1-standard-9"),
        ("400 INVALID_ARGUMENT: List of found errors: 1.Field: job_spec.worker_pool_specs[0].machine_spec.accelerator_count; Message: accelerator_count must be greater than 0", "Correct job_spec.worker_pool_specs[0].machine_spec.accelerator_count,"),
        ("FloatingPointError: loss is nan at step 412", "412"),
        ("ValueError: step 90 loss: nan", "learning rate"),
        ("java.lang.OutOfMemoryError: Java heap space", "-Xmx"),
        ("numpy.exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)", "7.3 TiB"),
        ("Error: cannot allocate vector of size 3.2 Gb", "3.2 GiB"),
        ("ERROR YarnScheduler: Lost executor 4: Container killed by YARN for exceeding physical memory limits. 22.1 GB of 22 GB physical memory used.", "22 GiB"),
        ('tabix: failed to open "https://ftp.partner.example/a.vcf.gz" : Connection refused', "ftp.partner.example"),
        ("ERROR: solver asked for a GPU, but the binary is built without GPU support", "built without support for GPU"),
        ("requests.exceptions.ConnectTimeout: HTTPConnectionPool(host='warehouse.internal', port=80): Max retries exceeded", "warehouse.internal"),
        ("You do not have permission to act as service_account: train@p.iam.gserviceaccount.com. (or it may not exist).", "roles/iam.serviceAccountUser on train@p.iam.gserviceaccount.com"),
        ("Vertex AI Service Agent service-1@gcp-sa-aiplatform.iam.gserviceaccount.com does not have required permission compute.networkAttachments.get on network attachment projects/net/regions/us-central1/networkAttachments/na. (or it may not exist)", "roles/compute.networkAdmin) on network attachment projects/net/regions/us-central1/networkAttachments/na"),
        ("gcsfs.retry.HttpError: Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: a1B2c3-f6G7, 403", "look up a1B2c3-f6G7"),
        ("Publisher Model `projects/p/locations/us-central1/publishers/google/models/gemini-1.5-pro-002` was not found or your project does not have access to it.", "gemini-1.5-pro-002 is retired"),
        ("ERROR: Could not find a version that satisfies the requirement pandas==2.9.9 (from versions: 0.1, 2.2.2, 2.2.3)", "than pandas==2.9.9: the last that the index has for this Python is 2.2.3"),
        ("ERROR: Could not find a version that satisfies the requirement kfp==2.7.0 (from versions: none)", "no version of kfp==2.7.0 whatever"),
        ("google.api_core.exceptions.TooManyRequests: 429 POST https://storage.googleapis.com/upload/storage/v1/b/ckpt/o: The object ckpt/run7/latest.json exceeded the rate limit for object mutation operations (create, update, and delete).", "ckpt/run7/latest.json is written too often"),
        ("tensorflow.python.framework.errors_impl.DataLossError: corrupted record at 1843200 (Is this even a TFRecord file?) [Op:IteratorGetNext]", "damaged at byte 1843200"),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 18.38G of 15.75G hbm. Exceeded hbm capacity by 2.63G.", "18.38G of each chip's 15.75G"),
        ("ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (67472). Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.", "max_model_len to 67472"),
        ("xgboost.core.XGBoostError: [09:02:31] /workspace/src/data/data.cc:507: Check failed: valid: Label contains NaN, infinity or a value too large.", 'of the input; running it again changes nothing: "Check failed: valid: Label contains NaN'),
        ("error: creating server: Invalid argument: unexpected inference output 'output', allowed outputs are: probs", "allowed outputs are: probs"),
        ("RuntimeError: Not enough memory to handle 8192 prefill tokens. You need to decrease `--max-batch-prefill-tokens`", "You need to decrease `--max-batch-prefill-tokens`"),
        ("RuntimeError: Early stopping conditioned on metric `val_loss` which is not available. Pass in or modify your `EarlyStopping` callback to use any of the following: `train_loss`", "Early stopping conditioned on metric `val_loss`"),
    ],
)  # fmt: skip
def test_advice_has_the_messages_own_values(message: str, words: str) -> None:
    found = diagnose(Case.parse(custom(900, message)))
    entry = {"insertId": "a", "timestamp": "2026-11-23T10:00:00Z", "textPayload": message}
    in_log = diagnose(Case.parse({**custom(900, "The replica workerpool0-0 exited with a non-zero status of 1."), "logEntries": [entry]}))  # fmt: skip
    assert any(words in one.causes[0].advice for one in (found, in_log) if one.causes)
    told = [cause.to_json()["advice"] for cause in (*found.causes, *in_log.causes)]
    assert all(set(one) == {"text", "link"} and one["text"] for one in told)
    assert all(one["link"] or _OTHERS.search(one["text"]) for one in told)


_OTHERS = re.compile(r"partner\.example|warehouse\.internal")  # of whose state Google has no page


@pytest.mark.parametrize(
    ("message", "words", "link"),
    [
        ("requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://rates.partner.example/v2/daily", "whether rates.partner.example is up", ""),
        ("fetch page 2: GET https://rates.partner.example/v2/daily?page=2: unexpected status 503 Service Unavailable", "rates.partner.example answered 503: see that it is up, and", ""),
        ('tabix: failed to open "https://ftp.partner.example/a.vcf.gz" : Connection refused', "ftp.partner.example refused or broke off", ""),
        ("google.api_core.exceptions.ServiceUnavailable: 503 GET https://storage.googleapis.com/storage/v1/b/b/o?prettyPrint=false: Service Unavailable", "", "https://status.cloud.google.com/"),
        ("GET https://storage.googleapis.com/b/o: 503 Service Unavailable", "storage.googleapis.com answered 503: see Google's status page", "https://status.cloud.google.com/"),
        ("Internal error encountered. Please try again.", "Google's status page", "https://status.cloud.google.com/"),
    ],
)  # fmt: skip
def test_googles_status_page_is_named_for_googles_services_alone(
    message: str, words: str, link: str
) -> None:
    entry = {"insertId": "a", "timestamp": "2026-11-23T10:00:00Z", "textPayload": message}
    for body in (custom(900, message), {**custom(900, "The replica workerpool0-0 exited with a non-zero status of 1."), "logEntries": [entry]}):  # fmt: skip
        cause = diagnose(Case.parse(body)).causes[0]
        assert cause.cause is Cause.TRANSIENT_BACKEND
        assert words in cause.advice
        assert cause.advice_url == link
        assert ("status page" in cause.advice) is bool(link)


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("ValueError: Feature 'age' is required. For more information, see https://x.example/docs", "Feature 'age' is required."),
        ("ValueError: flag --fast is gone. Use <https://x.example/new|the new flag> instead of it", "flag --fast is gone. Use the new flag instead of it."),
        ("ValueError: flag --fast is gone. Use [the new flag](https://x.example/new) instead of it", "flag --fast is gone. Use the new flag instead of it."),
        ("<https://x|click> instead of pressing the key", "click instead of pressing the key."),
        ("ValueError: flag --fast is gone. Use --new instead, see <https://x.example/new>", "flag --fast is gone. Use --new instead."),
        ('{"error": {"code": 400, "message": "Please use a valid role: user, model.", "status": "INVALID_ARGUMENT"}}', "Please use a valid role: user, model."),
        ("AnalysisException: name `a` cannot be resolved. Did you mean one of the following? [`b`, `c`].;", "name `a` cannot be resolved. Did you mean one of the following? [`b`, `c`]."),
        ("RuntimeError: CUDA error: device-side assert triggered. For debugging consider passing CUDA_LAUNCH_BLOCKING=1", ""),
        ("Error: model server never became ready. Please validate that your model file or container configuration are valid.", ""),
        ("RuntimeError: the store is away, please try again later", ""),
    ],
)  # fmt: skip
def test_a_message_is_asked_for_the_remedy_that_it_tells_itself(said: str, quoted: str) -> None:
    assert remedy_in([said]) == quoted


def test_a_title_takes_no_host_and_no_account_for_a_permission() -> None:
    said = (
        "403 Forbidden: train@my-project.iam.gserviceaccount.com may not do this, see "
        "https://console.cloud.google.com/iam; storage.googleapis.com says no"
    )
    policies = load((ROOT / "policies.yaml").read_text(), "policies.yaml").policies
    assert policies is not None
    catalog = Catalog.built_in()
    made = [
        preview(Case.parse(custom(900, text)), policies, catalog)
        for text in (said, said + " (storage.objects.get)")
    ]
    told, named = (one.message.title for one in made if one is not None)
    assert "permission" in told
    assert not any(word in told for word in ("google", "iam.", "console"))
    assert "storage.objects.get" in named


def test_nothing_is_left_to_fill_in() -> None:
    for rule in (*PRODUCT_RULES, *RULES):
        assert rule.says.count("{") == rule.says.count("}")


def test_googles_own_image_is_not_to_be_run_elsewhere() -> None:
    body = custom(900, "The replica workerpool0-0 exited with a non-zero status of 2.")
    pool = body["job"]["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"] = {"imageUri": "us-docker.pkg.dev/vertex-ai/training/pytorch-gpu:latest"}
    found = diagnose(Case.parse(body))
    assert all("locally" not in cause.advice for cause in found.causes)


def test_sizes_are_read_as_people_write_them() -> None:
    assert [bytes_words(n) for n in (512 * 2**20, 7.28 * 2**40, 900)] == ["512 MiB", "7.3 TiB", "900 bytes"]  # fmt: skip


@pytest.mark.parametrize("code", [3, None])
@pytest.mark.parametrize(
    "says",
    [
        "input token count is 1200345 but model only supports up to 1048576",
        "400 INVALID_ARGUMENT: The input token count is 1200345 but model only supports up to 1048576.",
        (
            'Bad Request: {"error": {"code": 400, "message": "The input token count (1200345) exceeds the '
            'maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}'
        ),
    ],
)
def test_a_row_with_too_many_tokens_is_input_to_be_shortened(says: str, code: int | None) -> None:
    """Each row of such a batch is a request of its own: no machine and no smaller batch helps it."""
    job = {
        "name": "projects/p/locations/us-central1/batchPredictionJobs/77",
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": "JOB_STATE_SUCCEEDED",
        "createTime": "2026-11-23T18:00:00Z",
        "endTime": "2026-11-23T19:00:00Z",
        "completionStats": {"successfulCount": "99", "failedCount": "1"},
        "partialFailures": [{"message": says} | ({"code": code} if code else {})],
    }
    found = diagnose(Case.parse({"job": job}))
    assert found.verdict is Cause.BAD_INPUT
    assert found.causes[0].advice.startswith(
        "Shorten the row or split it into several: it has 1200345"
    )


def test_of_a_last_line_of_which_nothing_is_known_the_advice_presumes_no_fix():
    found = read_alone("loading tax table\nrule server said no four times, import failed\n")
    assert found.verdict is Cause.USER_CODE_ERROR
    assert found.causes[0].advice.startswith("Read what it wrote before that line")
    known = read_alone("loading tax table\nerror: variable rate is not defined\n")
    assert known.causes[0].advice.startswith("Fix the code")


def read_alone(text: str) -> Diagnosis:
    return diagnose_inputs(assemble([read_document(text.encode(), "job.log")]))
