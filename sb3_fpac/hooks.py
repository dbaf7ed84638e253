"""
What happens as soon as a folder is loaded. A folder imports only those below it: what one above it must do then, the
``__init__`` of the package sets beforehand.
"""

from collections.abc import Callable

_hooks: dict[str, Callable[[], object]] = {}


def when_loaded(module: str, hook: Callable[[], object]) -> None:
    """
    Set what happens as soon as a module is loaded.

    :param module: Full name of a module that calls :func:`run_hooks`
    :param hook: Called once
    """
    _hooks[module] = hook


def run_hooks(module: str) -> None:
    """
    Do what was set for a module; it calls this function in its last line.

    :param module: Its full name
    """
    hook = _hooks.pop(module, None)
    if hook is not None:
        hook()
