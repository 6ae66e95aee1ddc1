"""What a person can do, in the message's own words: field, role, limit, region, image, module, path.

Owns a table alone, the advice that belongs to a message; `advice_rule` reads it. A rule names the cause it
is for, what it looks for in the texts that spoke for the cause, and a sentence with what was found.
`advice_products` has the rules for one product's words, `advice` the sentence for a cause of which no rule knows more.
Called by `advice`.
"""

from __future__ import annotations

from remediator.diagnosis.advice_rule import ACCOUNT, VERTEX, AdviceRule, advice_rule
from remediator.domain import PERMISSION_NAME, Cause

_IMAGE = r"(?:[a-z0-9-]{1,40}-docker\.pkg\.dev|(?:[a-z]{2,4}\.)?gcr\.io|docker\.io|[a-z0-9.-]{1,80}\.[a-z]{2,10})/[\w./@:-]{1,200}[\w]"
_PERMISSION = PERMISSION_NAME


RULES: tuple[AdviceRule, ...] = (
    # --- permissions --------------------------------------------------------------------------------
    advice_rule(
        Cause.PERMISSION,
        rf"(?:service agent|service account) ['\"`]?(?P<account>{ACCOUNT})['\"`]?[^|]{{0,60}}(?:access to|pull|read) (?:the )?image ['\"`]?(?P<image>{_IMAGE})",
        "Grant {account} the role roles/artifactregistry.reader on the repository of {image} (for gcr.io: roles/storage.objectViewer on its bucket), or push the image to the job's own project.",
        "https://cloud.google.com/artifact-registry/docs/access-control",
    ),
    advice_rule(
        Cause.PERMISSION,
        rf"(?P<account>{ACCOUNT}) (?:does not|doesn't) have ['\"`]?(?P<permission>{_PERMISSION})['\"`]? access to the google cloud storage (?:object|bucket)",
        "Grant {account} {role} on the bucket that it asked for.",
        "https://cloud.google.com/storage/docs/access-control/iam-roles",
    ),
    advice_rule(
        Cause.PERMISSION,
        rf"(?P<account>{ACCOUNT}) (?:does not|doesn't) have (?:the )?(?:required )?(?:permissions? )?['\"`]?(?P<permission>{_PERMISSION})['\"`]?(?: permission)? (?:access )?(?:to|on|for|in) (?:the )?(?P<resource>(?:[a-z]{{3,20}} ){{0,3}}projects/[^\"',; ]{{3,160}}|[^\"',;]{{3,160}}?)(?:\.? |[\"',;]|\.$|$)",
        "Grant {account} {role} on {resource}.",
        "https://cloud.google.com/iam/docs/granting-changing-revoking-access",
    ),
    advice_rule(
        Cause.PERMISSION,
        rf"permission ['\"`]?(?P<permission>{_PERMISSION})['\"`]? (?:was )?denied (?:on|for) (?:resource )?['\"`]?(?P<resource>[^\"'`,;() ]{{3,200}}[\w*/])",
        "Grant the job's account {role} on {resource}.",
        "https://cloud.google.com/iam/docs/granting-changing-revoking-access",
    ),
    advice_rule(
        Cause.PERMISSION,
        rf"(?P<permission>{_PERMISSION})",
        "Grant the account that the message names {role}.",
        "https://cloud.google.com/iam/docs/granting-changing-revoking-access",
    ),
    advice_rule(
        Cause.PERMISSION,
        rf"(?P<account>{ACCOUNT})[^|]{{0,200}}(?P<role>roles/[\w.]{{3,80}})",
        "Grant {account} the role {role}.",
        "https://cloud.google.com/iam/docs/granting-changing-revoking-access",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?:gated repo|access to (?:model|dataset)|cannot access gated|restricted)[^|]{0,400}?(?:(?:huggingface\.co|\d)/(?:datasets/)?|(?:model|dataset) )(?P<repository>[\w.-]{1,80}/[\w.-]{1,100})",
        "Ask for access to {repository} on its page on the Hub, and give the job the token of an account that has it (HF_TOKEN, from Secret Manager).",
        "https://huggingface.co/docs/hub/models-gated",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?P<api>[a-z0-9-]{3,40}\.googleapis\.com)[^|]{0,60}(?:has not been used|is not enabled|is disabled)|(?P<name>[A-Z][\w ]{3,40} API) has not been used in project (?P<project>[\w:-]{3,60})",
        "Enable {api|name} in project {project|=of the job}, wait some minutes, and run the job again.",
        "https://cloud.google.com/service-usage/docs/enable-disable",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"permission denied:? ['\"]?(?P<path>/gcs/[^'\" ]{1,200})",
        "Grant the job's account roles/storage.objectUser on the bucket behind {path}.",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?:errno 13\]?|permission denied)[^|]{0,40}['\"](?P<path>/[^'\"]{1,200})['\"]|(?P<path2>/[^ :'\"]{1,200}): permission denied",
        "The user that the container runs as may not use {path|path2}: give it to that user in the image (chown), or write below /tmp, or to the bucket under /gcs.",
        "https://docs.docker.com/reference/dockerfile/#user",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?:password authentication failed|access denied|login failed|authentication failed) for user ['\"]?(?P<user>[\w.@-]{1,80})",
        "The server refuses the login of {user}: check the password that the job is given, and whether this user may log in from the job's network.",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"(?P<words>defaultcredentialserror|default credentials were not found|could not automatically determine credentials|metadata\.google\.internal)",
        "The job has no identity of its own: name a service account on the job (serviceAccount) that exists and is enabled, and let the code use the default credentials.",
        f"{VERTEX}/general/custom-service-account",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"\b40[13]\b[^|]{0,80}https?://(?P<host>[\w.-]{0,60}(?:googleapis\.com|google\.internal))\b",
        "{host} refused the job's account: grant it the role that this call needs.",
        "https://cloud.google.com/iam/docs/granting-changing-revoking-access",
    ),
    advice_rule(
        Cause.PERMISSION,
        r"\b40[13]\b[^|]{0,80}https?://(?P<host>[\w-]{1,60}(?:\.[\w-]{1,60}){1,6})\b",
        "{host} refused the request: give the job a token or a login that has access (from Secret Manager), and accept the terms of use there where it asks for that.",
        "https://cloud.google.com/secret-manager/docs",
    ),
    # --- another service ---------------------------------------------------------------------------
    advice_rule(
        Cause.TRANSIENT_BACKEND,
        r"\b(?:https?|ftps?|sftp)://(?P<host>[\w.-]{3,100})[^|]{0,200}: ?(?:connection (?:refused|reset)|device or resource busy)",
        "{host} refused or broke off the connection: see that it is up and lets the job's network in, and run the job again when it answers.",
    ),
    advice_rule(
        Cause.TRANSIENT_BACKEND,
        r"\bhttps?://(?P<host>(?:[\w-]{1,60}\.){1,6}(?:googleapis\.com|google\.internal))\b[^|]{0,200}\b(?P<status>50[0234])\b",
        "{host} answered {status}: see Google's status page, and run the job again when it answers.",
    ),
    advice_rule(
        Cause.TRANSIENT_BACKEND,
        r"\bhttps?://(?P<host>(?:[\w-]{1,60}\.){1,6}[a-z]{2,20})\b[^|]{0,200}\b(?P<status>50[0234])\b",
        "{host} answered {status}: see that it is up, and run the job again when it answers.",
    ),
    # --- configuration ------------------------------------------------------------------------------
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\b(?P<device>gpu|cuda|rocm|opencl)\b[^.|]{0,80}\bnot (?:enabled|built|compiled|included|supported) (?:in|by|with)\b|\b(?:built|compiled|build|binary|wheel)\b[^.|]{0,40}\bwithout\b[^.|]{0,20}\b(?P<other>gpu|cuda|rocm|opencl)\b|\bwithout (?P<package>gpu|cuda|rocm|opencl) (?:package|support)\b",
        "The program in the image is built without support for {device|other|package}, and no machine changes that: use an image (or a package) that is built with it, or tell the program to compute on the CPU.",
        f"{VERTEX}/training/pre-built-containers",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"required location: (?P<location>[\w-]{2,40})(?:[^|]{0,40}location type: (?P<type>[\w-]{2,20}))?(?:[^|]{0,40}storage class: (?P<class>[\w-]{2,20}))?",
        "Use a bucket in {location} ({type|=regional}, storage class {class|=Standard}) for this job's output: a multi-region is another location.",
        "https://cloud.google.com/storage/docs/locations",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?P<what>parse the container spec json payload)",
        "The component's container spec no longer parses: compile the pipeline again with the SDK and the component versions that run it today (kfp, google-cloud-pipeline-components).",
        f"{VERTEX}/pipelines/build-pipeline",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"allowed numbers? of accelerator ['\"]?(?P<accelerator>\w{3,40})['\"]? to use with machine type ['\"]?(?P<machine>[\w-]{3,40})['\"]? are:? (?P<allowed>\[[\d, ]{1,40}\])",
        "Set the accelerator count to one of {allowed}: with {machine} no other number of {accelerator} can be had.",
        f"{VERTEX}/training/configure-compute#specifying_gpus",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\bfield: (?P<field>[a-z][\w.\[\]-]{1,200}); message: ",
        "Correct {field}, as the message says; as it stands the job can never run.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\bmachine type ['\"]?(?P<machine>[a-z][\w-]{2,40})['\"]? is not supported(?: in (?:region )?(?P<place>[a-z]+-[a-z]+\d+))?",
        "Set machine_type to one that Vertex offers in {place|region}: {machine} is not. The job can never run with it.",
        f"{VERTEX}/training/configure-compute#machine-types",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?:is|are) in location ['\"]?(?P<here>[\w-]{2,40})[^|]{0,120}(?:must be|should be|but)[^|]{0,60}(?P<there>(?:us|europe|asia|australia|southamerica|northamerica|me|africa)-[a-z]+\d)",
        "It is in {here}, and must be in {there}: copy it there, or run the job where it is.",
        "https://cloud.google.com/storage/docs/locations",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        rf"(?:manifest|image|pull|imagepullbackoff|reference)[^|]{{0,160}}?(?P<image>{_IMAGE})",
        "Check that {image} exists with this very tag, in a repository that Vertex's service agent may read.",
        "https://cloud.google.com/artifact-registry/docs/docker/troubleshoot",
    ),
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.ACCELERATOR_MISSING),
        r"\b(?P<library>lib(?:cuda|nvidia-[\w-]{1,30}|nvcuvid)\.so[.\d]{0,12})",
        "{library} belongs to NVIDIA's driver, which a machine with a GPU brings: give the job an accelerator, or let the code run without.",
        f"{VERTEX}/training/configure-compute#specifying_gpus",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\b(?P<library>lib[\w.+-]{1,80}\.so[.\d]{0,12})[^|]{0,40}(?:cannot open|no such)|\b(?P<header>[\w./+-]{1,80}\.(?:h|hh|hpp|hxx|cuh))\b[^|]{0,20}(?:no such|not found)|cannot find -l(?P<link>[\w+-]{1,60})",
        "The image has no {library|header|link}: install the system package that brings it, and build the image anew.",
        f"{VERTEX}/training/create-custom-container",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?:no such file or directory: ['\"](?P<program>[\w.+-]{1,80})['\"]|no executable found[^|]{0,20}['\"](?P<program2>[\w.+-]{1,80})['\"]|(?P<program3>[\w.+-]{2,80}): (?:command )?not found|dependency ['\"](?P<program4>[\w.+-]{1,80})['\"] not found|provided by ['\"](?P<program5>[\w.+-]{1,80})['\"])",
        "The image has no {program|program2|program3|program4|program5}: install it there (on PATH, where it is a program), or name where it is.",
        f"{VERTEX}/training/create-custom-container",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?P<file>[\w./-]{0,160}\w\.(?:conf|cfg|cnf|ini|toml|properties|vcl|ya?ml))['\"]?(?::(?P<line>\d{1,7})|[^|]{0,30}?\bline:? (?P<line2>\d{1,7}))",
        "Correct {file} at line {line|line2}, as the message says; the job can never run with it.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\bline (?P<line>\d{1,7}) (?:in file|of|in) ['\"]?(?P<file>/[\w./-]{2,160})",
        "Correct {file} at line {line}, as the message says; the job can never run with it.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"^KeyError: ['\"](?P<name>[A-Z][A-Z0-9_]{2,60})['\"]$|(?P<name2>[A-Z][A-Z0-9_]{2,60}) not found\W[^|]{0,30}\benv",
        "Set {name|name2} in the job's environment (containerSpec.env).",
        f"{VERTEX}/training/code-requirements#environment-variables",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"\b(?:unknown|unrecogni[sz]ed|invalid|bad|undefined|undeclared)(?: [\w-]{1,20}){0,2} (?:directive|option|flag|switch|variable|setting|key|backend|command|field|task)[:\s]{1,3}['\"`]?(?P<name>[\w./=-]{1,80})",
        "Correct {name} in the program's settings or arguments: this version does not know it.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"environment variables? ['\"`]?(?P<name>[A-Z][A-Z0-9_]{2,60})|(?P<name2>[A-Z][A-Z0-9_]{2,60}): unbound variable",
        "Set {name|name2} in the job's environment (containerSpec.env).",
        f"{VERTEX}/training/code-requirements#environment-variables",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?:unrecognized arguments?|no such option|unknown (?:flag|option|argument)):? ['\"]?(?P<argument>-{1,2}[\w=.-]{1,80})",
        "Take {argument} out of the job's arguments, or run the image that knows it.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?:is|it listens where nobody outside)[^|]{0,120}(?P<host>127\.0\.0\.1|localhost)(?::(?P<port>\d{2,5}))?",
        "Let the server listen on 0.0.0.0:{port|=8080}: on {host} nobody outside its container reaches it.",
        f"{VERTEX}/predictions/custom-container-requirements",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"it listens on (?P<port>\d{2,5}), and is asked on (?P<expected>\d{2,5})",
        "Let the server listen on port {expected} (AIP_HTTP_PORT), or say {port} in the Model's containerSpec.ports.",
        f"{VERTEX}/predictions/custom-container-requirements",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"health route was answered (?P<status>\d{3})[^|]{0,80}?(?:get|head) (?P<path>/[^ \"]{0,100})",
        "The health route {path} answers {status}: name the server's own route in the Model (containerSpec.healthRoute), or answer 200 there.",
        f"{VERTEX}/predictions/custom-container-requirements",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?:address already in use|eaddrinuse)[^|]{0,80}?(?P<port>\b\d{2,5}\b)|port:? (?P<port2>\d{2,5})[^|]{0,120}(?:address already in use|eaddrinuse)",
        "Port {port|port2} is taken by another process of the same container: start the server once, or on another port.",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"host not found in upstream ['\"](?P<host>[\w.-]{1,100})['\"][^|]{0,40}?(?:in (?P<file>/[\w./-]{1,100}:\d{1,6}))?",
        "nginx knows no host {host}: all processes of a serving container share one network, so use 127.0.0.1 and the port ({file|=in nginx.conf}).",
    ),
    advice_rule(
        Cause.INVALID_CONFIG,
        r"(?P<what>certificate[ _]verify[ _]failed|self[- ]signed certificate|unable to get local issuer)",
        "The server's certificate is signed by an authority that the image does not know: add it to the image (REQUESTS_CA_BUNDLE, SSL_CERT_FILE), or let the traffic pass the proxy unbroken.",
    ),
    advice_rule(
        (Cause.INVALID_CONFIG, Cause.USER_CODE_ERROR),
        r"\b(?P<project>[a-z0-9]{8,30}-tp)\b",
        "{project} is Google's own project, where the work runs: name your project in full wherever the job or the code names a table, a bucket or a client (bq://PROJECT.DATASET, project=PROJECT).",
    ),
    # --- input --------------------------------------------------------------------------------------
    advice_rule(
        Cause.BAD_INPUT,
        r"\btokens? count\b[^|]{0,20}?(?P<count>\d{3,12})\b[^|]{0,80}?\b(?P<most>\d{3,12})\b",
        "Shorten the row or split it into several: it has {count} tokens, and the model takes {most} at most. Running it again as it is changes nothing.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?P<uri>(?:gs|bq|s3)://[^\s\"'`,;)\]]{3,300}[^\s\"'`,;)\].:])",
        "Check {uri}: whether it is there under this very name, and readable as what the job takes it for.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?:no such file(?: or directory)?|filenotfounderror|errno 2\]|does not exist|not found)[^|]{0,80}?['\":]\s?(?P<path>(?:file:)?/[^\s'\",]{2,300})"
        r"|(?P<path2>/[^\s:'\",]{2,300}): no such file",
        "There is no {path|path2} in the container: bring the file there (a bucket is at /gcs/BUCKET), or name where it is.",
        f"{VERTEX}/training/code-requirements#fuse",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?P<path>/[\w.+-]{1,80}/[^\s:'\",;)\]]{1,300})['\"]?(?::|[^|]{0,40}?\bline )(?P<line>\d{1,9})\b",
        "Look at {path}, line {line}: fix it or leave it out, and see whether others are like it.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?:column|field|feature|key)s? ['\"\[(]{1,3}(?P<column>[\w .-]{1,60})['\"\])]{1,3}[^|]{0,60}(?:not found|missing|does not exist|not in|unseen)|(?:missing|keyerror:) ['\"](?P<column2>[\w .-]{1,60})['\"]",
        "Give the input the field {column|column2}, or name the one that it has instead.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?:in|at|on|line|row|record)s? (?:line|row|record)? ?(?P<number>\d{1,12})\b[^|]{0,80}",
        "Look at row {number} of the input, fix it or leave it out, and see whether others are like it.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?:source|file|input|image|open(?:ing)?) ['\"](?P<path>[^'\"]{3,300})['\"]",
        "Look at {path}: it is not whole, or not of the format that the code expects.",
    ),
    advice_rule(
        Cause.BAD_INPUT,
        r"(?:^|[^/:\w])(?P<path>/[\w.+-]{1,80}/[^\s:'\",;)\]]{1,300}\w)",
        "Look at {path}: it is not whole, or not of the format that the program expects.",
    ),
    # --- code ---------------------------------------------------------------------------------------
    advice_rule(
        Cause.USER_CODE_ERROR,
        r"no module named ['\"]?(?P<module>[\w.]{1,80})|cannot find module ['\"](?P<module2>[@\w./-]{1,80})",
        "Put {module|module2} into the image (its requirements, pinned), and build the image anew.",
        f"{VERTEX}/training/create-custom-container",
    ),
    advice_rule(
        Cause.USER_CODE_ERROR,
        r"cannot import name ['\"](?P<name>\w{1,80})['\"] from ['\"](?P<module>[\w.]{1,80})",
        "The installed {module} has no {name}: pin the version that the code was written for.",
    ),
    advice_rule(
        Cause.USER_CODE_ERROR,
        r"(?P<what>\bloss[^|]{0,40}\b(?:nan|inf)\b|\bnan\b[^|]{0,40}loss|(?:nan|inf) (?:detected|encountered)|nonfinite|non-finite)(?:[^|]{0,40}step (?P<step>\d{1,9}))?",
        "The loss left the finite numbers{step: at step }: lower the learning rate, clip gradients, and look for empty or infinite values in the data just before; more hardware changes nothing.",
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html",
    ),
    advice_rule(
        Cause.USER_CODE_ERROR,
        r"(?P<module>[\w.]{2,60})[^|]{0,60}(?:undefined symbol|glibc|dtype size changed|compiled using numpy 1)",
        "{module} was built for another version of what it stands on: pin both, and build the image anew.",
    ),
    # --- what is used up -------------------------------------------------------------------------
    advice_rule(
        Cause.QUOTA,
        r"(?:^|[^/\w.-])(?P<quota>[a-z-]{3,40}\.googleapis\.com/[a-z0-9_]{5,100})",
        "Ask for more of the quota {quota} in {region}, run fewer such jobs at once, or use a region where it is free.",
        f"{VERTEX}/quotas",
    ),
    advice_rule(
        Cause.QUOTA,
        r"(?P<what>'maxmemory'|maximum number of clients|max number of clients|too many (?:clients|connections))",
        "The limit is the other server's ({what}): raise it there, or let fewer processes of the job use it at once.",
    ),
    advice_rule(
        (Cause.QUOTA, Cause.CAPACITY_STOCKOUT, Cause.TRANSIENT_BACKEND),
        r"(?P<page>generative-ai/docs/error-code-429)",
        "The model is asked for more than it has room for now: send fewer requests at once, try each again after a growing wait, or use the global endpoint or Provisioned Throughput.",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429",
    ),
    advice_rule(
        Cause.CAPACITY_STOCKOUT,
        r"insufficient in region:? (?P<region>[a-z]+-[a-z]+\d)",
        "Take another region than {region} that holds the data, another machine or accelerator, or queue for it (FLEX_START).",
        f"{VERTEX}/training/schedule-jobs-dws",
    ),
    # --- services and hosts ------------------------------------------------------------------------
    advice_rule(
        (Cause.TRANSIENT_BACKEND, Cause.NETWORK_LATENCY),
        r"host=['\"](?P<host>[\w.-]{1,150})['\"](?:, port=(?P<port>\d{1,5}))?|(?:connect(?:ing)? to|resolve|reach|answer from|address of|host) ['\"]?(?P<host2>(?:[\w-]{1,60}\.){1,6}[a-z][\w-]{1,30}(?::\d{2,5})?)",
        "The trouble is at {host|host2}: see that it is up and that the job's network reaches it (peering, firewall, proxy); what is fetched from it again and again belongs in a bucket near the job.",
    ),
)  # fmt: skip
