"""The candidates of a benchmark, and the cost model of each: work, memory traffic, lower bound."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtmag.realtime.bench.roofline import Roofline
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.runtimes import RUNTIMES
from rtmag.realtime.engines.spec import AUTO, FP32, MIXED_BF16, PROGRAM, EngineSpec
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.sections import Sections


def describe_costs(
    environment: dict[str, Any],
    rooflines: Mapping[str, Roofline],
    engines: Sequence[Engine],
    sizes: Sequence[tuple[int, int]],
    sections: Sections,
) -> list[str]:
    """Lines to print before anything is timed: the machine's rates, and each engine's costs."""
    computer = environment["machine"]
    machine = f"{computer['cores']} cores of {computer['cpu']}"
    if "gpu" in computer:
        machine += f", {computer['gpu']}, driver {computer['driver']}"
    lines = [f"{machine}: {_rates(rooflines['cpu'])}"]
    lines += [f"{name}: {_rates(each)}" for name, each in rooflines.items() if name != "cpu"]
    for size in sizes:
        for engine in engines:
            traffic = memory_traffic(engine, size, sections)
            if traffic is None:
                continue
            bound = bound_ms(engine, size, sections, rooflines.get(roofline_device(engine)))
            lines.append(
                f"cost: {engine.described} on {engine.runtime} in {engine.precision}, "
                f"{size[0]}x{size[1]}: {engine.metadata.get('rtmag.parameters', '?')} parameters, "
                f"{engine.metadata['rtmag.macs']} multiply-accumulates per input pixel, "
                f"{traffic / 1e6:.1f} MB per frame, roofline bound "
                + ("unknown" if bound is None else f"{bound:.2f} ms")
            )
    return lines


def _rates(roofline: Roofline) -> str:
    """Text with both rates of a roofline."""
    return (
        f"{roofline.gemm / 1e9:.0f} G multiply-accumulates/s, copies {roofline.copy / 1e9:.1f} GB/s"
    )


def roofline_device(engine: Engine) -> str:
    """The device whose roofline bounds an engine: `cpu`, or `cuda PRECISION`."""
    return f"cuda {engine.precision}" if engine.provider == "cuda" else "cpu"


def bound_ms(
    engine: Engine, size: tuple[int, int], sections: Sections, roofline: Roofline | None
) -> float | None:
    """Lower bound of one stream's step, ms; None if the model's metadata lacks its costs."""
    traffic = memory_traffic(engine, size, sections)
    if traffic is None or roofline is None:
        return None
    pixels = size[0] * size[1] * engine.motion_scale**2
    return roofline.bound_ms(int(engine.metadata["rtmag.macs"]) * pixels, traffic)


def memory_traffic(engine: Engine, size: tuple[int, int], sections: Sections) -> int | None:
    """Bytes that one stream's step must read and write; None if the metadata lacks its costs.

    They are the bytes of image and state, of each once as input and once as output.
    """
    metadata = engine.metadata
    if "rtmag.macs" not in metadata:
        return None
    pixels = size[0] * size[1]
    channels, stride = (int(metadata[f"rtmag.{key}"]) for key in ("channels", "stride"))
    elements = 2 * len(sections) * channels / stride**2  # of the state, per input pixel
    image_bytes = 3 * pixels
    state_bytes = 4 * elements * pixels * engine.motion_scale**2
    return round(2 * (image_bytes + state_bytes))


def open_candidates(
    spec: EngineSpec,
    models: Sequence[str | Path],
    scales: Sequence[float],
    precisions: Sequence[str] = (AUTO,),
) -> list[Engine]:
    """Load every model at every motion scale that it supports, in every precision that differs.

    Args:
        spec: Runtime, threads and permissions for all of them; a compiled `.pt2` file comes in
            addition to the plain one.
        models: Names or paths.
        scales: Motion scales.
        precisions: `auto`, `fp32` or both; `fp32` is left out where `auto` is float32 anyway.

    Raises:
        RtmagError: as `load_engine`.
    """
    engines: list[Engine] = []
    for model in map(str, models):
        if spec.compiled and Path(model).suffix == PROGRAM:
            engines.append(load_spec(replace(spec, model=model)))
        plain = replace(spec, model=model, compiled=False)
        loaded: set[str | None] = set()
        for precision in sorted(set(precisions)):
            if precision == FP32 and loaded and MIXED_BF16 not in loaded:
                continue
            group = _at_scales(replace(plain, precision=precision), scales)
            loaded |= {engine.precision for engine in group}
            engines += group
    return engines


def open_with_baseline(
    spec: EngineSpec,
    models: Sequence[str | Path],
    scales: Sequence[float],
    precisions: Sequence[str],
    baseline: str | Path | None,
) -> list[Engine]:
    """Load the candidates on one runtime; the last of them is the baseline.

    If `baseline` is given, it runs on the runtime that `auto` chose for the first model.
    """
    engines = open_candidates(spec, models, scales, precisions)
    if baseline is not None:
        if spec.engine == AUTO:
            names = {runtime.provider: runtime.name for runtime in RUNTIMES}
            spec = replace(spec, engine=names.get(engines[0].runtime, AUTO))
        engines += open_candidates(replace(spec, compiled=False), [baseline], (1.0,))
    return engines


def _at_scales(spec: EngineSpec, scales: Sequence[float]) -> list[Engine]:
    """Load a model at each scale that it supports."""
    engines = []
    for scale in scales:
        try:
            engine = load_spec(replace(spec, motion_scale=scale))
        except ModelIncompatible:
            if scale == 1:
                raise
            break  # the model supports motion scale 1 only
        engines.append(engine)
    return engines
