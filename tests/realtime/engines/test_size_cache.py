"""The cache of prepared input sizes."""

from functools import partial

from rtmag.realtime.engines.size_cache import SizeCache


def looked_up(cache: SizeCache[str], sizes: str) -> str:
    """The sizes for which a value was made."""
    made: list[str] = []

    def make(size: str) -> str:
        made.append(size)
        return size

    for size in sizes:
        assert cache.get(size, partial(make, size)) == size
    return "".join(made)


def test_the_least_recently_used_size_is_dropped() -> None:
    cache: SizeCache[str] = SizeCache(2)
    assert looked_up(cache, "abab") == "ab"
    assert looked_up(cache, "cbca") == "ca"
    assert cache.values() == ["c", "a"]


def test_a_size_that_is_not_looked_up_is_dropped() -> None:
    cache: SizeCache[str] = SizeCache(unused=3)
    assert looked_up(cache, "abbba") == "ab"
    assert looked_up(cache, "bbbb") == ""
    assert len(cache) == 1
    assert looked_up(cache, "a") == "a"
