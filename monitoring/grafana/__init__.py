"""Dashboards for Grafana, written by a program so that they are reviewed as one."""
