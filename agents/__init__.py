"""Agents: how populations are trained, planted with known goals, and frozen into a zoo with measured behaviour."""
