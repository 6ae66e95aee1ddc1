"""Machines, accelerators, what fits what, and what an hour costs in each region.

`catalog` answers questions, over the facts of `machines` and `prices` and a user's own additions
(`overrides`). Pure; called by the job's readers, the policies, the diagnosis and `catalog show`.
"""
