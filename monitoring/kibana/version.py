"""Which version of what we bring into Kibana."""

VERSION = 1
"""Of dashboard, searches, data views and rules together: raise it with every change of the two NDJSON files."""

TAG = "CardioSentry"
"""By which our rules are found in Kibana."""
