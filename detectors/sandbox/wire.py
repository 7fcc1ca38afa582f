"""Messages between the two processes: plain data and arrays, nothing that could run.

A message is two lengths, a JSON body, and the bytes of its arrays one after the other. In the body an array is
``{"array": place}``. Whatever comes is checked before it is used: who reads does not trust who wrote.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import ProtocolError

LENGTHS = struct.Struct("<QQ")
MOST_BODY, MOST_BYTES = 1 << 20, 1 << 28
"""Bytes of a message's JSON, and of its arrays, from who is not trusted: what is read must not fill the memory."""
TRUSTED_BODY, TRUSTED_BYTES = 1 << 26, 1 << 32
KINDS = "biuf"
"""NumPy's kinds of plain numbers: booleans, integers, floats."""
PIECE = 1 << 20
ARRAY = "array"


class Ended(ProtocolError):
    """The other process is gone, or no longer makes sense."""


class TimeOver(ProtocolError):
    """The other process took too long."""


class Wire:
    """Two ends of a pipe each way. One message at a time, and never a byte read beyond it."""

    def __init__(self, incoming: int, outgoing: int, *, trusting: bool = False) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self._most = (TRUSTED_BODY, TRUSTED_BYTES) if trusting else (MOST_BODY, MOST_BYTES)
        self.deadline: float | None = None
        """On :func:`time.monotonic`'s clock; None: wait for ever."""

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a message. Raises :class:`Ended` or :class:`TimeOver` where the other side does not read it."""
        arrays: list[NDArray[Any]] = []
        plain = _plain(body, arrays)
        text = json.dumps({"body": plain, "arrays": [[a.dtype.str, list(a.shape)] for a in arrays]}).encode()
        self._write(LENGTHS.pack(len(text), sum(a.nbytes for a in arrays)) + text)
        for array in arrays:
            self._write(array.tobytes())

    def receive(self) -> dict[str, Any]:
        """The next message. Raises :class:`Ended` or :class:`TimeOver`."""
        text_length, bytes_length = LENGTHS.unpack(self._read(LENGTHS.size))
        if text_length > self._most[0] or bytes_length > self._most[1]:
            raise Ended(f"A message of {text_length + bytes_length} bytes is too long: answer with less.")
        text, data = self._read(text_length), self._read(bytes_length)
        try:
            message = json.loads(text.decode())
            body = _filled(message["body"], _arrays(message["arrays"], data))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise Ended(f"What came from the other process is no message: {error}.") from error
        if not isinstance(body, dict):
            raise Ended("What came from the other process is no message: a mapping was expected.")
        return body

    def _read(self, n: int) -> bytearray:
        found = bytearray()
        while len(found) < n:
            self._wait(self.incoming, reading=True)
            piece = os.read(self.incoming, min(PIECE, n - len(found)))
            if not piece:
                raise Ended("the detector's process ended.")
            found += piece
        return found

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while len(left):
            self._wait(self.outgoing, reading=False)
            try:
                left = left[os.write(self.outgoing, left[:PIECE]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Ended("the detector's process ended.") from error

    def _wait(self, end: int, *, reading: bool) -> None:
        if self.deadline is None:
            return
        poll = select.poll()
        poll.register(end, select.POLLIN if reading else select.POLLOUT)
        if not poll.poll(1000 * max(0.0, self.deadline - time.monotonic())):
            raise TimeOver("time is over.")


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """JSON of nested data, whose arrays are put aside."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise ProtocolError(f"Only arrays of plain numbers can be sent, got {value.dtype}.")
        arrays.append(np.ascontiguousarray(value).reshape(value.shape))
        return {ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): _plain(each, arrays) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, arrays) for each in value]
    return value


def _filled(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]]
        return {name: _filled(each, arrays) for name, each in value.items()}
    return [_filled(each, arrays) for each in value] if isinstance(value, list) else value


def _arrays(described: Any, data: bytearray) -> list[NDArray[Any]]:
    """Arrays from their types and shapes; together they take all bytes, no more and no less."""
    found, place = [], 0
    for kind, shape in described:
        dtype = np.dtype(str(kind))
        if dtype.kind not in KINDS or dtype.hasobject or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"an array of {kind}, {shape}")
        length = prod(shape) * dtype.itemsize
        if place + length > len(data):
            raise ValueError("arrays longer than their bytes")
        # A copy, which lies where its type wants it: compiled kernels tell arrays that do not by their type.
        found.append(np.frombuffer(data, dtype, prod(shape), place).reshape(shape).copy())
        place += length
    if place != len(data):
        raise ValueError("bytes that belong to no array")
    return found
