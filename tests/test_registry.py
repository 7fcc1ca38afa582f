"""The registry: what it finds, what it leaves unimported, and what it says when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from goalscope.errors import DeclarationError, LoadError, PluginWarning, UnknownNameError
from goalscope.registry import DETECTORS, FAMILIES, RECIPES, SUITES, Registry

GROUP = "goalscope.test_things"
HEAVY = ("numba", "minigrid", "matplotlib", "typer", "torch")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution on the path: its entry points by group, its modules by relative path."""

    def put(name: str, points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str]) -> Path:
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        sections = [
            f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in names.items()) for group, names in points.items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(sections))
        for path, text in modules.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    return put


def things() -> Registry[Any]:
    return Registry(GROUP, "THING", "thing")


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_goalscope_and_listing_names_imports_nothing_heavy() -> None:
    heavy = run_python(
        "import goalscope, sys\n"
        "for r in (goalscope.FAMILIES, goalscope.DETECTORS, goalscope.SUITES, goalscope.RECIPES): r.names()\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert heavy.strip() == "[]"


def test_importing_goalscope_twice_registers_gymnasium_ids_once() -> None:
    code = "import goalscope, goalscope.gym_ids\ngoalscope.gym_ids.register_gym_ids()\nprint('quiet')"
    assert run_python(code).strip() == "quiet"


def test_every_family_has_a_gymnasium_id() -> None:
    import gymnasium

    from goalscope.gym_ids import gym_id

    assert {gym_id(name) for name in FAMILIES.names()} <= set(gymnasium.registry)


@pytest.mark.parametrize(
    ("family_id", "expected"),
    [
        ("coin_corner", "goalscope/CoinCorner-v0"),
        ("coin_corner_v1", "goalscope/CoinCorner-v1"),
        ("watched", "goalscope/Watched-v0"),
        ("doorkey_8x8_v12", "goalscope/Doorkey8x8-v12"),
        ("two_vs_one", "goalscope/TwoVsOne-v0"),
    ],
)
def test_a_gymnasium_id_spells_the_family_in_camel_case(family_id: str, expected: str) -> None:
    from goalscope.gym_ids import gym_id

    assert gym_id(family_id) == expected


def test_a_name_that_gymnasium_refuses_warns_and_breaks_nothing(install: Install) -> None:
    from goalscope import gym_ids

    with pytest.warns(PluginWarning, match=r"'odd name!' gets no Gymnasium id"):
        gym_ids._register("odd name!")


def test_a_package_folder_contributes_each_module_by_name(install: Install) -> None:
    modules = {
        "folder_plugin/__init__.py": "raise RuntimeError('imported for a listing')",
        "folder_plugin/things/alpha.py": "",
        "folder_plugin/things/beta.py": "",
        "folder_plugin/things/_helper.py": "",
        "folder_plugin/things/notes.txt": "",
    }
    install("folder-plugin", {GROUP: {"anything": "folder_plugin.things"}}, modules)
    assert things().names() == ["alpha", "beta"]


def test_an_entry_point_that_names_one_thing_contributes_its_own_name(install: Install) -> None:
    points = {GROUP: {"by_module": "single_plugin", "by_attribute": "single_plugin:OTHER"}}
    install("single-plugin", points, {"single_plugin.py": "THING = 1\nOTHER = 2"})
    assert things().names() == ["by_attribute", "by_module"]
    assert (things().load("by_module"), things().load("by_attribute")) == (1, 2)


def test_a_target_need_not_be_registered(install: Install) -> None:
    folder = install("direct-plugin", {}, {"direct_plugin/thing.py": "THING = 1\nOTHER = 2"})
    path = folder / "direct_plugin" / "thing.py"
    targets = ["direct_plugin.thing", "direct_plugin.thing:OTHER", str(path), f"{path}:OTHER"]
    assert [things().load(target) for target in targets] == [1, 2, 1, 2]


def test_a_file_is_imported_once_and_anew_when_edited(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from dataclasses import dataclass\n@dataclass\nclass Thing: size: int = 1\nTHING = Thing()")
    first = things().load(str(path))
    assert things().load(str(path)) is first
    path.write_text("THING = 2")
    assert things().load(str(path)) == 2


def test_a_miss_offers_close_matches_and_the_full_list(install: Install) -> None:
    modules = {f"miss_plugin/{name}.py": "" for name in ("coin_corner", "lava_land")}
    install("miss-plugin", {GROUP: {"all": "miss_plugin"}}, modules)
    with pytest.raises(UnknownNameError, match=r"no thing 'coin_cornr'. Did you mean 'coin_corner'\?.*lava_land"):
        things().load("coin_cornr")


def test_a_module_without_the_conventional_name_is_a_declaration_error(install: Install) -> None:
    install("bare-plugin", {GROUP: {"bare": "bare_plugin"}}, {"bare_plugin.py": "SOMETHING = 1"})
    with pytest.raises(DeclarationError, match=r"a thing named 'THING' in .*bare_plugin.py.*`THING = …`"):
        things().load("bare")


def test_a_thing_of_another_type_is_a_declaration_error(tmp_path: Path) -> None:
    path = tmp_path / "number.py"
    path.write_text("FAMILY = 3")
    with pytest.raises(DeclarationError, match=r"to be a goalscope.envs.family.Family, got one of type int"):
        FAMILIES.load(str(path))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("x = 1\ny = x / 0", r"ZeroDivisionError: division by zero \(.*wrong.py:2\)"),
        ("import no_such_module_here", r"ModuleNotFoundError: No module named 'no_such_module_here' \(.*wrong.py:1\)"),
        ("def f(:\n", r"SyntaxError: .*\(.*wrong.py:1\)"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(.*wrong.py:2\)"),
    ],
)
def test_a_failing_import_names_file_line_and_cause(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(LoadError, match=cause):
        things().load(str(tmp_path / "wrong.py"))


@pytest.mark.parametrize("target", ["no_such_package.thing", "no_such_package:THING", "./no_such_file.py", "."])
def test_a_target_that_does_not_exist_is_a_load_error(target: str) -> None:
    with pytest.raises(LoadError, match="Could not import"):
        things().load(target)


def test_a_broken_plugin_warns_and_the_others_go_on(install: Install) -> None:
    modules = {"mixed_plugin/good.py": "THING = 1", "mixed_plugin/worse.py": "1 / 0"}
    install("mixed-plugin", {GROUP: {"all": "mixed_plugin", "gone": "missing_plugin.thing"}}, modules)
    with pytest.warns(PluginWarning) as caught:
        assert dict(things().load_all()) == {"good": 1}
    messages = [str(warning.message) for warning in caught]
    assert ["'gone'" in messages[0], "'worse'" in messages[1]] == [True, True]
    assert all("mixed-plugin" in message for message in messages)


def test_of_two_things_with_one_id_the_first_stays_and_both_are_named(install: Install) -> None:
    install("zz-later", {GROUP: {"same": "zz_later:THING"}}, {"zz_later.py": "THING = 'later'"})
    install("aa-first", {GROUP: {"same": "aa_first:THING"}}, {"aa_first.py": "THING = 'first'"})
    registry = things()
    with pytest.warns(PluginWarning, match=r"'same'.*aa-first.*is used.*zz-later.*is left out"):
        assert registry.names() == ["same"]
    assert registry.load("same") == "first"


def test_goalscopes_own_declaration_wins_over_an_outside_one(install: Install) -> None:
    install("aa-outside", {GROUP: {"same": "aa_outside:THING"}}, {})
    install("goalscope", {GROUP: {"same": "goalscope_own:THING"}}, {})
    registry = things()
    with pytest.warns(PluginWarning):
        assert registry.sources["same"].distribution == "goalscope"


@pytest.mark.parametrize("registry", [FAMILIES, DETECTORS, SUITES, RECIPES], ids=lambda r: r.kind)
def test_all_four_groups_take_outside_distributions(install: Install, registry: Registry[Any]) -> None:
    fresh: Registry[Any] = Registry(registry.group, registry.attribute, registry.kind)
    known = registry.names()  # before anything is installed: entry points are read once
    module = f"outside_{registry.kind}"
    install("outside-plugin", {registry.group: {"stranger": module}}, {f"{module}.py": f"{registry.attribute} = 7"})
    assert fresh.load("stranger") == 7
    assert fresh.sources["stranger"].distribution == "outside-plugin"
    assert set(known) <= set(fresh.names())


@pytest.mark.parametrize("registry", [FAMILIES, DETECTORS, SUITES, RECIPES], ids=lambda r: r.kind)
def test_every_registered_thing_loads(registry: Registry[Any]) -> None:
    assert [name for name, _ in registry.load_all()] == registry.names()
