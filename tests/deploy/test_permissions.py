"""The deployed roles, the page that explains them, and the calls that need them are one list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions as api
from msgspec.structs import replace

from remediator import doctor
from remediator.domain import PermissionDenied
from remediator.ledger import Approval, ApprovalChoice, Incident, Ledger, Stage
from remediator.ledger.firestore import FirestoreStore
from tests.deploy.terraform import ROOT, resource
from tests.ledger.fake_firestore import FakeFirestore
from twin.iam import PERMISSIONS

PAGE = (ROOT / "docs" / "permissions.md").read_text()
EXPLAINED = re.findall(r"^\| `([a-z]+\.\w+\.\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
BY_RESOURCE = {"pubsub.topics.publish", "secretmanager.versions.access"}  # granted on single things


def deployed(*roles: str) -> set[str]:
    """The permissions of our custom roles, as deployed."""
    return {
        permission
        for role in roles
        for permission in resource(f"google_project_iam_custom_role.{role}")["permissions"]
    }


def test_every_deployed_permission_is_explained_once_and_no_other() -> None:
    names = [name for name, _ in EXPLAINED]
    assert len(names) == len(set(names))
    assert set(names) == deployed("worker", "evidence", "ledger", "answers")


@pytest.mark.parametrize(
    ("permission", "why"), [pytest.param(name, why, id=name) for name, why in EXPLAINED]
)
def test_each_explanation_names_the_call_that_needs_it(permission: str, why: str) -> None:
    call = re.match(r"[A-Z]\w+", why)
    assert call is not None
    methods = {m.partition(".")[2] for m, needed in PERMISSIONS.items() if needed == permission}
    if methods and permission.partition(".")[0] != "storage":
        assert call[0] in methods


def test_every_permission_of_the_worker_is_one_that_some_call_needs() -> None:
    needed = set(PERMISSIONS.values())
    assert deployed("worker", "evidence") <= needed


def test_what_is_deleted_or_administered_is_no_business_of_the_worker() -> None:
    held = deployed("worker", "evidence", "ledger")
    assert {name for name in held if name.endswith((".delete", "setIamPolicy", "actAs"))} == {
        "datastore.entities.delete"
    }
    assert held.isdisjoint(BY_RESOURCE)


def test_doctor_asks_for_what_the_worker_is_given() -> None:
    assert set(doctor.PERMISSIONS) == deployed("worker")


# --- the ledger -----------------------------------------------------------------------------------


class Guarded(FakeFirestore):
    """Refuses as Firestore does: cloud.google.com/firestore/docs/security/iam#required_permissions."""

    def __init__(self, granted: set[str]) -> None:
        super().__init__()
        self._granted = granted

    def grant(self, permissions: set[str]) -> None:
        """From now on these."""
        self._granted = permissions

    def _need(self, *verbs: str) -> None:
        if not {f"datastore.entities.{verb}" for verb in verbs} <= self._granted:
            msg = "Missing or insufficient permissions."
            raise api.PermissionDenied(msg)

    def batch_get_documents(self, request: Mapping[str, Any], **options: Any) -> Any:
        self._need("get")
        return super().batch_get_documents(request, **options)

    def run_query(self, request: Mapping[str, Any], **options: Any) -> Any:
        self._need("get", "list")
        return super().run_query(request, **options)

    def commit(self, request: Mapping[str, Any], **options: Any) -> Any:
        for write in request["writes"]:
            condition = write.get("current_document") or {}
            if "delete" in write:
                self._need("delete")
            elif condition.get("exists") is False:
                self._need("create")
            elif condition:
                self._need("update")
            else:
                self._need("create", "update")
        return super().commit(request, **options)


def live(granted: set[str]) -> int:
    """An incident that is opened, moved, due and forgotten; how many documents were forgotten."""
    store = FirestoreStore("p", "d", "c", open_client=lambda _: Guarded(granted))
    ledger = Ledger(store)
    now = datetime(2026, 11, 25, tzinfo=UTC)
    job = "projects/p/locations/us-central1/customJobs/1"
    known = Incident(
        "us-central1/customJobs/1", job, Stage.UNSETTLED, now, "us-central1/customJobs/1"
    )
    opened = ledger.open(replace(known, due=now))
    assert ledger.move(replace(opened, reason="x"))
    assert len(ledger.due(now, 10)) == 1
    return ledger.delete_expired(now + timedelta(days=3650))


def test_the_ledger_lives_with_the_deployed_role() -> None:
    assert live(deployed("ledger")) == 1


def test_a_click_is_written_with_the_approvers_role_which_deletes_and_lists_nothing() -> None:
    granted = deployed("answers")
    assert granted == {f"datastore.entities.{verb}" for verb in ("create", "get", "update")}
    now = datetime(2026, 11, 25, tzinfo=UTC)
    database = Guarded(deployed("ledger"))
    store = FirestoreStore("p", "d", "c", open_client=lambda _: database)
    key, job = "us-central1/customJobs/1", "projects/p/locations/us-central1/customJobs/1"
    asked = Approval("id", "digest", now + timedelta(hours=1))
    Ledger(store).open(Incident(key, job, Stage.APPROVAL, now, key, approval=asked))
    database.grant(granted)
    ledger = Ledger(FirestoreStore("p", "d", "c", open_client=lambda _: database))
    found = ledger.incident(key)
    assert found is not None
    assert ledger.move(
        replace(found, approval=replace(asked, answer=ApprovalChoice.APPROVED, by="ana"))
    )
    with pytest.raises(PermissionDenied, match=r"datastore\.entities"):
        ledger.delete_expired(now + timedelta(days=3650))


@pytest.mark.parametrize("permission", sorted(deployed("ledger")))
def test_the_ledger_misses_each_permission_that_is_taken_away(permission: str) -> None:
    with pytest.raises(PermissionDenied, match=r"datastore\.entities"):
        live(deployed("ledger") - {permission})
