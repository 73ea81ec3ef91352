"""The training script: `rtmag train` or `python -m rtmag.train`, alone or under `torchrun`.

The script sets up processes, network and samples, and then runs the loop. One folder holds all
files of a run (train/checkpoint.py). A run may be interrupted at any time and continued with
--resume.
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

from rtmag.realtime.cli.console import notice, print_result
from rtmag.realtime.environment import commit
from rtmag.realtime.errors import OptionError, RtmagError
from rtmag.train import checkpoint, options
from rtmag.train.data.batch import Batch
from rtmag.train.data.pool import Pool, prefetch, stream
from rtmag.train.data.published import Published
from rtmag.train.data.synthesis import Synthesizer
from rtmag.train.data.textures import Bank
from rtmag.train.log import Log, ProgressReport, duration, plot
from rtmag.train.losses import Objective
from rtmag.train.machine import Interrupt, max_over_processes, pick_device, pick_precision
from rtmag.train.network.config import CONFIGS, Config
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DECAY = 0.999  # of the averaged weights, per step; smaller in the first steps

SLOW_RATE = 0.05  # share of the learning rate for weights that are about right before training

LOG_EVERY = 2.0  # seconds between lines of log.csv

FIRST_SCENES = 2048  # rendered before training starts; the pool fills up during training

MARGIN = 16  # px that scenes are larger than samples, so that one scene gives different crops


@app.command()
def train(  # noqa: C901 - a script, to be read from top to bottom
    out: options.Out = Path("runs/standard"),
    model: options.Model = None,
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
    """Train a magnifier on scenes that are rendered during training.

    Everything is written to the folder OUT. Ctrl-C saves the run and stops it; --resume continues.
    """
    options.check(model, minutes, steps, crop, lr, out, resume, init)
    options.check_clips(validate or [])

    # ---- processes ----
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    torch_device = pick_device(device)
    name, config = choose_network(model, out, resume=resume)
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch_device.type == "cuda" else "gloo")
    torch.manual_seed(seed)
    dtype = pick_precision(precision, torch_device, config.architecture)

    # ---- network ----
    net = build(config)
    if init is not None:
        checkpoint.start_from(init, net)
    net.to(torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    is_oh2018 = isinstance(net, Oh2018)
    batch_size = batch or (4 if is_oh2018 else 16)
    learning_rate = lr or (1e-4 if is_oh2018 else 1e-3)
    objective: torch.nn.Module = Objective(net)
    optimizer = torch.optim.Adam(
        parameter_groups(net), learning_rate, betas=(0.9, 0.999), fused=True
    )
    average = checkpoint.copy_weights(net)
    history: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if resume:
        history = checkpoint.resume(out, net, average, optimizer)
    if compiled:
        objective.compile()
    if world > 1:
        objective = DistributedDataParallel(objective)
    facts = provenance(
        name, batch_size, learning_rate, crop, seed, world, torch_device, dtype, images, data
    )
    history["parts"] = [*history.get("parts", []), {"from_step": history["step"], **facts}]
    history |= facts | {"data": ", ".join(dict.fromkeys(p["data"] for p in history["parts"]))}

    # ---- samples ----
    start = history["step"]
    samples: Iterator[Batch]
    if data is not None:
        published = Published(
            data, limit=limit, crop=crop, rank=rank, world=world, seed=seed, start=start
        )
        samples = prefetch(published.batches(batch_size))
    else:
        bank = Bank.make(seed=seed, device=torch_device, images=images)
        size = crop if reuse <= 1 else crop + MARGIN
        synthesizer = Synthesizer(bank, size=size, seed=hash((seed, rank, start)))
        if reuse <= 1:
            samples = stream(
                synthesizer, batch_size, seed=seed + rank, start=start, with_frame_c=is_oh2018
            )
        else:
            folder = (pool or out / "pool") / (f"rank{rank}" if world > 1 else "")
            ring = Pool(synthesizer, capacity=capacity, folder=folder)
            fill(ring, min(capacity, FIRST_SCENES) - len(ring), folder, report=rank == 0)
            crops = ring.batches(
                batch_size,
                crop=crop,
                reuse=reuse,
                seed=seed + rank,
                start=start,
                with_frame_c=is_oh2018,
            )
            samples = prefetch(crops)

    # ---- loop ----
    stop = Interrupt()
    began = time.monotonic() - history["seconds"]
    saved = logged = time.monotonic()
    validated = history["seconds"]
    log = Log(out / "log.csv", append=resume) if rank == 0 else None
    done = progress(history, minutes, steps)
    if log is not None:
        announce(history, minutes, steps, out)
    with ProgressReport(f"training {name}", start=min(done, 1), enabled=rank == 0) as bar:
        while True:
            share = 1.0 if stop.requested else progress(history, minutes, steps)
            done = max_over_processes(share, torch_device, world)
            if done >= 1:
                break
            for group in optimizer.param_groups:
                factor = 1.0 if is_oh2018 else group["pace"] * schedule(done, history["step"])
                group["lr"] = learning_rate * factor
            sample = next(samples).to(torch_device)
            with torch.autocast(torch_device.type, dtype, enabled=dtype is not torch.float32):
                terms = objective(sample)
            optimizer.zero_grad(set_to_none=True)
            terms["total"].backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            history["step"] += 1
            history["seconds"] = round(time.monotonic() - began, 1)
            decay = min(DECAY, (1 + history["step"]) / (10 + history["step"]))
            checkpoint.update_average(average, net, decay)
            now = time.monotonic()
            if log is None:
                continue
            log.collect(terms)
            if now - logged >= LOG_EVERY:
                detail = log.write(history, optimizer.param_groups[0]["lr"])
                bar.update(done, detail)
                logged = now
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
        plot(out / "log.csv", out / "curve.png", title=f"{name}, {history['step']} steps")
        if validate:
            validation(out, net, average, validate, history["step"])
        print_result(f"{history['step']} steps in {history['seconds'] / 60:.1f} min: {out}")
    if world > 1:
        distributed.destroy_process_group()
    if stop.requested:
        raise typer.Exit(130)


# ---- functions, in the order of use -----------------------------------------------------------


def choose_network(model: str | None, out: Path, *, resume: bool) -> tuple[str, Config]:
    """Name and configuration of the network to train.

    A resumed run keeps its own network, so `model` may be None then.

    Raises:
        OptionError: `model` is another network than the one of the run to resume.
        ModelIncompatible: there is no run to resume.
    """
    if not resume:
        name = model or "standard"
        return name, CONFIGS[name]
    config, history = checkpoint.read_run(out)
    name = str(history.get("model", config.architecture))
    if model not in (None, name) and CONFIGS[str(model)] != config:
        raise OptionError(
            f"cannot resume {str(out)!r} with --model {model}: the run trains {name!r}; "
            "leave out --model"
        )
    return name, config


def parameter_groups(net: MagNet | Oh2018) -> list[dict[str, Any]]:
    """Parameter groups for Adam; `pace` is a group's share of the learning rate.

    MagNet's shape kernels and motion matrices are about right before training. At the full rate
    Adam would destroy them in its first steps.
    """
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
    """Facts about this part of the run, for config.json and the model card."""
    source = (
        "published set" if data else "synthesised, own photographs" if images else "synthesised"
    )
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "model": model, "batch": batch, "lr": lr, "crop": crop, "seed": seed, "processes": world,
        "device": f"{machine}, {torch.get_num_threads()} threads", "precision": str(dtype)[6:],
        "torch": torch.__version__, "commit": commit() or "",
        "command": " ".join(sys.argv[1:]).removeprefix("train "), "data": source,
    }  # fmt: skip


def fill(ring: Pool, count: int, folder: Path, *, report: bool) -> None:
    """Render the first `count` scenes into the pool and report the progress."""
    if count <= 0:
        return
    if report:
        notice(f"rendering the first {count} scenes into {folder}; training starts after that")
    began, rendered = time.monotonic(), 0
    with ProgressReport("rendering scenes", enabled=report) as bar:
        while rendered < count:
            ring.add(min(count - rendered, 64))
            rendered = min(rendered + 64, count)
            bar.update(rendered / count, f"{rendered} of {count}")
    if report:
        notice(f"rendered {count} scenes in {duration(time.monotonic() - began)}")


def announce(history: dict[str, Any], minutes: float | None, steps: int | None, out: Path) -> None:
    """Report what is trained, on what machine, and when the run stops."""
    ends = [f"{minutes:g} min"] if minutes else []
    ends += [f"{steps} steps"] if steps else []
    origin = f" from step {history['step']}" if history["step"] else ""
    notice(
        f"training {history['model']}{origin} until {' or '.join(ends)} on {history['device']} in "
        f"{history['precision']}, into {out}; Ctrl-C saves and stops"
    )


def progress(history: dict[str, Any], minutes: float | None, steps: int | None) -> float:
    """Share of the run that is done, by time or by steps, whichever is larger; 1 is the end."""
    by_time = history["seconds"] / (minutes * 60) if minutes else 0.0
    by_steps = history["step"] / steps if steps else 0.0
    return float(max(by_time, by_steps))


def schedule(done: float, step: int) -> float:
    """Factor of the learning rate: warm-up over 200 steps, then a cosine from 1 down to 0.01."""
    return min(1.0, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1))))


def validation(
    out: Path, net: MagNet | Oh2018, average: dict[str, torch.Tensor], clips: list[Path], step: int
) -> None:
    """Magnify real clips with the averaged weights; a clip that fails is reported and skipped."""
    from rtmag.train.validation import magnify_clip

    averaged = build(net.config).to(next(net.parameters()).device).eval()
    averaged.load_state_dict(average)
    for clip in clips:
        try:
            magnify_clip(averaged, clip, out / "validation" / f"{clip.stem}-{step:07d}")
        except RtmagError as error:
            notice(f"validation skipped: {error}")
