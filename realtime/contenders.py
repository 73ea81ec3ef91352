"""What a benchmark times: models, in every form of them that makes a difference."""

from collections.abc import Sequence
from pathlib import Path

from rtmag.realtime.card import precision, ran_by
from rtmag.realtime.engine import PROGRAM, Engine, load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.precision import BFLOAT16

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
