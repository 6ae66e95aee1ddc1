"""What each cause means, in words that planning, alerts and the report share."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.domain.names import Cause

MEANINGS: Mapping[Cause, str] = {
    Cause.CPU_SATURATION: "the work ran out of time with the CPUs full",
    Cause.MEMORY_PRESSURE: "it ran out of host memory",
    Cause.GPU_MEMORY: "it ran out of device memory",
    Cause.DISK_FULL: "the machine's own disk is full",
    Cause.ACCELERATOR_MISSING: "it wanted a GPU and ran without one",
    Cause.SLOW_STARTUP: "the model server was never ready in time",
    Cause.NETWORK_LATENCY: "the time went to fetching data",
    Cause.SLOW_CODE: "one section of the job's own code takes the time, the machine is not full",
    Cause.REQUEST_TOO_LARGE: "one prediction request is more than the service allows",
    Cause.CAPACITY_STOCKOUT: "the region has no such machine at the moment",
    Cause.QUOTA: "a quota is used up",
    Cause.PREEMPTION: "the spot machine was taken back",
    Cause.TRANSIENT_BACKEND: "the service itself failed for a while",
    Cause.BAD_INPUT: "the input cannot be read, cannot be parsed or is not there",
    Cause.USER_CODE_ERROR: "the job's own code raised an error",
    Cause.PERMISSION: "an account lacks a permission",
    Cause.INVALID_CONFIG: "the job could never run as it is configured",
    Cause.UNKNOWN: "the evidence does not say",
}
