"""One file an architecture: a function ``(shape, n_actions, **options) -> Network``, assigned to ``ARCHITECTURE``.

A file's name is the architecture's id; adding the file is all there is to registering it.
"""
