"""A transformer over the cells of the grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from goalscope.agents.layers import encoder, in_order, orthogonal
from goalscope.agents.network import ActorCritic, Shape
from goalscope.agents.sites import Site


class Cells(nn.Module):
    """Planes `[N, P, H, W]` as a row of cells `[N, H · W, P]`."""

    def forward(self, planes: Tensor) -> Tensor:
        return planes.flatten(2).transpose(1, 2)


def _embedding(planes: int, width: int, gain: float) -> nn.Linear:
    """Each plane's vector is drawn by itself, not orthogonal to the others, so that the draw makes some of them longer.

    With equal lengths the initial weights could not prefer one thing to another.
    """
    layer = nn.Linear(planes, width)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(width))
    nn.init.zeros_(layer.bias)
    return layer


class Place(nn.Module):
    """Adds a learned row and a learned column to every cell's token."""

    def __init__(self, height: int, across: int, width: int) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.randn(height, 1, width) / math.sqrt(width))
        self.column = nn.Parameter(torch.randn(1, across, width) / math.sqrt(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + (self.row + self.column).flatten(0, 1)


class Block(nn.Module):
    """Attention, then two dense layers at every token, each added to the residual stream after normalising it.

    Sites: attention, the pattern `[N, heads, tokens, tokens]`, rows summing to 1; mlp, the hidden units
    `[N, tokens, 4 width]`; residual, the stream `[N, tokens, width]` that comes out.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.ask = orthogonal(nn.Linear(width, 3 * width), 1.0)
        self.attention = Site()
        self.give = orthogonal(nn.Linear(width, width), 1.0)
        self.norm2 = nn.LayerNorm(width)
        self.up = orthogonal(nn.Linear(width, 4 * width), math.sqrt(2))
        self.mlp = Site()
        self.down = orthogonal(nn.Linear(4 * width, width), 1.0)
        self.residual = Site()

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(self.norm1(tokens))
        hidden = self.mlp(nn.functional.relu(self.up(self.norm2(tokens))))
        stream: Tensor = self.residual(tokens + self.down(hidden))
        return stream

    def attend(self, tokens: Tensor) -> Tensor:
        """`[N, tokens, width]` what every token gathers from all."""
        query, key, value = self.ask(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        gathered = self.attention(scores.softmax(dim=-1)) @ value
        return self.give(gathered.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Largest(nn.Module):
    """Of every number its largest value over all tokens; means of them, or one more token that reads, learn slower."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.amax(1)


def transformer(
    shape: Shape,
    n_actions: int,
    *,
    width: int = 32,
    heads: int = 4,
    blocks: int = 2,
    first_gain: float = 1.0,
) -> ActorCritic:
    """Pre-norm blocks (Xiong et al. 2020, arXiv 2002.04745) over the grid's cells.
    Sites: tokens; block1's and so on (see :class:`Block`); pooled.

    `first_gain` multiplies the initial weights of the embedding of the planes.
    """
    encode, planes, height, across = encoder(shape)
    body = in_order(
        cells=Cells(),
        layer=_embedding(planes, width, math.sqrt(2) * first_gain),
        place=Place(height, across, width),
        tokens=Site(),
        **{f"block{b + 1}": Block(width, heads) for b in range(blocks)},
        norm=nn.LayerNorm(width),
        largest=Largest(),
        pooled=Site(),
    )
    return ActorCritic(encode, body, width, n_actions)


ARCHITECTURE = transformer
