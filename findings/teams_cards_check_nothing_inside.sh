#!/usr/bin/env bash
# Guess: `AdaptiveCard.model_validate` of Microsoft's own Python package refuses a card with an element of
#   an unknown type or without its required keys, and takes `"msteams": {"width": "Full"}`, which is how
#   Microsoft's documentation writes it.
# Seen: a card with a `TextBlok` whose text is a number passes: elements are read as their base class,
#   which allows any key. The documented `Full` is refused; only `full` is taken.
# Versions: microsoft-teams-cards 2.1.1, pydantic 2.13.4, Python 3.11; 2026-11-29.
# So: to hold a card to the package's models, each element must be read by the class that its `type`
#   names, and keys left over in `model_extra` be refused (tests/test_alerts_services.py does both).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  microsoft-teams-cards==2.1.1 pydantic==2.13.4 || exit 2

"$folder/venv/bin/python" - <<'PYTHON'
import sys

from microsoft_teams.cards import AdaptiveCard, TextBlock
from pydantic import ValidationError


def takes(model, body):
    try:
        read = model.model_validate(body)
    except ValidationError as err:
        return f"refused: {err.errors()[0]['msg']}"
    return f"taken, as {[type(one).__name__ for one in getattr(read, 'body', None) or ()]}"


wrong = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlok", "text": 7}]}
seen = {
    "a card with an unknown element": takes(AdaptiveCard, wrong),
    "that text in its own class": takes(TextBlock, {"type": "TextBlock", "text": 7}),
}
for width in ("Full", "full"):
    card = {"type": "AdaptiveCard", "version": "1.5", "body": [], "msteams": {"width": width}}
    seen[f"width {width}"] = takes(AdaptiveCard, card)
for what, said in seen.items():
    print(f"{what}: {said}")
wanted = [
    seen["a card with an unknown element"] == "taken, as ['CardElement']",
    seen["that text in its own class"].startswith("refused"),
    seen["width Full"].startswith("refused"),
    seen["width full"].startswith("taken"),
]
sys.exit(not all(wanted))
PYTHON
