"""Rounds of playing: minibatches hold every row once, and what belongs together stays together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goalscope.agents.descent import annealed
from goalscope.agents.network import make_network
from goalscope.agents.rounds import Frames, Histories, Round

T, B = 3, 5


@dataclass(frozen=True)
class Numbered(Frames):
    """Rows with their number."""

    numbers: Tensor
    pairs: Tensor


def test_every_frame_is_in_one_minibatch_with_what_belongs_to_it() -> None:
    numbers = torch.arange(10)
    whole = Numbered(torch.stack([numbers] * 2, 1), numbers, torch.stack([-numbers] * 2, 1))
    parts = list(whole.shuffled(torch.Generator().manual_seed(0), 3))
    assert [len(part.numbers) for part in parts] == [4, 4, 2]
    assert sorted(torch.cat([part.numbers for part in parts]).tolist()) == list(range(10))
    assert torch.cat([part.numbers for part in parts]).tolist() != list(range(10))
    for part in parts:
        assert torch.equal(part.obs[:, 0], part.numbers) and torch.equal(part.pairs[:, 1], -part.numbers)


def lived(memory: int) -> Round:
    """A round in which the observation of step t in environment b is 10 t + b."""
    found = Round(T, B, (1, 4, 4), memory)
    found.obs[:] = (10 * np.arange(T + 1)[:, None] + np.arange(B))[..., None, None, None]
    found.begins[:] = np.arange(T + 1)[:, None] == np.arange(B)
    found.memory[:] = torch.arange(B)[:, None]
    return found


def test_histories_stay_whole() -> None:
    network = make_network("lstm", (1, 4, 4), 4, 0, channels=2, width=4)
    numbers = (10 * np.arange(T)[:, None] + np.arange(B)).astype(np.int64)
    whole = lived(network.memory).whole(network, Numbered, numbers, np.stack([-numbers] * 2, -1))
    assert isinstance(whole, Histories)
    seen = []
    for part in whole.shuffled(torch.Generator().manual_seed(0), 2):
        envs = part.memory[:, 0].long()
        steps = 10 * torch.arange(T)[:, None] + envs
        assert torch.equal(part.rows.obs[..., 0, 0, 0].long(), steps)
        assert torch.equal(part.rows.numbers, steps.flatten()) and torch.equal(part.rows.pairs[:, 1], -steps.flatten())
        assert torch.equal(part.begins, torch.arange(T)[:, None] == envs)
        memory, values = part.memory, []
        for obs, begins in zip(part.rows.obs, part.begins, strict=True):
            _, value, memory = network.step(obs, memory * ~begins[:, None])
            values.append(value)
        torch.testing.assert_close(part.answers(network)[1], torch.cat(values))
        seen += envs.tolist()
    assert sorted(seen) == list(range(B))


def test_a_network_without_memory_learns_from_frames() -> None:
    network = make_network("conv", (1, 4, 4), 4, 0, channels=2, width=4)
    numbers = np.arange(T * B).reshape(T, B)
    whole = lived(0).whole(network, Numbered, numbers, numbers)
    assert isinstance(whole, Numbered) and whole.numbers.tolist() == list(range(T * B))
    assert whole.obs[:, 0, 0, 0].tolist() == [10 * t + b for t in range(T) for b in range(B)]


def test_annealing_goes_from_the_first_to_the_last() -> None:
    assert [annealed(2.0, 1.0, left) for left in (1.0, 0.5, 0.0)] == [2.0, 1.5, 1.0]
