"""Replicated state machines on servers."""
