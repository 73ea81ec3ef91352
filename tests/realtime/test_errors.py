"""The tree of exceptions."""

import builtins
import inspect
import re

import pytest

from rtmag.realtime import errors
from rtmag.realtime.errors import RtmagError

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if item.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_is_an_rtmag_error_and_a_builtin_one(error: type[Exception]) -> None:
    assert issubclass(error, RtmagError)
    theirs = [base for base in error.__mro__ if base.__module__ == builtins.__name__]
    specific = set(theirs) - {Exception, BaseException, object}
    assert specific or error is RtmagError


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_keeps_its_message(error: type[Exception]) -> None:
    assert str(error("cannot open 'x': no such file")) == "cannot open 'x': no such file"
    assert error.__doc__


def test_the_tree_in_the_docstring_matches_the_classes() -> None:
    drawn = {}
    levels: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([| ]*[|`]-- )?(\w+)(?:\(([\w, ]+)\))?", line)
        if found and hasattr(errors, found[2]):
            depth = len(found[1] or "") // 4
            levels[depth:] = [found[2]]
            drawn[found[2]] = (levels[depth - 1] if depth else "Exception", found[3])
    assert set(drawn) == {item.__name__ for item in CLASSES}
    for item in CLASSES:
        parent, bases = drawn[item.__name__]
        assert parent in [base.__name__ for base in item.__mro__[1:]]
        for base in filter(None, re.split(r", *", bases or "")):
            assert base in [one.__name__ for one in item.__mro__]
