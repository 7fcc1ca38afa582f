"""``goalscope reliability``: would other agents have ranked the methods alike?"""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.cli.score import RunArgument, populations_of


def reliability(folder: RunArgument, as_json: JsonOption = False) -> None:
    """Rank the methods of a run on disjoint halves of its agents, and say how alike the two rankings are."""
    from goalscope.suites.gather import by_setting
    from goalscope.suites.retest import retest
    from goalscope.suites.rows import read_rows
    from goalscope.suites.run import open_run
    from goalscope.suites.truth import truths

    done = open_run(folder)
    populations, suite = populations_of(done), done.suite
    methods = by_setting(read_rows(done.parts), suite.budget.bank_frames)
    found = [retest(s, truths(populations, s), own, range(suite.seeds)) for s, own in methods.items()]
    if as_json:
        typer.echo(json.dumps(finite({"settings": [asdict(each) for each in found]}), indent=1, allow_nan=False))
        return
    for each in found:
        typer.echo(
            f"Setting {each.setting}, {len(each.methods)} ranked methods: Kendall τ {each.tau.value:.2f} between "
            f"rankings on disjoint halves of the agents of every recipe; 95 % of {each.splits} random splits lie in "
            f"[{each.tau.low:.2f}, {each.tau.high:.2f}]. On all agents {100 * each.separated:.0f} % of pairs of "
            "methods are told apart at 95 %."
        )
