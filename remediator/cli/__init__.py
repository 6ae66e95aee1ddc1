"""The commands, by what they need; each parses nothing and thinks nothing itself.

`offline` needs files only, `project` a project. Called by `main`.
"""
