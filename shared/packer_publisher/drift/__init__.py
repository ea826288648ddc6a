"""Drift: the registry and the clouds side by side; nothing is ever changed."""
