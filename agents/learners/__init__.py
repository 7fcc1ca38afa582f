"""One file a learner: a :class:`goalscope.agents.learner.Learner`, assigned to ``LEARNER``.

A file's name is the learner's id; adding the file is all there is to registering it.
"""
