"""An unpickler for data: it makes only what is on the lists of this package."""

import pickle
import struct
from collections import OrderedDict, deque
from enum import Enum
from typing import IO, Any, ClassVar

import numpy as np

from sb3_fpac.files import UntrustedFileError
from sb3_fpac.trust import arrays, names

_CHUNK = 2**24  # bytes
_Base: Any = pickle._Unpickler  # the one in Python, whose instructions can be replaced


class DataUnpickler(_Base):
    """
    Reads a pickle as far as it is data. Nothing that it refuses has run, nor anything behind it in the file.

    :param file: Where the pickle is read from
    :param path: What errors call it
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Base.dispatch)

    def __init__(self, file: IO[bytes], path: Any) -> None:
        super().__init__(file)
        self._path = path
        self._callable: set[Any] = set(arrays.FUNCTIONS.values())
        self._makeable: set[type] = set()

    def find_class(self, module: str, name: str) -> Any:
        function = arrays.FUNCTIONS.get((module.replace("numpy.core.", "numpy._core."), name))  # as NumPy 1 called it
        if function is not None:
            return function
        if (module, name) == ("builtins", "getattr"):
            return getattr  # Python 3.11.0 to 3.11.3 pickle the member of an Enum so
        found = names.find(module, name)
        if found is None:
            raise UntrustedFileError(self._path, f"{module}.{name}")
        cls, its_list = found
        if its_list is names.CALLED:
            self._callable.add(cls)
        elif its_list is names.MADE:
            self._makeable.add(cls)
        return cls

    def _reduce(self) -> None:
        function, arguments = self.stack[-2:]
        if not (_is_in(function, self._callable) or (function is getattr and self._is_member(arguments))):
            raise UntrustedFileError(self._path, _name(function))
        super().load_reduce()

    def _is_member(self, arguments: Any) -> bool:
        """Whether getattr(*arguments) is a member of an Enum that may be called"""
        if type(arguments) is not tuple or len(arguments) != 2:
            return False
        cls, name = arguments
        is_enum = _is_in(cls, self._callable) and isinstance(cls, type) and issubclass(cls, Enum)
        return is_enum and type(name) is str and name in cls.__members__

    def _make(self) -> None:
        cls = self.stack[-2]
        if not _is_in(cls, self._makeable):
            raise UntrustedFileError(self._path, _name(cls))
        super().load_newobj()

    def _build(self) -> None:
        made, state = self.stack[-2:]
        if isinstance(made, (np.ndarray, np.dtype)):
            arrays.check_state(made, state)
        elif type(made) not in self._makeable and type(made) not in arrays.CLASSES:
            raise UntrustedFileError(self._path, _name(made))
        super().load_build()

    def _append(self) -> None:
        self._check(self.stack[-2], list, deque)
        super().load_append()

    def _appends(self) -> None:
        self._check(self.metastack[-1][-1], list, deque)
        super().load_appends()

    def _set_item(self) -> None:
        self._check(self.stack[-3], dict, OrderedDict)
        super().load_setitem()

    def _set_items(self) -> None:
        self._check(self.metastack[-1][-1], dict, OrderedDict)
        super().load_setitems()

    def _add_items(self) -> None:
        self._check(self.metastack[-1][-1], set)
        super().load_additems()

    def _check(self, container: Any, *kinds: type) -> None:
        if type(container) not in kinds:
            raise UntrustedFileError(self._path, _name(container))

    def _read_bytes(self) -> None:
        """Python reads the bytes of a large array twice into memory"""
        (size,) = struct.unpack("<Q", self.read(8))
        content = bytearray(size)
        view = memoryview(content)
        for start in range(0, size, _CHUNK):
            self.readinto(view[start : start + _CHUNK])
        self.append(content)

    def _refuse(self) -> None:
        raise UntrustedFileError(self._path, "an instruction that no recent pickle of data has")

    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _make
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.APPEND[0]] = _append
    dispatch[pickle.APPENDS[0]] = _appends
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.ADDITEMS[0]] = _add_items
    dispatch[pickle.BYTEARRAY8[0]] = _read_bytes
    for _other in (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_other[0]] = _refuse


def _is_in(thing: Any, allowed: set[Any]) -> bool:
    """By identity: what a pickle has made may be equal to anything"""
    return any(thing is each for each in allowed)


def _name(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"
