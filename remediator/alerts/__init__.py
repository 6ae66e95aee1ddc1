"""Alerts: what is said (`compose`, pure), how it looks (`render`, pure), and how it is sent
(`channels`); a click on a button comes back through `approval`.
"""
