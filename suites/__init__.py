"""Suites: standard protocols that run detectors on agents, score what they forecast, and rank them with intervals."""
