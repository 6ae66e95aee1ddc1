"""An e-mail's page as a reader meets it: at a phone's width, by day and by night, asking for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from remediator.alerts import compose
from remediator.alerts.render import render_email
from tests.alert_situations import SITUATIONS
from tests.chromium import CHROMIUM, Chromium
from tests.test_report_in_chromium import CONTRASTS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
LONG = "gs://" + "a-very-long-bucket-name-" * 12


@pytest.mark.parametrize("name", ["approval", "given_up", "grouped"])
def test_a_mail_reads_well_anywhere(tmp_path: Path, name: str) -> None:
    message = compose(SITUATIONS[name])
    due = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
    mail = render_email(message, sender="a@example.com", to=["b@example.com"], due=due)
    page = mail.get_body(("html",))
    assert page is not None
    file = tmp_path / "mail.html"
    file.write_text(str(page.get_content()).replace("genomic-prep", LONG))
    with Chromium(file, tmp_path / "profile") as browser:
        assert browser.value("document.querySelector('h1').textContent").startswith(
            message.title.partition(":")[0]
        )
        for width in (320, 1280):
            browser.size(width)
            assert browser.value("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}
            found = CONTRASTS.replace('return "rgb(255, 255, 255)"', f'return "{grounds[scheme]}"')
            assert browser.value(found) == []
        assert {url.partition(":")[0] for url in browser.requested()} == {"file"}
