"""Clients of a log."""
