"""The policies of a text or of a local file, bound by the deployment's ceilings.

Owns that a file with one error is refused with all of them, and that its warnings are logged. What is in
force while a file outside the deployment changes is `policy_file`'s. Called by `app`, at every start: it
must import no more than a start needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remediator import log
from remediator.domain import InvalidInput
from remediator.log import LogEvent

if TYPE_CHECKING:
    from remediator.policy import Loaded, Policies
    from remediator.settings import Settings


def read_deployed(settings: Settings) -> tuple[Policies | None, bytes]:
    """The policies within the deployment, and their file's bytes; None where it lies outside.

    Raises InvalidInput, naming the setting.
    """
    if settings.policies.startswith(("gs://", "secret:")):
        return None, b""
    try:
        from remediator import policy  # noqa: PLC0415  # as in `load`

        path = Path(settings.policies)
        text = _read(path)
        return load(text, settings, policy.compiled_beside(path)), text
    except InvalidInput as err:
        msg = f"REMEDIATOR_POLICIES: {err}"
        raise InvalidInput(msg) from err


def load(text: bytes, settings: Settings, compiled: Path | None = None) -> Policies:
    """The policies of a text, bound by the ceilings; raises InvalidInput with every error.

    `compiled` is where a compiled form may lie, of this text or of another.
    """
    from remediator import policy  # noqa: PLC0415  # cold start

    name = settings.policies
    loaded = policy.reread(text, _form(compiled), name) or _read_whole(text, name)
    if loaded.policies is None:
        errors = (m.render(name) for m in loaded.mistakes if m.severity == "error")
        raise InvalidInput("; ".join(errors))
    for mistake in loaded.mistakes:
        log.say("WARNING", LogEvent.POLICY_FILE_WARNING, mistake.render(name))
    return policy.bound(
        loaded.policies,
        max_mode=settings.max_mode,
        max_usd_per_day=settings.max_usd_per_day,
        max_usd_per_job=settings.max_usd_per_job,
        channel_hosts=settings.channel_hosts or None,
    )


def _read_whole(text: bytes, name: str) -> Loaded:
    from remediator import policy  # noqa: PLC0415  # as in `load`
    from remediator.catalog.catalog import Catalog  # noqa: PLC0415  # the first plan reads it

    return policy.load(text, name, catalog=Catalog.built_in())


def _form(compiled: Path | None) -> bytes:
    """Empty where there is none that can be read."""
    try:
        return compiled.read_bytes() if compiled is not None else b""
    except OSError:
        return b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise InvalidInput(msg) from err
