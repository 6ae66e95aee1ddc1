"""The deployed roles, the page that explains them, and the calls that need them are one list."""

from __future__ import annotations

import re

import pytest

from remediator import doctor
from tests.deploy.terraform import ROOT, resource
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
    assert set(names) == deployed("worker", "evidence", "ledger")


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
