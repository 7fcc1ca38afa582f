"""One file a family: its things, rules, goals, knobs and level generator, assigned to ``FAMILY``.

A file's name is the family's id (a trailing ``_v1`` is its version); adding the file is all there is to registering it.
Names that start with an underscore are helpers shared by several families.
"""
