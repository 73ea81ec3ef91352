"""The cache of prepared input sizes."""

from functools import partial

from rtmag.realtime.engines.size_cache import SIZES, Allowance, SizeCache


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


def test_preparations_take_a_tenth_of_the_time_after_the_free_ones() -> None:
    now, made = 100.0, []

    def prepare() -> None:
        nonlocal now
        now += 0.5
        made.append(now)

    allowance = Allowance(lambda: now)
    while now < 200:
        if allowance.exhausted:
            now += 1 / 30
        else:
            allowance.run(prepare)
    assert made[SIZES - 1] == 100 + SIZES * 0.5
    assert 0.08 * 100 < 0.5 * (len(made) - SIZES) < 0.1 * 100
    now += 1000  # without a new size
    free = 0
    while not allowance.exhausted:
        allowance.run(prepare)
        free += 1
    assert free == SIZES
