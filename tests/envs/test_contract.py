"""Every registered family keeps the contract: registering is being tested."""

from __future__ import annotations

from functools import cache

import pytest

from goalscope.envs.checks import CHECKS, Check, check_name
from goalscope.envs.contract.subject import Subject
from goalscope.registry import FAMILIES


@cache
def subject_of(family_id: str) -> Subject:
    """One subject a family, so that its checks share their samples."""
    return Subject(FAMILIES.load(family_id), levels=256)


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
@pytest.mark.parametrize("family_id", FAMILIES.names())
def test_every_family_keeps_the_contract(family_id: str, check: Check) -> None:
    check(subject_of(family_id))
