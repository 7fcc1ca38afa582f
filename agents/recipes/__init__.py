"""One file a recipe: family, training shift, algorithm, architecture and budget, assigned to ``RECIPE``.

A file's name is the recipe's id; adding the file is all there is to registering it.
"""
