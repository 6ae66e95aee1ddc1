"""The environment, read once into a frozen value; every mistake at once, each by its name.

Owns the names and meanings of the contract's settings. Opens nothing: no metadata server, no file.
Called by `main` at import and by the command line.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from remediator.domain import InvalidInput, Mode
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import seconds_of

T = TypeVar("T")

_LONGEST = timedelta(days=3650)  # what is further away cannot be reckoned with
_HOST = late_pattern(r"[^\s/,@]{1,253}")
_ACCOUNT = late_pattern(r"[^\s/,]{1,320}")
REGION = late_pattern(r"[a-z]+-[a-z]+[0-9]+")
_TOPIC = late_pattern(r"(projects/[a-z0-9.:-]{1,100}/topics/)?[A-Za-z][\w.~+%-]{2,254}")


class Settings(Struct, frozen=True):
    """What the environment says. Empty text: not set, so that it is asked for when first needed."""

    project: str = ""
    project_number: str = ""
    policies: str = ""
    max_mode: Mode | None = None
    max_usd_per_day: float | None = None
    max_usd_per_job: float | None = None
    channel_hosts: tuple[str, ...] = ()
    ledger: str = ""
    locations: tuple[str, ...] = ()
    lookback: timedelta = timedelta(hours=6)
    settle: timedelta = timedelta(minutes=7)
    lease: timedelta = timedelta(minutes=10)
    consistency_wait: timedelta = timedelta(minutes=2)
    stop: bool = False
    resend_refused: bool = False
    service_accounts: tuple[str, ...] = ()
    outcomes_topic: str = ""
    resume_bucket: str = ""
    resume_dataset: str = ""
    vertex_endpoint: str = ""
    logging_endpoint: str = ""
    monitoring_endpoint: str = ""
    on_cloud: bool = False

    @property
    def is_local(self) -> bool:
        """The Vertex endpoint is a loopback one: only then may loopback be probed."""
        return bool(self.vertex_endpoint)


def read(environ: Mapping[str, str], *, here: Path) -> Settings:
    """Settings from environment variables; raises InvalidInput naming every bad one, on one line.

    `here` is the folder of `main.py`, beside which the policy file lies unless told otherwise.
    """
    reader = _SettingsReader(environ)
    on_cloud = bool(environ.get("K_SERVICE"))
    policies = reader.take("REMEDIATOR_POLICIES", _policies, str(here / "policies.yaml"))
    settings = Settings(
        project=reader.take("GOOGLE_CLOUD_PROJECT", _project, ""),
        project_number=reader.take("GOOGLE_CLOUD_PROJECT_NUMBER", _number, ""),
        policies=policies,
        max_mode=reader.take("REMEDIATOR_MAX_MODE", _mode, None),
        max_usd_per_day=reader.take("REMEDIATOR_MAX_USD_PER_DAY", _usd, None),
        max_usd_per_job=reader.take("REMEDIATOR_MAX_USD_PER_JOB", _usd, None),
        channel_hosts=reader.take("REMEDIATOR_CHANNEL_HOSTS", _hosts, ()),
        ledger=reader.take("REMEDIATOR_LEDGER", _ledger, ""),
        locations=reader.take("REMEDIATOR_LOCATIONS", _locations, ()),
        lookback=reader.take("REMEDIATOR_LOOKBACK", duration, timedelta(hours=6)),
        settle=reader.take("REMEDIATOR_SETTLE", duration, timedelta(minutes=7)),
        lease=reader.take("REMEDIATOR_LEASE", duration, timedelta(minutes=10)),
        consistency_wait=reader.take("REMEDIATOR_CONSISTENCY_WAIT", duration, timedelta(minutes=2)),
        stop=reader.take("REMEDIATOR_STOP", _switch, default=False),
        resend_refused=reader.take("REMEDIATOR_RESEND_REFUSED", _switch, default=False),
        service_accounts=reader.take("REMEDIATOR_SERVICE_ACCOUNTS", _accounts, ()),
        outcomes_topic=reader.take("REMEDIATOR_OUTCOMES_TOPIC", _topic, ""),
        resume_bucket=reader.take("REMEDIATOR_RESUME_BUCKET", _bucket, ""),
        resume_dataset=reader.take("REMEDIATOR_RESUME_DATASET", _dataset, ""),
        vertex_endpoint=reader.take("REMEDIATOR_VERTEX_ENDPOINT", _loopback, ""),
        logging_endpoint=reader.take("REMEDIATOR_LOGGING_ENDPOINT", _loopback, ""),
        monitoring_endpoint=reader.take("REMEDIATOR_MONITORING_ENDPOINT", _loopback, ""),
        on_cloud=on_cloud,
    )
    for name in ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        reader.take(
            name, _emulator, ""
        )  # read by Google's clients; here it is only held to loopback
    if on_cloud and not settings.ledger.startswith("firestore://"):
        reader.mistakes.append(
            "REMEDIATOR_LEDGER: on Cloud Functions it must be firestore://DATABASE/COLLECTION, "
            "since instances share no disk and SQLite would forget every claim"
        )
    if policies.startswith(("gs://", "secret:")):
        ceilings = ("MAX_MODE", "MAX_USD_PER_DAY", "MAX_USD_PER_JOB", "CHANNEL_HOSTS")
        missing = [f"REMEDIATOR_{n}" for n in ceilings if not environ.get(f"REMEDIATOR_{n}")]
        if missing:
            reader.mistakes.append(
                f"{', '.join(missing)}: required as a ceiling, since REMEDIATOR_POLICIES comes "
                "from outside the deployment"
            )
    if reader.mistakes:
        raise InvalidInput("; ".join(reader.mistakes))
    return settings


class _SettingsReader:
    """Takes one variable after the other and keeps what is wrong with each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.mistakes: list[str] = []

    def take(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as err:
            self.mistakes.append(f"{name}={text[:80]!r}: {err}")
            return default


def duration(text: str) -> timedelta:
    """`90s`, `10m`, `2h30m`, `1.5d`; raises ValueError for anything else."""
    seconds = seconds_of(text.strip())
    if seconds is None:
        msg = "not a duration such as 90s, 10m or 6h"
        raise ValueError(msg)
    if seconds > _LONGEST.total_seconds():
        msg = f"longer than {_LONGEST.days} days"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def _project(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.:-]{1,100}", text):
        msg = "not a project id"
        raise ValueError(msg)
    return text


def _number(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,30}", text):
        msg = "not a project number"
        raise ValueError(msg)
    return text


def _policies(text: str) -> str:
    if text.startswith("gs://") and not re.fullmatch(r"gs://[a-z0-9._-]+/.+", text):
        msg = "not gs://BUCKET/OBJECT"
        raise ValueError(msg)
    return text


def _mode(text: str) -> Mode | None:
    if text not in {mode.value for mode in Mode}:
        msg = "not one of enforce, approve, observe"
        raise ValueError(msg)
    return Mode(text)


def _usd(text: str) -> float | None:
    try:
        usd = float(text)
    except ValueError:
        usd = math.nan
    if not math.isfinite(usd) or usd < 0:
        msg = "not an amount of US dollars"
        raise ValueError(msg)
    return usd


def _names(text: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
    """The parts between commas, each held to the pattern; a list of nothing would mean any."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    bad = [name for name in names if not pattern.fullmatch(name)]
    if bad or not names:
        msg = f"not {what}: {', '.join(bad) or text}"
        raise ValueError(msg)
    return names


def _hosts(text: str) -> tuple[str, ...]:
    return _names(text, _HOST, "the name of a host")


def _accounts(text: str) -> tuple[str, ...]:
    return _names(text, _ACCOUNT, "the e-mail of a service account")


def _locations(text: str) -> tuple[str, ...]:
    return _names(text, REGION, "a region")


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        msg = "not a topic's name, nor projects/PROJECT/topics/NAME"
        raise ValueError(msg)
    return text


def _bucket(text: str) -> str:
    if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^*?\[\]#\s]*)?", text):
        msg = "not gs://BUCKET or gs://BUCKET/PREFIX"
        raise ValueError(msg)
    return text.rstrip("/")


def _dataset(text: str) -> str:
    """`PROJECT.DATASET`, with or without `bq://` before it; given back with it."""
    found = re.fullmatch(r"(?:bq://)?([a-z][a-z0-9.:-]{4,100})\.([A-Za-z0-9_]{1,1024})", text)
    if found is None:
        msg = "not PROJECT.DATASET"
        raise ValueError(msg)
    return f"bq://{found[1]}.{found[2]}"


def resume_targets(environ: Mapping[str, str]) -> tuple[str, str]:
    """The bucket and the dataset for resumed batches alone, for what needs no other setting.

    Raises InvalidInput naming what is wrong.
    """
    reader = _SettingsReader(environ)
    bucket = reader.take("REMEDIATOR_RESUME_BUCKET", _bucket, "")
    dataset = reader.take("REMEDIATOR_RESUME_DATASET", _dataset, "")
    if reader.mistakes:
        raise InvalidInput("; ".join(reader.mistakes))
    return bucket, dataset


def _ledger(text: str) -> str:
    if not re.fullmatch(r"sqlite:///.+|firestore://[^/]+/[^/]+", text):
        msg = "not sqlite:///PATH or firestore://DATABASE/COLLECTION"
        raise ValueError(msg)
    return text


def _switch(text: str) -> bool:
    if text not in {"0", "1"}:
        msg = "not 0 or 1"
        raise ValueError(msg)
    return text == "1"


def _loopback(text: str) -> str:
    if not _is_at_loopback(text):
        msg = "must be host:port of a gRPC server on loopback, since it is spoken to in plaintext"
        raise ValueError(msg)
    return text


def _emulator(text: str) -> str:
    """As Google's clients understand it; some take a scheme in front."""
    if not text.startswith("https://") and not _is_at_loopback(text.removeprefix("http://")):
        msg = "must be on loopback, since it is spoken to in plaintext"
        raise ValueError(msg)
    return text


def _is_at_loopback(text: str) -> bool:
    match = re.fullmatch(r"(localhost|[0-9.]+|\[[0-9a-f:.]+\]):([0-9]{1,5})/?", text)
    if match is None or not 0 < int(match[2]) < 2**16:
        return False
    if match[1] == "localhost":
        return True
    try:
        return ipaddress.ip_address(match[1].strip("[]")).is_loopback
    except ValueError:
        return False
