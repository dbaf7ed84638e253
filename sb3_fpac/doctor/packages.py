"""Whether the installed versions are those that this package requires."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sb3_fpac.doctor.check import Check
from sb3_fpac.optional import INSTALL_DM_CONTROL

_PACKAGE = "sb3-fpac"
_USERS = {"rl_zoo3": "the command line of RL Zoo", "dm_control": "the dmc-* ids"}  # of what may be missing
_NAMES = (
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "rl_zoo3",
    "gymnasium",
    "mujoco",
    "dm_control",
    "shimmy",
    "numpy",
)


def examine_packages() -> Iterator[Check]:
    """
    Compare the versions of Python and of the packages that matter with the requirements of the installed distribution.

    :return: A check for each. It is ok if RL Zoo is missing, and with Python 3.13 dm_control, which is installed separately.
    """
    try:
        python = metadata(_PACKAGE)["Requires-Python"]
        needed = [Requirement(line) for line in requires(_PACKAGE) or ()]
    except PackageNotFoundError:
        yield Check(_PACKAGE, False, "it is not installed, so its requirements are not known", "pip install .")
        return
    specifiers: dict[str, SpecifierSet] = {}
    for requirement in needed:  # those of extras are last
        specifiers.setdefault(_key(requirement.name), requirement.specifier)
    always = {_key(each.name) for each in needed if not each.marker or each.marker.evaluate({"extra": ""})}
    running = platform.python_version()
    fits = SpecifierSet(python).contains(running, prereleases=True)
    cure = "" if fits else "make a virtual environment with another version of Python"
    yield Check("python", fits, f"{running}, required {python}", cure)
    for name in _NAMES:
        if _key(name) in specifiers:
            yield _check(name, specifiers[_key(name)], optional=_key(name) not in always)


def _check(name: str, specifier: SpecifierSet, optional: bool) -> Check:
    required = ",".join(sorted(map(str, specifier), reverse=True))  # >= before <
    install = INSTALL_DM_CONTROL if name == "dm_control" else f'pip install "{name}{required}"'
    try:
        installed = version(name)
    except PackageNotFoundError:
        if optional:
            return Check(name, True, f"not installed, needed only by {_USERS[name]} ({install})")
        return Check(name, False, f"not installed, required {required}", install)
    fits = specifier.contains(installed, prereleases=True)
    return Check(name, fits, f"{installed}, required {required}", "" if fits else install)


def _key(name: str) -> str:
    return name.lower().replace("_", "-")
