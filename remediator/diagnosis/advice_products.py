"""Advice on what Google's services and well-known frameworks say in words of their own.

Owns a table alone: rules asked before those of `advice_rules`, whose patterns are wider. Each holds the words of one
product, with what its documentation says to do. Called by `advice`.
"""

from __future__ import annotations

from remediator.diagnosis.advice_rule import ACCOUNT, VERTEX, AdviceRule, advice_rule
from remediator.domain import Cause

_GPU_MEMORIES = (Cause.GPU_MEMORY, Cause.INVALID_CONFIG)
_ANY_REFUSAL = (Cause.INVALID_CONFIG, Cause.PERMISSION, Cause.USER_CODE_ERROR)

PRODUCT_RULES: tuple[AdviceRule, ...] = (
    # --- Google Cloud: who may do what ------------------------------------------------------------------
    advice_rule(
        Cause.PERMISSION,
        rf"(?:act as (?:the )?service[_ ]account|denied on service account):? ['\"`]?(?P<account>{ACCOUNT})",
        "Grant whoever creates the job (you, or the account of the pipeline or function that does) roles/iam.serviceAccountUser on {account}, or name another account in the job (serviceAccount).",
        "https://cloud.google.com/iam/docs/service-account-permissions",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"vpcServiceControlsUniqueIdentifier['\"]?[:=] ?['\"]?(?P<id>[\w-]{4,80})",
        "A VPC Service Controls perimeter refused the call, and no role changes that: look up {id} in the troubleshooter of VPC Service Controls, and let the job's account and project in (an ingress or egress rule), or use data inside the perimeter.",
        "https://cloud.google.com/vpc-service-controls/docs/troubleshooter",
    ),
    advice_rule(
        _ANY_REFUSAL,
        r"/b/(?P<bucket>[\w.-]{3,63})/o[^|]{0,300}?requester pays|requester pays[^|]{0,80}?(?P<bucket2>gs://[\w.-]{3,63})|(?P<what>requester pays)",
        "The bucket {bucket|bucket2|=that it asks} is a requester pays one: name a project that pays (the client's `bucket(NAME, user_project=PROJECT)`, `gcloud storage --billing-project`), in which the job's account has roles/serviceusage.serviceUsageConsumer.",
        "https://cloud.google.com/storage/docs/using-requester-pays",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?P<what>default credentials were not found)",
        "Run it again once: every job on Vertex has an account, and these words also stand where its metadata server failed for a moment. If they come again, the job's set-up hides it: look for GOOGLE_APPLICATION_CREDENTIALS, NO_GCE_CHECK or a proxy that takes metadata.google.internal, and that the job's serviceAccount exists and is enabled.",
        f"{VERTEX}/general/custom-service-account",
    ),
    # --- Google Cloud: what is used up ------------------------------------------------------------------
    advice_rule(
        Cause.QUOTA,
        r"insufficient ['\"]?(?P<quota>\w{3,60})['\"]? quota\.? requested (?P<asked>[\d.]{1,12}), available (?P<left>[\d.]{1,12}\d|\d)",
        "Ask for more of the quota {quota} (it asked for {asked}, and {left} are left), use fewer or smaller workers, or run it when other jobs have ended.",
        "https://cloud.google.com/docs/quotas/view-manage",
    ),
    advice_rule(
        Cause.QUOTA,
        r"object (?P<object>[^\s\"']{3,300}) exceeded the rate limit for object mutation",
        "{object} is written too often: Cloud Storage takes about one write a second of the same object. Write it less often, or each time under a name of its own.",
        "https://cloud.google.com/storage/quotas#objects",
    ),
    advice_rule(
        (Cause.CAPACITY_STOCKOUT, Cause.QUOTA, Cause.INVALID_CONFIG),
        r"reservations?/(?P<name>[\w-]{1,63})[^|]{0,200}(?:enough|insufficient|exhausted|in use|capacity|available)|(?:enough|insufficient|exhausted|capacity|available)[^|]{0,120}reservations?/(?P<name2>[\w-]{1,63})",
        "The reservation {name|name2} has no machines left for this job: wait until what uses them has ended, enlarge it, or let the job run outside it (reservationAffinityType NO_RESERVATION).",
        f"{VERTEX}/training/use-reservations",
    ),
    advice_rule(
        (Cause.CAPACITY_STOCKOUT, Cause.QUOTA, Cause.INVALID_CONFIG),
        r"persistent resource ['\"`]?(?P<name>[a-z][\w-]{1,62})['\"`]?[^|]{0,120}(?:enough|insufficient|no idle|capacity|available|in use)",
        "The persistent resource {name} has no machines free for this job: wait until its other jobs have ended, give it more replicas, or run the job outside it.",
        f"{VERTEX}/training/persistent-resource-overview",
    ),
    # --- BigQuery ------------------------------------------------------------------------------------
    advice_rule(
        (Cause.REQUEST_TOO_LARGE, Cause.USER_CODE_ERROR),
        r"(?P<what>resources exceeded during (?:the )?query)",
        "The query needs more than BigQuery gives to one: sort less (no ORDER BY or OVER over all rows), filter or join on less, or write the steps between to tables. No machine of the job changes that.",
        "https://cloud.google.com/bigquery/docs/troubleshoot-queries",
    ),
    advice_rule(
        (Cause.REQUEST_TOO_LARGE, Cause.USER_CODE_ERROR, Cause.INVALID_CONFIG),
        r"(?P<what>response too large to return|responseTooLarge)",
        "The result is larger than BigQuery returns by itself: set a destination table in the query's configuration (and read that), or select less.",
        "https://cloud.google.com/bigquery/docs/writing-results",
    ),
    advice_rule(
        (Cause.BAD_INPUT, Cause.INVALID_CONFIG),
        r"(?:dataset|table) (?P<name>[\w:.-]{3,200}) was not found in location (?P<place>[\w-]{2,40})",
        "BigQuery has no {name} in {place}: see that its name and project are right, and that it lies where the job runs (the multi-regions US and EU are other locations than any region).",
        "https://cloud.google.com/bigquery/docs/locations",
    ),
    # --- models --------------------------------------------------------------------------------------
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.PERMISSION),
        r"publishers/[\w-]{1,60}/models/(?P<model>[\w.@-]{2,100})[`'\"]? (?:was|is) not found",
        "Name a model that can be had in {region} today: {model} is retired, misspelt, offered elsewhere, or not open to this project.",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
    ),
    # --- packages and images -------------------------------------------------------------------------
    advice_rule(
        Cause.INVALID_CONFIG,
        r"satisfies the requirement (?P<package>[\w.\[\],=<>!~ -]{1,120}?) \(from versions: none\)",
        "pip found no version of {package} whatever: the job's network reaches no package index (a VPC without internet or Cloud NAT), or the name is wrong. Put the packages into the image, or name an index that it reaches (PIP_INDEX_URL, such as a remote repository of Artifact Registry).",
        "https://cloud.google.com/artifact-registry/docs/python",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"satisfies the requirement (?P<package>[\w.\[\],=<>!~ -]{1,120}?) \(from versions: (?:[^)]{0,900}, )?(?P<last>[^,)\s]{1,40})\)",
        "Ask for another version than {package}: the last that the index has for this Python is {last}.",
        "https://pip.pypa.io/en/stable/topics/dependency-resolution/",
    ),
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.USER_CODE_ERROR),
        r"(?P<what>CUDA_HOME|\bnvcc\b)[^|]{0,60}(?:does not exist|not set|not found|no such)",
        "The image has no CUDA compiler ({what}): build on a `-devel` image of CUDA, or install the package with its CUDA parts built ahead.",
        "https://hub.docker.com/r/nvidia/cuda",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"cluster was started with:\s+ray: (?P<cluster>[\w.]{1,20})\s+python: (?P<python>[\w.]{1,20})[^|]{0,120}started with:\s+ray: (?P<own>[\w.]{1,20})",
        "Install ray=={cluster} for Python {python} in the job's image, as on the cluster (the image has Ray {own}), or start the cluster anew with the image's versions.",
        f"{VERTEX}/open-source/ray-on-vertex-ai/create-cluster",
    ),
    # --- accelerators --------------------------------------------------------------------------------
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.ACCELERATOR_MISSING),
        r"\b(?P<what>bf16|bfloat16)\b[^|]{0,60}(?:support|compute capability|ampere)|support[^|]{0,30}\b(?P<what2>bf16|bfloat16)\b",
        "Use float16 (half, fp16) or float32 in place of {what|what2}, which GPUs before NVIDIA's Ampere (T4, V100, P100) do not compute, or take an L4, an A100 or newer.",
        f"{VERTEX}/training/configure-compute#specifying_gpus",
    ),
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.ACCELERATOR_MISSING),
        r"you requested gpus?: ?(?P<asked>\[[\d, ]{1,60}\])(?:[^|]{0,20}only has: ?(?P<has>\[[\d, ]{0,60}\]))?",
        'The code asks for the GPUs {asked}, and the machine shows {has|=fewer}: ask for as many as there are (devices="auto"), or give the job so many (acceleratorCount).',
        "https://lightning.ai/docs/pytorch/stable/accelerators/gpu_basic.html",
    ),
    advice_rule(
        _GPU_MEMORIES,
        r"used (?P<used>[\d.]{1,10}[kmgt]) of (?P<most>[\d.]{1,10}[kmgt]) hbm",
        "It needs {used} of each chip's {most}: make the batch of each chip smaller, shard the parameters over more chips, use bfloat16 or rematerialise, or take a larger slice of a TPU.",
        "https://docs.jax.dev/en/latest/gradient-checkpointing.html",
    ),
    advice_rule(
        _GPU_MEMORIES,
        r"max(?:imum)? seq(?:uence)? len(?:gth)? \((?P<asked>\d{1,9})\)[^|]{0,120}kv cache \((?P<room>\d{1,9})\)",
        "Set max_model_len to {room} or less (it is {asked}), or raise gpu_memory_utilization, or take a GPU with more memory: the KV cache holds {room} tokens.",
        "https://docs.vllm.ai/en/latest/configuration/conserving_memory.html",
    ),
    # --- model servers and data ----------------------------------------------------------------------
    advice_rule(
        Cause.INVALID_CONFIG,
        r"meta graph def matching supplied tags: \{ ?(?P<tags>[\w ,]{1,60}?) ?\}",
        "The SavedModel has no graph with the tag {tags}: export it with that tag (`tf.saved_model.save`, `model.export`), or see which it has (`saved_model_cli show --dir DIR`).",
        "https://www.tensorflow.org/guide/saved_model",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"corrupted record at (?P<byte>\d{1,15})",
        "A TFRecord file is cut or damaged at byte {byte}, or compressed and read as if it were not: read each file through to find which, and write that one anew.",
        "https://www.tensorflow.org/tutorials/load_data/tfrecord",
    ),
)  # fmt: skip
