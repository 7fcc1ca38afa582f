"""Detectors: methods that look inside a frozen agent, locate its goal, and forecast what it will do under a shift."""
