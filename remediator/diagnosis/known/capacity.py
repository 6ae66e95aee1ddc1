"""Signatures of machines that are not to be had, quotas that are used up, machines that were taken back.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature, Tag
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, STRONG
from remediator.domain import Cause

_TRAINING = "cloud.google.com/vertex-ai/docs/training/understanding-training-service"
_CODES = "cloud.google.com/apis/design/errors"
_GCE = "cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability"
_QUOTAS = "cloud.google.com/docs/quotas/troubleshoot"
_SPOT = "cloud.google.com/vertex-ai/docs/training/use-spot-vms"
_FIELD = "seen in public issue threads"

CAPACITY: tuple[Signature, ...] = (
    Signature(
        "capacity-region",
        Cause.CAPACITY_STOCKOUT,
        CERTAIN,
        r"resources (are|is) (currently )?(insufficient|unavailable) in (the )?(region|zone)|(insufficient|not enough) resources (are available )?in (the )?(region|zone)|machine type (is )?temporarily (unavailable|not available)",
        _TRAINING,
        explains=("config-region", "config-machine", "capacity-words"),
    ),
    Signature(
        "capacity-zone",
        Cause.CAPACITY_STOCKOUT,
        CERTAIN,
        r"(does|do) not (currently )?have (enough|sufficient) (resources|capacity)|zone_resource_pool_exhausted"
        r"|resource pool (is )?exhausted|scale\.up\.error\.out\.of\.resources|gce out of resources",
        _GCE,
    ),
    Signature(
        "capacity-stockout",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"\bstock-?outs?\b|\bstocked out\b|\bout of ([a-z]+ )?(stock|capacity)\b|_stockout\b",
        _SPOT,
        tags=frozenset({Tag.STOCKOUT}),
        explains=(
            "config-machine",
            "config-field",
            "capacity-words",
        ),
    ),
    Signature(
        "capacity-words",
        Cause.CAPACITY_STOCKOUT,
        STRONG + 0.2,
        r"(insufficient|not enough|no available|lack of|limited) (gpu |tpu |compute |machine |vm |cloud )?(capacity|resources available)"
        r"|no (more )?capacity (is )?(left|available|in)|capacity (is|was) (not|un) ?available"
        r"|(unable|failed|could not|cannot|not able) (to )?(acquire|allocate|obtain|provision|secure) [^.]{0,60}(capacity|resources|accelerators?|gpus?|tpus?|vms?|machines?)"
        r"|not enough resources available|resources (are|is) (temporarily|currently) unavailable"
        r"|(machine type|accelerator|gpu|tpu|vm)s? [^.]{0,60}(is|are) (currently|temporarily) (unavailable|not available)"
        r"|(machine type|accelerator|gpu|tpu|vm|instance)s? [^.]{0,60}(is|are|was) (not available|unavailable) (at (the|this)|right now|now|currently)|there is no more capacity|insufficient(instance)?[_ ]?capacity|waiting for capacity|skunotavailable|sold out\b|no backend with (gpu|tpu)|not enough (servers|nodes|machines|hosts) to|capacity[-_ ]not[-_ ]available|no (runtime|machine|gpu|instance|accelerator|worker|slot|vm)s?( is| are)? available (right now|at the moment|currently|at this time)|capacity restrictions|currently not available in (location|region|zone)|(due to|because of) (very |unusually )?high demand|no capacity for|insufficient free (nodes|slots|slices|resources)|not enough free (nodes|slots|slices)|(no|not (find|have)( any)?|find no|without) available capacity",
        _GCE,
        explains=(
            "config-machine",
            "config-field",
            "backend-again",
        ),
    ),
    Signature(
        "capacity-unschedulable",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"0/\d+ nodes are available|failedscheduling|\d insufficient (nvidia\.com/gpu|cpu|memory)\b|insufficient nvidia\.com/gpu|(didn't|did not) trigger scale-up|failed scale-up",
        "kubernetes.io/docs/concepts/scheduling-eviction",
        explains=("allocation",),
    ),
    Signature(
        "config-affinity",
        Cause.INVALID_CONFIG,
        FAIR + 0.4,
        r"did(n't| not) match (the )?(pod's |pod )?(node )?(affinity|selector)|node affinity/selector",
        "kubernetes.io/docs/concepts/scheduling-eviction",
        explains=("capacity-unschedulable",),
    ),
    Signature(
        "capacity-max-wait",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"max_?wait_?duration|could not be (provisioned|scheduled) (within|in) [^.]{0,40}(wait|time)",
        "cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws",
    ),
)

QUOTA: tuple[Signature, ...] = (
    Signature(
        "quota-metrics",
        Cause.QUOTA,
        CERTAIN,
        r"quota metrics? exceeds? quota limits?|quota failure for|request for [^.]{0,60} exceeds the allowed maximum of \d",
        _QUOTAS,
        explains=("too-large-limit",),
    ),
    Signature(
        "quota-words",
        Cause.QUOTA,
        DECISIVE,
        r"quota[^.]{0,80}\b(exceeded|exhausted|exceeds|reached|insufficient|used up|depleted)\b"
        r"|\b(exceed(s|ed|ing)?|exhausted|out of|insufficient|not enough|hit) [^.]{0,60}quota"
        r"|quota[._]?exceeded|requested: ?\d+ allowed: ?\d+|quota ['\"]?[a-z0-9_]+['\"]? exceeded|(request|need|ask for)[^.]{0,30} quota increase"
        r"|quota restrictions?|resource has been exhausted|check quota|quota (limit )?(is|of|:|=) ?0\b",
        _QUOTAS,
        explains=(
            "too-large-limit",
            "config-field",
            "permission-code",
        ),
    ),
    Signature(
        "quota-maybe",
        None,
        0.0,
        r"quota may (have been|be)|(may|might) (have exceeded|exceed|be out of|be exceeding)[^.]{0,30} quota",
        _FIELD,
        explains=("quota-words", "quota-metrics"),
    ),
    Signature(
        "quota-rate",
        Cause.QUOTA,
        STRONG,
        r"rate_?limit_?exceeded|userratelimitexceeded|ratelimitexceeded|\brate limit(s|ed)?\b"
        r"|too many requests|exceeded (the )?(rate limit|limit of|(max(imum)?|max) (allowed )?number of)"
        r"|too many [^.]{0,60}(outstanding|concurrent(ly)?|in parallel)|the (limit|maximum) (for|of) [a-z0-9_./-]+ [^.]{0,40}(has been|was|is) reached|(limit|maximum)( number)? ?(on|of|for)?( the number of)? concurrent|concurrent [^.]{0,60}limit|(rate|request|quota|usage|api|concurrency|job|connection|user|project)s? limits? (has been |have been |was |were )?reached|reached (the|your) (maximum|limit)|(requests?|calls?|api|was|were|being|been|got|is) throttled|throttl(ed|ing) (by|due|exception|error)|throttlingexception|ratelimiterror",
        _QUOTAS,
        explains=(
            "too-large-query",
            "permission-code",
            "too-large-limit",
            "config-field",
        ),
    ),
    Signature(
        "quota-code",
        Cause.QUOTA,
        STRONG,
        r"\bresource[_ ]?exhausted\b|\b(error|code|status|http)\W{0,4}429\b|\b429 (resource|client|too|the|quota)"
        r"|non-ok result 429|\bcode\W{0,3}8\b|StatusCode\.RESOURCE_EXHAUSTED",
        _CODES,
        symptom=True,
    ),
)

PREEMPTION: tuple[Signature, ...] = (
    Signature(
        "preempted",
        Cause.PREEMPTION,
        DECISIVE,
        r"(was|is|been|is being|got|were|node|instance|vm|worker|tpu|machine|replica|job) (just )?pre-?empted|(in|state|status)\W{0,4}(is )?preempted\b|compute\.instances\.preempted|termination is imminent|pre-?emption (notice|event|signal|warning|detected|imminent|occurred)"
        r"|(spot|preemptible) (vm|instance|node|machine|capacity|worker)s?[^.]{0,60}(terminat|reclaim|interrupt|shut ?down|stopp|evict|delet|taken)|reclaimed by|(spot|preemptible)[^.]{0,40}reclamation|due to (an? )?(spot|preemptible|pre-?emption)|(because|result) of [^.]{0,30}pre-?emption|instance/preempted|preempted to accommodate|reason\W{1,4}preempted\b|preempted by compute engine|spot interruption|host ec2[^.]{0,40}terminated",
        _SPOT,
    ),
    Signature(
        "preemption-maintenance",
        Cause.PREEMPTION,
        FAIR,
        r"terminate_on_host_maintenance|host maintenance event|hostmaintenance|instance terminated (by|due to)|(node|instance|vm) (is )?(shutting|being shut) down|maintenance[- ]event|lame workers found|acpi[^.]{0,40}(shutdown|power)|power key pressed|system is powering (down|off)|going down for (power ?off|halt)",
        "cloud.google.com/compute/docs/instances/host-maintenance-overview",
    ),
    Signature(
        "preemption-node",
        Cause.PREEMPTION,
        STRONG,
        r"imminent node shutdown|node no longer exists|deletionbygcpcontrollermanager|reason\W{0,4}nodeshutdown|papi error code 10\b|(exit code|code|exitcode|status)\W{0,4}50001\b|vm (ended|[^ ]+ stopped) unexpectedly",
        "cloud.google.com/kubernetes-engine/docs/concepts/spot-vms",
    ),
    Signature(
        "preemption-maybe",
        None,
        0.0,
        r"may be due to a preemption",
        "github.com/tensorflow/models/issues/5633",
        explains=("preempted", "network-os"),
    ),
)
