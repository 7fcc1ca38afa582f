"""Messages of a process that is not trusted: nothing but plain numbers and JSON comes through, and nothing is run."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from goalscope.detectors.sandbox.wire import LENGTHS, MOST_BODY, MOST_BYTES, Ended, Wire
from goalscope.errors import ProtocolError


@pytest.fixture
def pipe() -> Iterator[tuple[Wire, int]]:
    """A wire, and the end that writes to it."""
    reads, writes = os.pipe()
    yield Wire(reads, writes), writes
    os.close(reads)
    os.close(writes)


def raw(arrays: Any, data: bytes, body: Any = None) -> bytes:
    text = json.dumps({"body": {"a": {"array": 0}} if body is None else body, "arrays": arrays}).encode()
    return LENGTHS.pack(len(text), len(data)) + text + data


def test_what_is_sent_comes_out_the_same(pipe: tuple[Wire, int]) -> None:
    wire, _ = pipe
    sent: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": [np.zeros((0, 2)), {"c": True}],
        "d": "x",
    }
    wire.send(sent)
    found = wire.receive()
    assert found["a"].dtype == np.float32 and np.array_equal(found["a"], sent["a"])
    assert found["b"][0].shape == (0, 2) and found["b"][1] == {"c": True} and found["d"] == "x"


MALFORMED = {
    "an object array": raw([["|O", [1]]], bytes(8)),
    "a text array": raw([["<U2", [1]]], bytes(8)),
    "no type at all": raw([["nonsense", [1]]], bytes(8)),
    "a shape that needs more bytes": raw([["<f8", [2]]], bytes(8)),
    "a shape that leaves bytes": raw([["<f8", [1]]], bytes(16)),
    "a negative shape": raw([["<f8", [-1]]], bytes(8)),
    "a shape of words": raw([["<f8", ["1"]]], bytes(8)),
    "an array that is not there": raw([], b""),
    "no mapping": raw([], b"", [1]),
    "no JSON": LENGTHS.pack(4, 0) + b"\xff\xfe{}",
    "a pickle": LENGTHS.pack(len(pickle.dumps({"body": 1})), 0) + pickle.dumps({"body": 1}),
    "a shape of more than there can be": raw([["<f8", [0, 2**64]]], b""),
    "too long a body": LENGTHS.pack(MOST_BODY + 1, 0),
    "too many numbers": LENGTHS.pack(2, MOST_BYTES + 1),
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_refused(pipe: tuple[Wire, int], message: bytes) -> None:
    wire, writes = pipe
    os.write(writes, message)
    with pytest.raises(Ended, match="no message|too long"):
        wire.receive()


def test_a_truncated_message_is_an_end() -> None:
    reads, writes = os.pipe()
    os.write(writes, raw([["<f8", [1]]], bytes(8))[:-3])
    os.close(writes)
    with pytest.raises(Ended, match="process ended"):
        Wire(reads, -1).receive()
    os.close(reads)


def test_nothing_but_numbers_is_sent(pipe: tuple[Wire, int]) -> None:
    with pytest.raises(ProtocolError, match="plain numbers"):
        pipe[0].send({"a": np.array([object()])})
