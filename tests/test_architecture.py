"""The folders of the package import one way, and docs/architecture.md says which."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from draw_house import PACKAGE, PAGE, PICTURE, house, imported_names, place_rows, read_arrows, read_floors, reduce_arrows

FLOORS = list(read_floors(PAGE.read_text(encoding="utf-8")))


def upward_imports(package, floors):
    """Every import of a floor that does not lie below, in words"""
    return [
        f"{source} imports {target} ({', '.join(places)})"
        for (source, target), places in read_arrows(package).items()
        if source in floors and target in floors and floors.index(source) >= floors.index(target)
    ]


def unlisted(package, floors):
    """Every folder and module that the list lacks, or that only the list has"""
    there = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return sorted(there ^ set(floors))


def strangers(package, homes):
    """Every import of a package outside the floors that may know it, in words"""
    found = []
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        for name, line in sorted(imported_names(path, package)):
            home = homes.get(name.split(".")[0])
            if home is not None and place.parts[0].removesuffix(".py") not in home:
                found.append(f"{place.as_posix()}:{line} imports {name}")
    return found


def read_homes(page):
    """The table of docs/architecture.md: which floors may know a package"""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`\w+`(?:, `\w+`)*) \|$", page, re.MULTILINE)
    return {package: re.findall(r"\w+", floors) for packages, floors in rows for package in re.findall(r"\w+", packages)}


def test_imports_go_down_the_list_in_the_documentation():
    assert upward_imports(PACKAGE, FLOORS) == []


def test_every_folder_is_in_the_list_in_the_documentation():
    assert unlisted(PACKAGE, FLOORS) == []


def test_packages_are_known_only_where_the_documentation_says():
    homes = read_homes(PAGE.read_text(encoding="utf-8"))
    assert homes["dm_control"] == homes["shimmy"] == ["envs"]
    assert homes["rl_zoo3"] == ["zoo", "experiment"]
    assert strangers(PACKAGE, homes) == []


@pytest.mark.parametrize("arrow", [("buffers", "features"), ("experiment", "report")])
def test_folders_that_the_list_alone_would_allow_stay_apart(arrow):
    assert read_arrows(PACKAGE).get(arrow, []) == []


def test_the_picture_of_the_house_is_up_to_date():
    assert PICTURE.read_text(encoding="utf-8") == house(), "run: python docs/draw_house.py"


@pytest.fixture
def package(tmp_path):
    """Two floors, roof and cellar, in which every import is in order"""
    files = {
        "__init__.py": "from tree.roof import Roof",
        "roof/__init__.py": "from tree.roof.tiles import Roof",
        "roof/tiles.py": "import numpy\nfrom tree.cellar import Coal",
        "cellar/__init__.py": "Coal = 1",
    }
    package = tmp_path / "tree"
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_a_tree_in_order_passes_the_checker(package):
    assert upward_imports(package, ["__init__", "roof", "cellar"]) == []
    assert unlisted(package, ["__init__", "roof", "cellar"]) == []
    assert set(read_arrows(package)) == {("__init__", "roof"), ("roof", "cellar")}


@pytest.mark.parametrize(
    "statement",
    [
        "from tree.roof import Roof",
        "from tree import roof",
        "import tree.roof.tiles",
        "from ..roof import Roof",
        "def late():\n    from tree.roof.tiles import Roof",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tree.roof import Roof",
        "from importlib import import_module\nimport_module('tree.roof')",
        "from importlib import import_module\nimport_module(f'tree.roof.{1}')",
    ],
)
def test_the_checker_sees_an_import_that_goes_up(package, statement):
    (package / "cellar" / "stairs.py").write_text(statement)
    line = statement.count("\n") + 1
    assert upward_imports(package, ["__init__", "roof", "cellar"]) == [f"cellar imports roof (cellar/stairs.py:{line})"]


@pytest.mark.parametrize("statement", ["import tree", "from tree import Roof", "from tree import *"])
def test_the_checker_sees_an_import_of_the_package_itself(package, statement):
    (package / "cellar" / "stairs.py").write_text(statement)
    assert upward_imports(package, ["__init__", "roof", "cellar"]) == ["cellar imports __init__ (cellar/stairs.py:1)"]


def test_the_checker_sees_folders_without_an_entry_and_entries_without_a_folder(package):
    (package / "shed.py").write_text("")
    assert unlisted(package, ["__init__", "roof", "cellar", "attic"]) == ["attic", "shed"]


def test_the_checker_sees_a_package_in_the_wrong_place(package):
    (package / "cellar" / "stairs.py").write_text("def late():\n    from numpy.random import default_rng")
    assert strangers(package, {"numpy": ["roof"]}) == ["cellar/stairs.py:2 imports numpy.random.default_rng"]
    assert strangers(package, {"numpy": ["roof", "cellar"]}) == []


def test_the_picture_leaves_out_arrows_that_follow_from_others():
    assert reduce_arrows({("a", "b"), ("b", "c"), ("c", "d"), ("a", "c"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("c", "d")}


def test_the_picture_has_every_box_above_what_it_imports():
    rows = place_rows(["top", "a", "b", "c"], {("top", "a"), ("a", "b"), ("a", "c"), ("b", "c")})
    assert rows == [["c"], ["b"], ["a"], ["top"]]
