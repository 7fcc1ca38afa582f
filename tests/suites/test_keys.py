"""Cache keys: everything that can change an answer changes them, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.suites.made_up import CORNER, DISH, GOOD, TINY, empty, save_zoo

from goalscope.agents.labels import LABELS
from goalscope.agents.members import members
from goalscope.detectors.tracks import Budget
from goalscope.suites import circumstances, keys, population, sources
from goalscope.suites.plan import Task, plan
from goalscope.suites.suite import Suite


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder for all tests: a process remembers what outside files there say they are."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def place(home: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a zoo of two recipes, recipes, and detectors: all may be changed."""
    empty(home)
    shutil.copytree(made, home, dirs_exist_ok=True)
    monkeypatch.chdir(home)
    population.load_population.cache_clear()
    return home


def tasks(suite: Suite = TINY) -> dict[tuple[str, str, int], Task]:
    """What is planned in this folder as it is now, in a process that remembers nothing."""
    for remembered in (population.load_population, population._query, population._read_listed, sources.shared_hash):
        remembered.cache_clear()
    return {(task.detector, task.recipe, task.seed): task for task in plan(suite).tasks}


def stale(change: Callable[[], object]) -> set[tuple[str, str, int]]:
    """Which tasks a change makes stale."""
    before = tasks()
    change()
    after = tasks()
    assert set(before) == set(after)
    return {about for about in before if before[about].key != after[about].key}


def of(*, detector: str = "", recipe: str = "") -> set[tuple[str, str, int]]:
    """All tasks of a detector, or of a recipe, or of both."""
    every = {(d, r, s) for d in ("good", "stranger") for r in (DISH.name, CORNER.name) for s in (0, 1)}
    return {about for about in every if detector in ("", about[0]) and recipe in ("", about[1])}


def agent(recipe: str, extension: str) -> Path:
    wanted = DISH if recipe == DISH.name else CORNER
    return Path("zoo", "agents", f"{members([wanted])[3].id}.{extension}")


def edit(path: str | Path, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_nothing_is_stale_when_nothing_changed_and_every_task_has_a_key_of_its_own(place: Path) -> None:
    assert stale(lambda: None) == set()
    assert len({task.key for task in tasks().values()}) == len(of()) == 8


def test_a_detectors_file_concerns_its_own_tasks(place: Path) -> None:
    assert stale(lambda: edit("good.py", "frames(16)", "frames(15)")) == of(detector="good")


def test_a_file_beside_a_detector_concerns_it_when_it_is_imported_however_far_down(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(place)
    Path("h4_first.py").write_text("def look():\n    import h4_second\n    return h4_second.FRAMES\n")
    Path("h4_second.py").write_text("FRAMES = 16\n")
    Path("h4_third.py").write_text("FRAMES = 16\n")
    edit("good.py", "frames(16)", "frames(look())")
    edit(
        "good.py",
        "from goalscope.detectors import detector",
        "from goalscope.detectors import detector\nfrom h4_first import look",
    )
    assert stale(lambda: edit("h4_second.py", "16", "15")) == of(detector="good")
    assert stale(lambda: edit("h4_third.py", "16", "15")) == set()


def test_a_module_of_the_same_package_concerns_a_detector_of_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = place / "h4_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("")
    (package / "shared.py").write_text("FRAMES = 16\n")
    (package / "other.py").write_text("FRAMES = 16\n")
    (package / "deep" / "near.py").write_text("from ..shared import FRAMES\n")
    (package / "method.py").write_text(f"from h4_package.deep.near import FRAMES\n{GOOD}")
    monkeypatch.syspath_prepend(place)
    suite = replace(TINY, detectors=("h4_package.method",))
    before = {task.key for task in tasks(suite).values()}
    edit(package / "other.py", "16", "15")
    assert {task.key for task in tasks(suite).values()} == before
    for file in ("shared.py", "deep/near.py", "deep/__init__.py", "__init__.py"):
        with (package / file).open("a") as end:
            end.write("# changed\n")
        now = {task.key for task in tasks(suite).values()}
        assert not now & before, file
        before = now


def test_agents_concern_the_tasks_that_ask_about_them(place: Path) -> None:
    assert stale(lambda: edit(agent(DISH.name, "json"), '"competence": 0.5', '"competence": 0.6')) == of(
        recipe=DISH.name
    )


def test_weights_concern_the_tasks_that_ask_about_them(place: Path) -> None:
    def swap() -> None:
        """Weights that agree with their manifest, but are another's."""
        one, other = (members([CORNER])[i].id for i in (0, 1))
        folder = Path("zoo", "agents")
        digests = {i: json.loads((folder / f"{i}.json").read_text())["weights_sha256"] for i in (one, other)}
        edit(folder / f"{one}.json", digests[one], digests[other])
        shutil.copy(folder / f"{other}.safetensors", folder / f"{one}.safetensors")

    assert stale(swap) == of(recipe=CORNER.name)


def test_labels_concern_the_tasks_that_ask_about_their_agents(place: Path) -> None:
    def relabel() -> None:
        path = Path("zoo", "labels.parquet")
        rows = pq.read_table(path).to_pylist()
        own = next(row for row in rows if row["agent_id"] == members([DISH])[3].id)
        own["outcomes"] = [*own["outcomes"][3:], *own["outcomes"][:3]]
        pq.write_table(pa.Table.from_pylist(rows, LABELS), path)

    assert stale(relabel) == of(recipe=DISH.name)


def test_agents_of_another_recipe_make_nothing_stale(place: Path) -> None:
    third = replace(DISH, name="tiny_third", knobs={"size": 9})
    assert stale(lambda: save_zoo(Path("zoo"), [third], agents=2)) == set()


def test_names_alone_make_nothing_stale_and_do_not_stand_for_what_they_name(place: Path) -> None:
    before = tasks()
    Path("good.py").rename("renamed.py")
    renamed = tasks(replace(TINY, name="other", detectors=("./renamed.py", "./stranger.py")))
    assert {task.key for task in renamed.values()} == {task.key for task in before.values()}
    shutil.copy("stranger.py", "good.py")
    assert tasks()["good", DISH.name, 0].key == before["stranger", DISH.name, 0].key


CHANGES = {
    "folds": {"folds": 4},
    "the budget's frames": {"budget": Budget(frames=4095)},
    "the budget under the shift": {"budget": Budget(bank_frames=16)},
    "the budget's time": {"budget": Budget(seconds=61.0)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_suite_asks_concerns_every_task(change: dict[str, object], place: Path) -> None:
    before, after = tasks(), tasks(replace(TINY, **change))  # type: ignore[arg-type]
    assert not {task.key for task in before.values()} & {task.key for task in after.values()}


def test_what_else_a_suite_asks_concerns_no_task(place: Path) -> None:
    before = tasks()
    after = tasks(replace(TINY, seeds=3, recipes=TINY.recipes[:1], anchors=TINY.recipes[1:], name="other"))
    assert all(after[about].key == before[about].key for about in of(recipe=DISH.name))


def test_another_shift_other_levels_and_other_folds_make_answers_stale(place: Path) -> None:
    zoo = Path("zoo").resolve()
    known = population.load_population(zoo, "./tiny_corner.py", 256, 2)
    fewer = replace(known.query, levels=known.query.levels.take(np.arange(255)))
    others = [
        replace(known, recipe=replace(CORNER, query="off_corner")),
        replace(known, query=fewer),
        replace(known, folds=known.folds[::-1]),
    ]
    found = [keys.prints(zoo, each).sha256 for each in (known, *others)]
    assert len(set(found)) == 4 and found[0] == keys.prints(zoo, known).sha256


def test_versions_and_our_own_code_concern_every_task(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stale(lambda: monkeypatch.setattr(keys, "versions", lambda: {"torch": "0"})) == of()
    assert stale(lambda: monkeypatch.setattr(keys, "shared_hash", lambda: "other")) == of()


def test_our_own_code_is_all_but_what_is_plugged_in() -> None:
    found = {"/".join(path.parts[-2:]) for path in sources.shared_files()}
    assert {"goalscope/seeding.py", "detectors/handle.py", "kernels/jit.py", "suites/crossfit.py"} <= found
    assert not found & {"methods/rollouts.py", "families/coin_dish.py", "recipes/dish_open.py", "suites/report.py"}


def test_a_family_of_ones_own_concerns_the_recipes_that_play_it(place: Path) -> None:
    from goalscope.registry import FAMILIES

    Path("my_world.py").write_text("from h4_rules import RULE\nFAMILY = None\n")
    Path("h4_rules.py").write_text("RULE = 1\n")
    before = sources.source_hash(FAMILIES, "./my_world.py")
    edit("h4_rules.py", "1", "2")
    assert sources.source_hash(FAMILIES, "./my_world.py") != before
    built_in = sources.file_of(FAMILIES, "coin_dish")
    assert built_in.name == "coin_dish.py" and built_in in sources.imported(built_in, sources.shared_files())


def test_a_control_has_a_key_of_its_own(place: Path) -> None:
    found = tasks(replace(TINY, controls=True))
    names = {name for name, _, _ in found}
    assert {"stranger", "stranger~untrained", "stranger~shuffled"} <= names and "good~untrained" not in names
    assert len({task.key for task in found.values()}) == len(found)


def test_budgets_are_swept_where_they_are_looked_at_and_transfers_are_about_all_recipes(place: Path) -> None:
    suite = replace(
        TINY, detectors=("./good.py", "ask_the_policy"), settings=("seed", "family"), budgets=(16, 64), seeds=1
    )
    found = plan(suite).tasks
    swept = {(t.detector, t.bank_frames) for t in found if t.setting == "seed" and t.recipe == DISH.name}
    assert swept == {("good", 64), ("ask_the_policy", 16), ("ask_the_policy", 64)}
    transfers = [t for t in found if t.setting == "family"]
    assert {(t.detector, t.recipe, t.bank_frames) for t in transfers} == {("good", "", 64), ("ask_the_policy", "", 64)}
    assert len({t.part for t in found}) == len({t.key for t in found}) == len(found) == 8
    assert {t.part.split("-")[1] for t in transfers} == {"family"} and transfers[0].label == "good on unseen families"


def test_where_it_runs_is_told(tmp_path: Path) -> None:
    found = circumstances.hardware()
    assert found["cpu"] and isinstance(found["cores"], int) and found["cores"] >= 1
    told = circumstances.commit()
    assert set(told) == {"git_commit", "git_dirty"} and (told["git_commit"] is None) == (told["git_dirty"] is None)
