"""Starts PyPI's bqemulator without its geography, whose extension it would fetch from the net.

Run by the emulator's own Python (`make bigquery` makes that environment), never by ours.
"""

import sys

from bqemulator.cli import main
from bqemulator.storage.engine import DuckDBEngine

DuckDBEngine._load_spatial = lambda _: None
sys.argv = ["bqemulator", *sys.argv[1:]]
main()
