"""`typing.NamedTuple` at a seventh of its price, and without `typing`.

A command lives for some 50 milliseconds and a monitor's memory counts for every container. `typing` takes 5 of them to
load (with `re`, `functools` and `contextlib`), and each NamedTuple compiles its constructor, which takes 0.1 more. Here
a class with the same promises is made by one metaclass. A type checker sees the original.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Protocol
else:
    from _collections import _tuplegetter

    class _Maker(type):
        """Makes the classes below `NamedTuple`: a field for each annotation, in order, with its default."""

        def __new__(cls, name, bases, members):
            if bases == (tuple,) or bases[0]._fields:
                return super().__new__(cls, name, bases, members)
            fields = tuple(members.get("__annotations__", ()))
            members["_fields"] = members["__match_args__"] = fields
            members["_field_defaults"] = {field: members[field] for field in fields if field in members}
            members["__slots__"] = ()
            for position, field in enumerate(fields):
                members[field] = _tuplegetter(position, None)
            return super().__new__(cls, name, bases, members)

    _new = tuple.__new__

    class NamedTuple(tuple, metaclass=_Maker):
        """A frozen value with named fields (as `typing.NamedTuple`)."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        def __new__(cls, /, *values, **named):
            if named or len(values) != len(cls._fields):
                values = _complete(cls, values, named)
            return _new(cls, values)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, /, **changes):
            return type(self)(**{**self._asdict(), **changes})

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            inside = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({inside})"

        def __getnewargs__(self):
            return tuple(self)

    class Protocol:
        """What an implementation offers; nothing at run time (as `typing.Protocol`)."""

    def _complete(cls, values, named):
        missing = cls._fields[len(values) :]
        defaults = cls._field_defaults
        more = []
        for field in missing:
            if field in named:
                more.append(named.pop(field))
            elif field in defaults:
                more.append(defaults[field])
            else:
                raise TypeError(f"{cls.__name__}() lacks {field!r}")
        if named or len(values) > len(cls._fields):
            unknown = ", ".join(named) or f"{len(values) - len(cls._fields)} more"
            raise TypeError(f"{cls.__name__}() has no place for {unknown}")
        return (*values, *more)


__all__ = ["TYPE_CHECKING", "NamedTuple", "Protocol"]
