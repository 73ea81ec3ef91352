"""The training script: `rtmag train` or `python -m rtmag.train`, alone or under `torchrun`.

Reads top to bottom: options, processes, network, samples, loop. One folder holds everything a run
makes (train/checkpoint.py); interrupt it at will and go on with --resume.
"""

import csv
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from rtmag.realtime.errors import OptionError, RtmagError
from rtmag.train import checkpoint
from rtmag.train.dataset import Batch, Published
from rtmag.train.losses import Objective
from rtmag.train.model import CONFIGS, MagNet, Oh2018, build
from rtmag.train.pool import Pool, ahead, fresh
from rtmag.train.synthesis import Synthesizer
from rtmag.train.textures import Bank

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DECAY = 0.999  # of the averaged weights; shorter early on
REPORT = 2.0  # seconds between log lines


@app.command()
def train(
    out: Annotated[Path, typer.Argument(help="Folder of the run; made if missing.")] = Path("runs/standard"),
    model: Annotated[str, typer.Option(help=f"One of {', '.join(CONFIGS)}.")] = "standard",
    minutes: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where OUT stopped.")] = False,
    batch: Annotated[int | None, typer.Option(help="Samples per step and process.")] = None,
    crop: Annotated[int, typer.Option(help="Side of a sample in pixels, a multiple of 4.")] = 112,
    lr: Annotated[float | None, typer.Option(help="Adam's step: 1e-3 with a cosine; oh2018 1e-4, constant.")] = None,
    images: Annotated[Path | None, typer.Option(help="Photographs for the scenes (a folder, COCO, VOC).")] = None,
    data: Annotated[Path | None, typer.Option(help="The published data set, in place of synthesis.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only so many samples of --data.")] = None,
    pool: Annotated[Path | None, typer.Option(help="Folder of rendered scenes [OUT/pool].")] = None,
    capacity: Annotated[int, typer.Option(help="Scenes the pool holds.")] = 8192,
    reuse: Annotated[float, typer.Option(help="Uses of a rendered scene; 1 renders every batch anew.")] = 32.0,
    seed: Annotated[int, typer.Option(help="Of weights, scenes and order.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 45.0,
    validate: Annotated[list[Path] | None, typer.Option(help="Real clip to magnify at intervals; repeatable.")] = None,
    validate_every: Annotated[float, typer.Option(help="Minutes between validations.")] = 10.0,
) -> None:  # fmt: skip
    """Train a magnifier on scenes that are synthesised as it learns."""
    check(model, minutes, steps, crop, out, resume)
    check_clips(validate or [])

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
    net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    paper = isinstance(net, Oh2018)
    count = batch or (4 if paper else 16)
    rate = lr or (1e-4 if paper else 1e-3)
    objective: torch.nn.Module = Objective(net)
    optimizer = torch.optim.Adam(net.parameters(), rate, betas=(0.9, 0.999), fused=True)
    average = checkpoint.averaged(net)
    history: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if resume:
        history = checkpoint.resume(out, net, average, optimizer)
    if world > 1:
        objective = DistributedDataParallel(objective)
    history |= provenance(model, count, rate, crop, seed, world, where, dtype, images, data)

    # ---- samples ----
    samples: Iterator[Batch]
    if data is not None:
        source = Published(data, limit=limit, crop=crop, rank=rank, world=world, seed=seed)
        samples = ahead(source.batches(count))
    else:
        bank = Bank.make(seed=seed, device=where, images=images)
        size = crop if reuse <= 1 else crop + 16
        synthesizer = Synthesizer(bank, size=size, seed=hash((seed, rank, history["step"])))
        if reuse <= 1:
            samples = fresh(
                synthesizer, count, seed=seed + rank, start=history["step"], third=paper
            )
        else:
            folder = (pool or out / "pool") / (f"rank{rank}" if world > 1 else "")
            ring = Pool(synthesizer, capacity=capacity, folder=folder)
            fill(ring, min(capacity, 2048) - len(ring), show=rank == 0)
            batches = ring.batches(
                count, crop=crop, reuse=reuse, seed=seed + rank, start=history["step"], third=paper
            )
            samples = ahead(batches)

    # ---- loop ----
    stop = Interrupt()
    began = time.monotonic() - history["seconds"]
    saved = reported = time.monotonic()
    validated = history["seconds"]
    log = Log(out / "log.csv", append=resume) if rank == 0 else None
    with progress_bar(enabled=rank == 0) as bar:
        task = bar.add_task(model, total=1.0, note="")
        while True:
            done = agree(1.0 if stop.asked else progress(history, minutes, steps), where, world)
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = rate if paper else rate * schedule(done, history["step"])
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
            checkpoint.average_in(average, net, warm)
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
        if validate:
            validation(out, net, average, validate, history["step"])
        print(f"{history['step']} steps in {history['seconds'] / 60:.1f} min: {out}")
    if world > 1:
        distributed.destroy_process_group()
    if stop.asked:
        raise typer.Exit(130)


# ---- parts, in the order of use ---------------------------------------------------------------


def check(
    model: str, minutes: float | None, steps: int | None, crop: int, out: Path, resume: bool
) -> None:
    """Refuse what cannot be carried out, before any work."""
    if model not in CONFIGS:
        raise OptionError(f"model must be one of {', '.join(CONFIGS)}, got {model!r}")
    if minutes is None and steps is None:
        raise OptionError("need --minutes or --steps, to know when to stop")
    if crop % 4 or crop < 32:
        raise OptionError(f"crop must be a multiple of 4 and at least 32, got {crop}")
    if not resume and (out / "resume.safetensors").exists():
        raise OptionError(f"{str(out)!r} holds a run already; --resume continues it")


def check_clips(clips: list[Path]) -> None:
    """Refuse clips that are missing, or whose results would overwrite each other."""
    for clip in clips:
        if not clip.is_file():
            raise OptionError(f"cannot validate with {str(clip)!r}: no such file")
    if len({clip.stem for clip in clips}) < len(clips):
        raise OptionError("cannot validate: clips need names that differ before the suffix")


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; under torchrun, this process's own GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return device


def pick_precision(name: str, device: torch.device, model: str) -> torch.dtype:
    """`auto` is bf16 where the hardware multiplies it fast; the motion path stays fp32 always.

    oh2018 takes its shape from a deep network, whose differences half precision would swallow.
    """
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if name in known:
        return known[name]
    if name != "auto":
        raise OptionError(f"precision must be auto, fp32 or bf16, got {name!r}")
    fast = model != "oh2018" and (device.type == "cuda" or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def provenance(
    model: str, batch: int, lr: float, crop: int, seed: int, world: int,
    device: torch.device, dtype: torch.dtype, images: Path | None, data: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """What a model card must say about how weights came about."""
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "model": model, "batch": batch, "lr": lr, "crop": crop, "seed": seed, "processes": world,
        "device": f"{machine}, {torch.get_num_threads()} threads", "precision": str(dtype)[6:],
        "torch": torch.__version__, "commit": checkpoint.commit(), "command": " ".join(sys.argv[1:]),
        "data": "published set" if data else "synthesised, own photographs" if images else "synthesised",
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


def agree(done: float, device: torch.device, world: int) -> float:
    """The largest share done of any process: all stop together and learn at the same rate."""
    if world == 1:
        return done
    most = torch.tensor(done, dtype=torch.float64, device=device)
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    return float(most.item())


def progress_bar(*, enabled: bool) -> Progress:
    """A bar with elapsed time and a note; silent off a terminal."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(), TextColumn("{task.fields[note]}"),
        disable=not enabled or not sys.stderr.isatty(),
    )  # fmt: skip


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


class Interrupt:
    """Ctrl-C or SIGTERM asks for a stop after the current step; nothing is lost."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True


class Log:
    """log.csv: means of the loss terms since the last line."""

    def __init__(self, path: Path, *, append: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.sums, self.steps = path, dict[str, torch.Tensor](), 0
        self.header = not (append and path.exists())
        if self.header:
            path.write_text("")

    def collect(self, terms: dict[str, torch.Tensor]) -> None:
        """Add one step's terms."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.steps += 1

    def write(self, history: dict[str, Any], lr: float) -> str:
        """Append a line; returns what the progress bar says."""
        means = {name: f"{(value / self.steps).item():.5f}" for name, value in self.sums.items()}
        row = {"step": history["step"], "seconds": history["seconds"], "lr": f"{lr:.2e}", **means}
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if self.header:
                writer.writeheader()
                self.header = False
            writer.writerow(row)
        self.sums, self.steps = {}, 0
        return f"step {row['step']}  loss {means['total']}"


if __name__ == "__main__":
    from rtmag.realtime.cli import execute

    sys.exit(execute(["train", *sys.argv[1:]]))
