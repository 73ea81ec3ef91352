"""What a model costs, known before a step of it is timed: the card that `rtmag bench` begins with.

A step must multiply and accumulate so often, and move so many bytes; what the machine's rates make
of that is its floor (rtmag/realtime/bench/roofline.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtmag.realtime.bench.roofline import Floor
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.spec import BFLOAT16, PROGRAM, exported
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.sections import Sections


def card(
    place: dict[str, Any],
    floors: Mapping[str, Floor],
    engines: Sequence[Engine],
    sizes: Sequence[tuple[int, int]],
    sections: Sections,
) -> list[str]:
    """What is known before anything is timed: the machine's rates, each model's costs."""
    computer = place["machine"]
    where = f"{computer['cores']} cores of {computer['cpu']}"
    if "gpu" in computer:
        where += f", {computer['gpu']}, driver {computer['driver']}"
    lines = [f"{where}: {_rates(floors['cpu'])}"]
    lines += [f"{place}: {_rates(floor)}" for place, floor in floors.items() if place != "cpu"]
    told = [(engine, size) for size in sizes for engine in engines]
    return lines + [
        f"card: {_named(engine)} in {precision(engine)}, {size[0]}x{size[1]}: "
        f"{engine.metadata.get('rtmag.parameters', '?')} parameters, "
        f"{engine.metadata['rtmag.macs']} MAC/px of what it sees, "
        f"{least_moved / 1e6:.1f} MB per frame, floor "
        + ("not known" if least is None else f"{least:.2f} ms")
        for engine, size in told
        if (least_moved := moved(engine, size, sections)) is not None
        for least in [floor_ms(engine, size, sections, floors.get(place_of(engine)))]
    ]


def _rates(floor: Floor) -> str:
    return f"{floor.gemm / 1e9:.0f} G multiply-accumulates/s, copies {floor.copy / 1e9:.1f} GB/s"


def place_of(engine: Engine) -> str:
    """What the engine's floor depends on: the CPU, or a GPU in some precision."""
    return f"cuda {precision(engine)}" if engine.provider == "cuda" else "cpu"


def _named(engine: Engine) -> str:
    """The model, its motion scale where that is not 1, and what runs it."""
    if isinstance(engine, TorchEngine):  # which says itself what runs it
        return engine.described
    return f"{engine.described} on {ran_by(engine)}"


def floor_ms(
    engine: Engine, size: tuple[int, int], sections: Sections, floor: Floor | None
) -> float | None:
    """The least a stream's step can take; None where a model does not tell what it costs."""
    least_moved = moved(engine, size, sections)
    if least_moved is None or floor is None:
        return None
    seen = size[0] * size[1] * engine.motion_scale**2
    return floor.ms(int(engine.metadata["rtmag.macs"]) * seen, least_moved)


def moved(engine: Engine, size: tuple[int, int], sections: Sections) -> int | None:
    """Bytes that a stream's step cannot but read or write; None where a model tells no costs."""
    facts = engine.metadata
    if "rtmag.macs" not in facts:
        return None
    pixels = size[0] * size[1]
    elements = 2 * len(sections) * int(facts["rtmag.channels"]) / int(facts["rtmag.stride"]) ** 2
    # The picture and the state, in and out.
    return round(2 * 3 * pixels + 2 * 4 * elements * pixels * engine.motion_scale**2)


def precision(engine: Engine) -> str | None:
    """The numbers it computes with, by a name of `rtmag.realtime.engines.spec`; None: not ours."""
    if isinstance(engine, OnnxEngine):
        return engine.precision
    return exported(engine.metadata) if engine.metadata else None


def ran_by(engine: Engine) -> str:
    """What runs it, told apart from another runtime on the same device."""
    if isinstance(engine, TorchEngine):
        return f"torch {engine.provider}" + (", compiled" if engine.compiled else "")
    return engine.provider


_BY_PROVIDER = {"cpu": "onnx", "openvino": "openvino", "cuda": "cuda"}


def open_group(
    models: Sequence[str | Path],
    baseline: str | Path | None,
    scales: Sequence[float],
    runtime: str,
    threads: int | None,
    precisions: Sequence[str],
    *,
    unsafe: bool,
    compiled: bool,
) -> list[Engine]:
    """What one runtime runs; the baseline, last, by what `auto` takes for the first model."""
    engines = open_engines(
        models, scales, runtime, threads, precisions, unsafe=unsafe, compiled=compiled
    )
    if baseline is not None:
        if runtime == "auto":
            runtime = _BY_PROVIDER.get(ran_by(engines[0]), runtime)
        engines += open_engines([baseline], (1.0,), runtime, threads, unsafe=unsafe)
    return engines


def open_engines(
    models: Sequence[str | Path],
    scales: Sequence[float],
    engine: str,
    threads: int | None,
    precisions: Sequence[str] = ("auto",),
    *,
    unsafe: bool = False,
    compiled: bool = False,
) -> list[Engine]:
    """Every model in every precision that makes a difference, at every scale that it knows."""
    engines: list[Engine] = []
    for model in models:
        told: set[str | None] = set()
        if compiled and Path(model).suffix == PROGRAM:
            engines.append(load_engine(model, engine=engine, unsafe=unsafe, compiled=True))
        for asked in sorted(set(precisions)):
            if asked == "fp32" and told and BFLOAT16 not in told:
                continue  # nothing that it could forbid
            opened = _at_scales(model, scales, engine, threads, asked, unsafe=unsafe)
            told |= {precision(each) for each in opened}
            engines += opened
    return engines


def _at_scales(
    model: str | Path,
    scales: Sequence[float],
    engine: str,
    threads: int | None,
    asked: str,
    *,
    unsafe: bool,
) -> list[Engine]:
    engines = []
    for scale in scales:
        try:
            opened = load_engine(
                model, engine=engine, threads=threads, motion_scale=scale, precision=asked,
                unsafe=unsafe,
            )  # fmt: skip
        except ModelIncompatible:
            if scale == 1:
                raise
            break  # it draws its pictures itself
        engines.append(opened)
    return engines
