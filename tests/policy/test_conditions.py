"""The `if` of a policy: what it may ask, and what it answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.policy.expression_values import VARIABLES
from remediator.policy.expressions import check, condition, expression_values
from tests.policy.language_cases import CALM, ROOT, texts

FULL: Mapping[str, Any] = {
    "job.kind": "batch_prediction",
    "job.display_name": "nightly",
    "job.location": "us-central1",
    "job.labels": {"env": "prod"},
    "job.service_account": "a@b",
    "job.run_seconds": 700,
    "job.machine.type": "n1-standard-8",
    "job.machine.vcpus": 8,
    "job.machine.memory_gib": 30,
    "job.machine.family": "n1-standard",
    "job.accelerator.type": "NVIDIA_TESLA_T4",
    "job.accelerator.count": 1,
    "job.replicas": 2,
    "job.batch_size": 64,
    "job.model": "projects/1/locations/us-central1/models/2",
    "job.spot": False,
    "job.strategy": "STANDARD",
    "job.disk_gb": 100,
    "job.image": "us-docker.pkg.dev/p/r/train:1",
    "job.exit_code": 137,
    "job.usd_per_hour": 0.44,
    "diagnosis.cause": "memory_pressure",
    "diagnosis.confidence": 0.9,
    "attempt.number": 0,
    "attempt.retries": 0,
    "attempt.cause": "memory_pressure",
    "now.hour": 22,
    "now.weekday": 1,
}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("job.machine.vcpu < 64", "unknown variable `job.machine.vcpu`; did you mean `job.machine.vcpus`?"),
        ("job.machne.vcpus < 64", "unknown variable `job.machne.vcpus`; did you mean `job.machine.vcpus`?"),
        ("vcpus < 3", "unknown variable `vcpus`; did you mean `job.machine.vcpus`?"),
        ("true || job.nope", "unknown variable `job.nope`"),
        ("job.machine_type == 'x'", "unknown variable `job.machine_type`; did you mean `job.machine.type`?"),
        ("job.kind != null", "`!=` compares text with null: always true"),
        ("job.machine == 'x'", "`job.machine` is not a value by itself; in it are `job.machine.type`, `job.machine.vcpus`, `job.machine.memory_gib`, `job.machine.family`"),
        ("job.kind == 5", "`==` compares text with a whole number: never true"),
        ("job.spot == 'yes'", "`==` compares true or false with text: never true"),
        ("job.kind == null", "`==` compares text with null: never true"),
        ("job.kind in 'abc'", "`in` needs a list or a map on its right, got text"),
        ("now.hour in ['22']", "`in` looks for a whole number among text: never true"),
        ("job.run_seconds / 60 > 10", "`/` cannot join a decimal number and a whole number: write whole numbers as 60.0, or convert with double()"),
        ("job.run_seconds % 2.0 == 0", "`%` does not work on a decimal number"),
        ("now.hour", "is a whole number, where true or false is needed"),
        ("now.hour && true", "beside `&&` stands a whole number, where true or false is needed"),
        ("!job.kind", "after `!` stands text, where true or false is needed"),
        ("job.kind = 'x'", "does not compile: unexpected `=`; did you mean `==`?"),
        ("job.spot and true", "does not compile: expected the end, found `and`; did you mean `&&`?"),
        ("(now.hour > 1", "does not compile: expected `)`, found the end"),
        ("", "does not compile: expected a value, found the end"),
        ("job.kind.startswith('a')", "text has no function `startswith`; did you mean `startsWith`?"),
        ("lower(job.kind) == 'a'", "unknown function `lower`"),
        ("job.kind.matches('[')", "`'['` is not a regular expression"),
        ("job.kind.startsWith(3)", "in `startsWith()` stands a whole number, where text is needed"),
        ("job.kind.foo == 1", "text has no field `foo`"),
        ("has(job)", "`job` is not a value by itself; in it are `job.kind`, `job.display_name`, `job.location`, `job.labels`, …"),
        ("'env' in job.labels && (x || y)", "unknown variable `x`"),
        ("(" * 60 + "true" + ")" * 60, "is nested too deeply"),
        ("true" + " || true" * 500, "is too long: 4004 characters, at most 2000"),
        ("9223372036854775808 > 1", "does not compile: invalid int literal (character 1)"),
    ],
)  # fmt: skip
def test_a_condition_is_checked_without_running_it(expression: str, told: str) -> None:
    assert check(expression)[0] == told


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("job.machine.vcpus < 64 && job.run_seconds > 600", True),
        ("job.run_seconds > 600.5", True),
        ("job.machine.memory_gib / 2.0 < 16.0", True),
        ("job.labels.env == 'prod'", True),
        ("job.labels['env'] in ['dev', 'prod']", True),
        ("'team' in job.labels", False),
        ("job.labels == {} || [] == [1]", False),
        ("job.labels != {}", True),
        ("has(job.labels.env) && !has(job.labels.team)", True),
        ("job.labels.exists(k, k.startsWith('e') && job.labels[k] != 'x')", True),
        ("now.hour >= 22 || now.hour < 6", True),
        ("job.machine.type.matches('^n1-(standard|highmem)-[0-9]+$')", True),
        ("job.spot ? job.replicas > 3 : now.weekday == 1", True),
        ("[1, 2].map(x, x * 2).exists(x, x == 4)", True),
        ("size(job.labels) == 1 && job.kind.size() > 3", True),
        ("job.display_name.contains('night') && diagnosis.cause == 'memory_pressure'", True),
        ("!job.spot && -attempt.number == 0", True),
        ("job.labels.team == 'x'", False),
        ("job.labels.team != 'x'", False),
    ],
)
def test_a_condition_holds_or_does_not(expression: str, holds: bool) -> None:
    assert check(expression) == ()
    assert condition(expression)(FULL) is holds


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_missing_value_makes_a_condition_not_hold(name: str) -> None:
    expression = {"bool": "{0} || !{0}", "map": "size({0}) >= 0"}.get(
        VARIABLES[name].type[0], "{0} == {0} || {0} != {0}"
    )
    asked = condition(expression.format(name))
    assert asked.answer(FULL) == (True, "")
    for absent in ({k: v for k, v in FULL.items() if k != name}, {**FULL, name: None}):
        assert asked.answer(absent) == (False, f"{name} not known")
    assert not condition(f"has({name})")({})


def test_values_may_come_nested_and_are_made_ready_once() -> None:
    nested = {"job": {"machine": {"vcpus": 8}}}
    assert condition("job.machine.vcpus == 8")(nested)
    assert condition("job.machine.vcpus == 8")(expression_values(nested))


def test_a_condition_with_a_mistake_does_not_come_to_be() -> None:
    with pytest.raises(ValueError, match=r"unknown variable `job\.nope`"):
        condition("job.nope == 1")


_ints = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("int",)]),
)


_decimals = st.one_of(
    st.sampled_from(["0.5", "600.0", "double(now.hour)"]),
    st.sampled_from([n for n, v in VARIABLES.items() if v.type == ("double",)]),
)


_orders = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


_sums = st.sampled_from(["+", "-", "*"])


_atoms = st.one_of(
    st.sampled_from(["true", "false", "job.spot", "has(job.model)", "'env' in job.labels"]),
    st.builds("{} {} {}".format, _ints, _orders, st.one_of(_ints, _decimals)),
    st.builds("{} {} {} {} {}".format, _ints, _sums, _ints, _orders, _ints),
    st.builds("{} {} {} {} {}".format, _decimals, _sums, _decimals, _orders, _ints),
    st.builds("{} {} {}".format, texts, _orders, texts),
    st.builds("{}.startsWith({})".format, texts, texts),
    st.builds("{} in [{}, {}]".format, texts, texts, texts),
)


_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


@CALM
@given(_expressions)
def test_what_is_well_typed_passes_the_check_and_runs(expression: str) -> None:
    """The checker refuses nothing that the library would run; and what it lets pass, runs."""
    assert check(expression) == ()
    assert condition(expression).answer(FULL)[1] == ""


@CALM
@given(
    st.text(
        alphabet=st.sampled_from("job.machine vcpus()[]{}!&|<>=+-*/%?:,'\"0123 \\\n"), max_size=60
    )
)
def test_no_text_makes_the_check_raise(expression: str) -> None:
    if not check(expression):
        condition(expression).answer(FULL)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[1].exists(x, [2].exists(y, y == x))", "`exists()` inside `exists()`"),
        ("job.labels.all(k, ['a'].filter(y, y == k).size() == 1)", "`filter()` inside `all()`"),
        ("[1].map(x, x + ([2].map(y, y).size())).size() > 0", "`map()` inside `map()`"),
        ("[1].exists(x, true ? [2].all(y, y == x) : false)", "`all()` inside `exists()`"),
        ("[1].map(x, x).map(x, x).exists(x, x == 1)", "more than 2 of"),
        ("([1].map(x, x)).filter(x, true).map(x, x).size() > 1", "more than 2 of"),
        ("[[1].map(x, x), [2].map(x, x)].exists(z, z.size() > 0)", "more than 2 of"),
    ],
)
def test_a_condition_whose_cost_grows_with_its_depth_is_refused(expression: str, said: str) -> None:
    """Refused while it is read: the library is not asked, nothing is run."""
    (problem,) = check(expression)
    assert said in problem
    with pytest.raises(ValueError, match="one"):
        condition(expression)


def test_macros_side_by_side_and_two_in_a_row_are_fine() -> None:
    side_by_side = " || ".join(f"[{n}].exists(x, x == {n})" for n in range(20))
    assert check(side_by_side) == ()
    assert check("job.labels.filter(k, k != 'a').exists(k, k.startsWith('b'))") == ()


def test_the_cel_library_is_paid_for_only_where_an_if_exists() -> None:
    script = (
        "import sys; from remediator.policy.language import load;"
        "load('version: 1\\npolicies: [{name: a}]'); print('cel' in sys.modules);"
        "load('version: 1\\npolicies: [{name: a, when: {if: job.spot}}]'); print('cel' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True"]
