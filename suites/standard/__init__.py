"""One file a suite, which is data only, assigned to ``SUITE``.

A file's name is the suite's id; adding the file is all there is to registering it.
"""
