"""Signatures of data and hosts that could not be reached, or not in time.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature, Tag
from remediator.diagnosis.signs import FAIR, STRONG
from remediator.domain import Cause

_TF = "tensorflow.org/api_docs/python/tf/errors"
_HTTP = "urllib3.readthedocs.io"

NETWORK: tuple[Signature, ...] = (
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
