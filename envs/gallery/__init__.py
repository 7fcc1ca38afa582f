"""A page about each family, with pictures: its levels, what training shows of its goals, what chance does.

A page is made from a :class:`~goalscope.envs.gallery.card.Card` alone; the same command writes the same bytes.
"""

from __future__ import annotations

from goalscope.envs.gallery.card import Card, Sizes, collect
from goalscope.envs.gallery.measured import MeasuredAgent, read_pilots
from goalscope.envs.gallery.page import write_index, write_page

__all__ = ["Card", "MeasuredAgent", "Sizes", "collect", "read_pilots", "write_index", "write_page"]
