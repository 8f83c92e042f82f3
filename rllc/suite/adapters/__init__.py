"""Bridges to other suites."""
