"""The contract of a family, one check a function; :mod:`goalscope.envs.checks` runs them all."""
