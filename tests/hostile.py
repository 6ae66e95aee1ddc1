"""Text from outside that would do harm if it were taken for more than text."""

CLOSES_TAGS_AND_QUOTES = "</b></p><script>x</script>\"' onclick=y z='"
"""Ends a tag, and a quoted value of either kind, in the HTML wherever it may stand."""
