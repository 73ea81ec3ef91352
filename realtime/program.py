"""Files `.pt2`: how one is read, checked, and brought to the device that is to run it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtmag.realtime.contract import ANY, CONTRACT
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.sidecar import facts_of, identity, read_sidecar, sidecar

if TYPE_CHECKING:
    import torch

FACTS = "rtmag.json"
"""What lies beside the program in its file."""
_NUMBER = "[1-9][0-9]{0,3}"
_NEEDED = {"rtmag.model": ".+", "rtmag.channels": _NUMBER, "rtmag.stride": _NUMBER}
_OPTIONAL = {"rtmag.size": f"{_NUMBER}x{_NUMBER}", "rtmag.streams": f"{ANY}|{_NUMBER}"}


def open_program(path: str | Path, device: "torch.device") -> tuple[Any, dict[str, str]]:
    """A program on a device, which has an index unless it is the CPU; what it says about itself.

    Raises:
        ModelIncompatible: not a file of ours, or made for another machine.
        MissingExtra: it holds a TensorRT engine, and torch-tensorrt is not installed.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    path = Path(path)
    if not path.is_file():
        raise ModelIncompatible(f"cannot load model {str(path)!r}: no such file")
    beside = read_sidecar(path)
    extra = {FACTS: "{}"}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # zip, JSON, torch: they share no base class
        raise ModelIncompatible(
            f"cannot load model {str(path)!r}: PyTorch {torch.__version__} cannot read it"
        ) from error
    within = facts_of(extra[FACTS], path)
    if beside is not None and identity(within) != identity(beside):
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: of other weights, precision or size than "
            f"{sidecar(path).name} tells; build it again with rtmag export --target tensorrt "
            "--force"
        )
    metadata = (beside or {}) | within
    _check(metadata, str(path))
    # Programs are exported on the CPU, which then stands in the graph as well: in what makes new
    # tensors and in checks of old ones. An engine was built on the device that runs it.
    if beside is None and device.type != "cpu":
        program = move_to_device_pass(program, device)
    # Sizes are checked here; tracing also noted chances of its example, such as 16 % height != 0.
    module: Any = program.module(check_guards=False)
    if beside is None:  # as pictures come, and as GPUs multiply half precision
        module.to(memory_format=torch.channels_last)
    return module, metadata


def _check(metadata: dict[str, str], source: str) -> None:
    """Raises ModelIncompatible where it does not say what an engine must know."""
    contract = metadata.get("rtmag.contract")
    if contract != CONTRACT:
        raise ModelIncompatible(
            f"cannot use model {source!r}: contract {contract}, this version needs {CONTRACT}; "
            "export it again"
        )
    told = _NEEDED | {key: form for key, form in _OPTIONAL.items() if key in metadata}
    wrong = [key for key, form in told.items() if not re.fullmatch(form, metadata.get(key, ""))]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: no metadata {', '.join(wrong)}, or not as it should "
            "be; export it again"
        )
