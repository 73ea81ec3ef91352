"""The floor: whichever takes longer, and rates that a machine can have."""

from rtmag.realtime.floor import Floor, measure_floor


def test_the_slower_of_two_makes_the_floor() -> None:
    floor = Floor(gemm=1e9, copy=2e9)
    assert floor.ms(macs=5e6, moved=2e6) == 5.0
    assert floor.ms(macs=5e5, moved=2e6) == 1.0


def test_rates_are_those_of_a_computer() -> None:
    floor = measure_floor(tries=1)
    assert 1e8 < floor.gemm < 1e15
    assert 1e8 < floor.copy < 1e14
