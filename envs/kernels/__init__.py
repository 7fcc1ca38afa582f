"""Compiled loops over struct-of-arrays state. Everything here is Numba; nothing here knows a family."""
