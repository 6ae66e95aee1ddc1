"""One job, read once: the only room that knows where things live in a job's document.

`fields` has the table of kinds and what is read and written for each, `pipeline` the parts of a
pipeline run, `validation` whether a document has a job's shape, `summary` a job in words,
`likeness` which jobs are one job on different days. Pure;
called by diagnosis, policies, evidence, alerts and the workflow.
"""
