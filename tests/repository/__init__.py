"""Tests of the repository: its structure, its types, its documents and its examples."""
