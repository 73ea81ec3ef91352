"""The training script: `rtmag train` or `python -m rtmag.train`, alone or under `torchrun`.

Reads top to bottom: options, processes, network, samples, loop. One folder holds everything a run
makes (train/checkpoint.py); interrupt it at will and go on with --resume.
"""

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import typer
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from rtmag.realtime.environment import code
from rtmag.realtime.errors import RtmagError
from rtmag.train import checkpoint, options
from rtmag.train.data.batch import Batch
from rtmag.train.data.pool import Pool, prefetch, stream
from rtmag.train.data.published import Published
from rtmag.train.data.synthesis import Synthesizer
from rtmag.train.data.textures import Bank
from rtmag.train.log import Log, plot, progress_bar
from rtmag.train.losses import Objective
from rtmag.train.machine import Interrupt, max_over_processes, pick_device, pick_precision
from rtmag.train.network.config import CONFIGS
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DECAY = 0.999  # of the averaged weights; shorter early on

SLOW_RATE = 0.05  # of what is about right before training: at full pace, Adam would spoil it first

REPORT = 2.0  # seconds between log lines


@app.command()
def train(  # noqa: C901 - a script, to be read from top to bottom
    out: options.Out = Path("runs/standard"),
    model: options.Model = "standard",
    minutes: options.Minutes = None,
    steps: options.Steps = None,
    resume: options.Resume = False,
    init: options.Init = None,
    batch: options.Batch = None,
    crop: options.Crop = 112,
    lr: options.Lr = None,
    images: options.Images = None,
    data: options.Data = None,
    limit: options.Limit = None,
    pool: options.Pool = None,
    capacity: options.Capacity = 8192,
    reuse: options.Reuse = 32.0,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    compiled: options.Compile = False,
    every: options.Every = 45.0,
    validate: options.Validate = None,
    validate_every: options.ValidateEvery = 10.0,
) -> None:
    """Train a magnifier on scenes that are synthesised as it learns."""
    options.check(model, minutes, steps, crop, lr, out, resume, init)
    options.check_clips(validate or [])

    # ---- processes ----
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    where = pick_device(device)
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    torch.manual_seed(seed)
    dtype = pick_precision(precision, where, model)

    # ---- network ----
    net = build(CONFIGS[model])
    if init is not None:
        checkpoint.start_from(init, net)
    net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    paper = isinstance(net, Oh2018)
    count = batch or (4 if paper else 16)
    rate = lr or (1e-4 if paper else 1e-3)
    objective: torch.nn.Module = Objective(net)
    optimizer = torch.optim.Adam(parameter_groups(net), rate, betas=(0.9, 0.999), fused=True)
    average = checkpoint.copy_weights(net)
    history: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if resume:
        history = checkpoint.resume(out, net, average, optimizer)
    if compiled:
        objective.compile()
    if world > 1:
        objective = DistributedDataParallel(objective)
    facts = provenance(model, count, rate, crop, seed, world, where, dtype, images, data)
    history["parts"] = [*history.get("parts", []), {"from_step": history["step"], **facts}]
    history |= facts | {"data": ", ".join(dict.fromkeys(p["data"] for p in history["parts"]))}

    # ---- samples ----
    samples: Iterator[Batch]
    if data is not None:
        published = Published(
            data, limit=limit, crop=crop, rank=rank, world=world, seed=seed, start=history["step"]
        )
        samples = prefetch(published.batches(count))
    else:
        start = history["step"]
        bank = Bank.make(seed=seed, device=where, images=images)
        size = crop if reuse <= 1 else crop + 16  # room to cut different squares from one scene
        synthesizer = Synthesizer(bank, size=size, seed=hash((seed, rank, start)))
        if reuse <= 1:
            samples = stream(synthesizer, count, seed=seed + rank, start=start, with_frame_c=paper)
        else:
            folder = (pool or out / "pool") / (f"rank{rank}" if world > 1 else "")
            ring = Pool(synthesizer, capacity=capacity, folder=folder)
            fill(ring, min(capacity, 2048) - len(ring), show=rank == 0)
            crops = ring.batches(
                count, crop=crop, reuse=reuse, seed=seed + rank, start=start, with_frame_c=paper
            )
            samples = prefetch(crops)

    # ---- loop ----
    stop = Interrupt()
    began = time.monotonic() - history["seconds"]
    saved = reported = time.monotonic()
    validated = history["seconds"]
    log = Log(out / "log.csv", append=resume) if rank == 0 else None
    with progress_bar(enabled=rank == 0) as bar:
        task = bar.add_task(model, total=1.0, note="")
        while True:
            done = max_over_processes(
                1.0 if stop.requested else progress(history, minutes, steps), where, world
            )
            if done >= 1:
                break
            for group in optimizer.param_groups:
                pace = 1.0 if paper else group["pace"] * schedule(done, history["step"])
                group["lr"] = rate * pace
            sample = next(samples).to(where)
            with torch.autocast(where.type, dtype, enabled=dtype is not torch.float32):
                terms = objective(sample)
            optimizer.zero_grad(set_to_none=True)
            terms["total"].backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            history["step"] += 1
            history["seconds"] = round(time.monotonic() - began, 1)
            warm = min(DECAY, (1 + history["step"]) / (10 + history["step"]))
            checkpoint.update_average(average, net, warm)
            now = time.monotonic()
            if log is None:
                continue
            log.collect(terms)
            if now - reported >= REPORT:
                note = log.write(history, optimizer.param_groups[0]["lr"])
                bar.update(task, completed=done, note=note)
                reported = now
            if now - saved >= every:
                checkpoint.save(out, net, average, optimizer, history)
                saved = time.monotonic()
            if validate and history["seconds"] - validated >= validate_every * 60:
                validation(out, net, average, validate, history["step"])
                validated = history["seconds"]
    if log is not None:
        if log.steps:
            log.write(history, optimizer.param_groups[0]["lr"])
        checkpoint.save(out, net, average, optimizer, history)
        plot(out / "log.csv", out / "curve.png", title=f"{model}, {history['step']} steps")
        if validate:
            validation(out, net, average, validate, history["step"])
        print(f"{history['step']} steps in {history['seconds'] / 60:.1f} min: {out}")
    if world > 1:
        distributed.destroy_process_group()
    if stop.requested:
        raise typer.Exit(130)


# ---- parts, in the order of use ---------------------------------------------------------------


def parameter_groups(net: MagNet | Oh2018) -> list[dict[str, Any]]:
    """What learns at which share of the rate."""
    if not isinstance(net, MagNet):
        return [{"params": list(net.parameters()), "pace": 1.0}]
    basis = net.basis()
    slow = {id(weight) for weight in basis}
    rest = [weight for weight in net.parameters() if id(weight) not in slow]
    return [{"params": rest, "pace": 1.0}, {"params": basis, "pace": SLOW_RATE}]


def provenance(
    model: str, batch: int, lr: float, crop: int, seed: int, world: int,
    device: torch.device, dtype: torch.dtype, images: Path | None, data: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """What a model card must say about how weights came about."""
    source = (
        "published set" if data else "synthesised, own photographs" if images else "synthesised"
    )
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "model": model, "batch": batch, "lr": lr, "crop": crop, "seed": seed, "processes": world,
        "device": f"{machine}, {torch.get_num_threads()} threads", "precision": str(dtype)[6:],
        "torch": torch.__version__, "commit": code() or "",
        "command": " ".join(sys.argv[1:]).removeprefix("train "), "data": source,
    }  # fmt: skip


def fill(ring: Pool, count: int, *, show: bool) -> None:
    """Render the first scenes; learning starts with a quarter of the pool and fills the rest."""
    with progress_bar(enabled=show) as bar:
        task = bar.add_task("rendering scenes", total=max(count, 0), note="")
        while count > 0:
            ring.add(min(count, 64))
            count -= 64
            bar.update(task, advance=64, note=f"{len(ring)}")


def progress(history: dict[str, Any], minutes: float | None, steps: int | None) -> float:
    """Share of the run that is done, by time or by steps, whichever is further."""
    by_time = history["seconds"] / (minutes * 60) if minutes else 0.0
    by_steps = history["step"] / steps if steps else 0.0
    return float(max(by_time, by_steps))


def schedule(done: float, step: int) -> float:
    """Factor of the learning rate: 200 steps of warm-up, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1))))


def validation(
    out: Path, net: MagNet | Oh2018, average: dict[str, torch.Tensor], clips: list[Path], step: int
) -> None:
    """Magnify real clips with the averaged weights; one that fails is told of and left out."""
    from rtmag.train.validation import magnify_clip

    judge = build(net.config).to(next(net.parameters()).device).eval()
    judge.load_state_dict(average)
    for clip in clips:
        try:
            magnify_clip(judge, clip, out / "validation" / f"{clip.stem}-{step:07d}")
        except RtmagError as error:
            print(f"validation left out: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    from rtmag.realtime.cli.main import execute

    sys.exit(execute(["train", *sys.argv[1:]]))
