"""One file a detector, assigned to ``DETECTOR``.

A file's name is the detector's id; adding the file is all there is to registering it.
"""
