"""The one redactor: what goes, what stays, and how long it may take."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.redaction import MARK, redact, redact_json

PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow+/=\nAAAA\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl-_x"  # fmt: skip
SECRETS = {
    "google access token": "ya29.a0AfH6SMBx-1234567890_abc",
    "google api key": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "google client secret": "GOCSPX-abcdefghijklmnop",
    "google refresh token": "1//0gabcdefghijklmnopqrstuvwxyz0123456789",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github fine-grained": "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "gitlab": "glpat-abcdefghij0123456789",
    "slack bot": "xoxb-1234567890-abcdefghijkl",
    "slack app": "xapp-1-A0123-abcdef",
    "hugging face": "hf_abcdefghijklmnopqrstuvwxyz",
    "npm": "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "openai": "sk-proj-abcdefghij0123456789",
    "stripe": "sk_live_abcdefghij0123",
    "sendgrid": "SG.abcdefghijklmnopqrst.uvwxyz0123456789abcd",
    "aws key id": "AKIAIOSFODNN7EXAMPLE",
    "jwt": JWT,
    "private key": PEM,
    "private key in JSON": PEM.replace("\n", "\\n"),
    "openssh key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "around",
    ["{}", "got {} from there", 'x="{}"', "[{}]", "<{}>", "\u202e{}\x00", "é{}é", "a, {}, b"],
)
def test_a_secret_is_known_by_its_form_wherever_it_stands(secret: str, around: str) -> None:
    shown = redact(around.format(secret))
    assert secret not in shown
    assert MARK in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("smtp://ml:hunter2@mail.example:587/x", "smtp://ml:[redacted]@mail.example:587/x"),
        ("https://tok@github.com/a/b.git", "https://[redacted]@github.com/a/b.git"),
        ("postgres://u:p@ss:w@db/x", "postgres://u:[redacted]@db/x"),
        ("see https://hooks.slack.com/services/T0/B0/xyz now", "see https://hooks.slack.com/[redacted] now"),
        ("https://discord.com/api/webhooks/1/abc", "https://discord.com/api/webhooks/[redacted]"),
        (
            "GET https://storage.googleapis.com/b/o?X-Goog-Date=1&X-Goog-Signature=ab12&x=1",
            "GET https://storage.googleapis.com/b/o?X-Goog-Date=1&X-Goog-Signature=[redacted]&x=1",
        ),
        ("https://h/x?sig=Zm9v%3D&se=2026", "https://h/x?sig=[redacted]&se=2026"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=[redacted]"),
        ("Cookie: sid=1; other=2\nHost: x", "Cookie: [redacted]\nHost: x"),
        ("with Bearer AbC123456789", "with Bearer [redacted]"),
        ("DB_PASSWORD=hunter2 RETRIES=3", "DB_PASSWORD=[redacted] RETRIES=3"),
        ("export HF_TOKEN=abcdef", "export HF_TOKEN=[redacted]"),
        ("db.password: hunter2", "db.password: [redacted]"),
        ('{"client_secret": "a b \\"c d", "n": 1}', '{"client_secret": "[redacted]", "n": 1}'),
        ('"{\\"apiKey\\": \\"abcd1234\\", \\"n\\": 1}"', '"{\\"apiKey\\": \\"[redacted]\\", \\"n\\": 1}"'),
        ("{'secret_key': 'abc d'}", "{'secret_key': '[redacted]'}"),
        ("run --token abcdef --n 3", "run --token [redacted] --n 3"),
        ("run --api-key=abcdef --n 3", "run --api-key=[redacted] --n 3"),
        ("curl -sS -u ml:hunter2 https://h/x", "curl -sS -u ml:[redacted] https://h/x"),
        ("curl --user='ml:hunter2' h", "curl --user='ml:[redacted]' h"),
        ('["--password", "hunter2", "--n"]', '["--password", "[redacted]", "--n"]'),
        (
            '{"name": "WANDB_API_KEY", "value": "0123abcd"}',
            '{"name": "WANDB_API_KEY", "value": "[redacted]"}',
        ),
        ("EnvVar(name='DB_PASSWORD', value='x y')", "EnvVar(name='DB_PASSWORD', value='[redacted]')"),
        ('name: "X_TOKEN"\n  value: "ab"', 'name: "X_TOKEN"\n  value: "[redacted]"'),
        ("WEBHOOK=https://x.example/hunter2a", "WEBHOOK=[redacted]"),
        ("?sig=hunter2&n=3", "?sig=[redacted]&n=3"),
        ("X-Goog-Signature=ab12", "X-Goog-Signature=[redacted]"),
        ("pass\u200bword=hunter2", "password=[redacted]"),
        ("to\x00ken=abcdef", "token=[redacted]"),
    ],
)  # fmt: skip
def test_a_secret_is_known_by_what_it_stands_under(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "projects/123/locations/us-central1/customJobs/456",
        "gs://bucket/a/b@2x/prediction.errors_stats-00000-of-00001",
        "projects/1/locations/us/models/3@1",
        "Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed=600.04s.",
        "max_new_tokens=512, num_tokens: 100000, tokenizer=bert-base",
        "ValueError: not enough values to unpack (expected 2, got 1)",
        "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-12:latest@sha256:0123456789abcdef0123456789",
        'webhook: "env:SLACK_WEBHOOK_URL"',
        'webhook: "secret:slack-hook"',
        "needs bearer authentication",
        "Permission 'secretmanager.versions.access' denied on projects/p/secrets/hook",
        "monkey: banana",
        "日本語 🙂 naïve\ttab\nline",
        "insertId 1a2b3c4d5e6f7a8b9c0d",
        "user@example.com wrote",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
        ("one\r\ntwo\rthree\u2028four\x0bfive", "one\ntwo\nthree\nfour\nfive"),
        ("a\x00b\x07c\x7fd\x9be", "abcde"),
        ("half \ud800 pair", "half  pair"),
        ("tag\U000e0041ged\ufeff", "tagged"),
    ],
)
def test_what_cannot_be_seen_is_taken_away(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_long_text_keeps_both_ends_and_says_what_is_missing() -> None:
    text = "start " + "x" * 5_000_000 + " end"
    shown = redact(text, 3000)
    assert len(shown) == 3000
    assert shown.startswith("start xxx")
    assert shown.endswith("xxx end")
    assert f"\n[… {len(text) - 3000} characters left out …]\n" in shown


def test_a_short_limit_cuts_the_end() -> None:
    assert redact("x" * 500, 10) == "xxxxxxxx …"
    assert redact("x" * 10, 10) == "x" * 10
    assert redact("x" * 500, 1) == " "
    assert redact("x", 0) == ""


@pytest.mark.parametrize("before", range(1000, 4000, 97))
def test_no_half_of_a_secret_is_left_at_a_cut(before: int) -> None:
    """Wherever the cut falls: neither the beginning of a token nor the end of a key is shown."""
    token = "ghp_" + "Q" * 36
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "Zz09" * 800 + "\n-----END RSA PRIVATE KEY-----"
    filler = "- " * 20_000
    for text in (
        filler[:before] + token + filler,
        filler + key + filler[:before],
        "\x00" * 9000 + filler[: before + 8000] + token + filler,
        filler + key + "\x00" * 9000 + filler[:before],
    ):
        shown = redact(text, 3000)
        assert "QQQQ" not in shown
        assert "Zz09" not in shown
        assert len(shown) <= 3000


def test_json_is_redacted_by_its_keys_variables_and_flags() -> None:
    body: dict[str, Any] = {
        "password": "x",
        "accessToken": "y",
        "nextPageToken": "stays",
        "webhook": "secret:stays",
        "maxTokens": "512",
        "secret": {"nested": "stays", "apiKey": "z"},
        "env": [
            {"name": "DB_PASSWORD", "value": "x"},
            {"name": "HF_TOKEN", "value": "env:stays"},
            {"name": "EPOCHS", "value": "3"},
        ],
        "args": ["--api-key", "abc", "--n", "3", "--token=abcdef", "--password"],
        "text": "token=abcdef",
        "token=abcdef": 1,
        "n": 5,
        "none": None,
        "yes": True,
        "rate": 0.5,
    }
    assert redact_json(body) == {
        "password": MARK,
        "accessToken": MARK,
        "nextPageToken": "stays",
        "webhook": "secret:stays",
        "maxTokens": "512",
        "secret": {"nested": "stays", "apiKey": MARK},
        "env": [
            {"name": "DB_PASSWORD", "value": MARK},
            {"name": "HF_TOKEN", "value": "env:stays"},
            {"name": "EPOCHS", "value": "3"},
        ],
        "args": ["--api-key", MARK, "--n", "3", f"--token={MARK}", "--password"],
        "text": f"token={MARK}",
        f"token={MARK}": 1,
        "n": 5,
        "none": None,
        "yes": True,
        "rate": 0.5,
    }


HOSTILE = {
    "word": "a" * 200_000,
    "name parts": "a.-_" * 50_000,
    "words": "password" * 25_000,
    "schemes": "http://" * 28_000,
    "half keys": "-----BEGIN " * 18_000,
    "half tokens": "eyJaaaaaaaa." * 16_000,
    "names": "name: 'password' , " * 10_000,
    "colons": "http://a:" + "b:" * 100_000,
    "quotes": "'\"\\" * 66_000,
    "escapes": "\x1b]" * 100_000,
    "assignments in one": "password=" * 22_000,
    "values after values": "a_key=b " * 25_000,
    "open quotes": "token='" * 28_000,
    "one sort of slash after another": "".join(
        "token=" + "\\" * (n % 9) + '" ' for n in range(20_000)
    ),
    "programs": "mysql -pabc " * 17_000,
    "encoded": "a%3D%22 " * 25_000,
    "entities": "&quot;" * 33_000,
    "elements": "<password>" * 20_000,
    "pairs": '"name": "A_KEY", "value": "v", ' * 7000,
    "users of addresses": "https://" + "a:b@" * 50_000,
    "sentences": "password for user " * 12_000,
    "headers": "Authorization: " * 14_000,
    "brackets": "password=" + ")" * 200_000,
    "blocks": "password: |\n  a\n" * 13_000,
    "spaces": "password " + " " * 200_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_takes_long(text: str) -> None:
    """Backtracking would take minutes here; the bound is wide for a busy machine."""
    started = time.thread_time()  # of the processor: it is the same on a busy machine
    redact(text, 300_000)
    assert time.thread_time() - started < 30


@given(
    before=st.text(max_size=50),
    after=st.text(max_size=50),
    secret=st.sampled_from([s for s in SECRETS.values() if "\n" not in s and "\\" not in s]),
)
@settings(max_examples=150, deadline=None)
def test_no_surrounding_text_hides_a_secret(before: str, after: str, secret: str) -> None:
    assert secret not in redact(f"{before} {secret} {after}")


@given(st.text(max_size=400), st.integers(min_value=0, max_value=300))
@settings(max_examples=150, deadline=None)
def test_any_text_comes_out_within_the_limit_and_encodable(text: str, limit: int) -> None:
    shown = redact(text, limit)
    assert len(shown) <= limit
    shown.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
@settings(max_examples=100, deadline=None)
def test_redacting_twice_changes_nothing_more(value: Any) -> None:
    once = redact_json(value)
    assert redact_json(once) == once
    json.dumps(once)
