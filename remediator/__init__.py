"""Failed Vertex AI jobs, diagnosed, decided by policy, resubmitted once, reported."""

__version__ = "0.2.0"
