"""How threads share the environments of a batch: whoever is free claims the next few."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

SHARES = 16
"""Claims a thread makes if all are equally fast. A sleeping thread wakes late, so fixed halves would wait for it."""


def _claim(context: Any, counter: Any) -> Any:
    """Add one to ``counter[0]`` (`[1]` int64), atomically, and return what it was."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        one = target.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(counter), generate


claim: Any = intrinsic(_claim)
