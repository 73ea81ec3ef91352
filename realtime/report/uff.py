"""A measurement as a Universal File (UFF), data set 58, for programs of modal analysis.

Each region is a node, numbered from 1, with a time response in each of the directions +X (right)
and -Y (down). With a scale, lengths are in metres, the SI unit that such programs expect; without
one they are in px.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyuff

from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.analysis.spectra import Samples
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import OptionError
from rtmag.realtime.report.contents import ReportContents, place

_TIME_RESPONSE = 1
_DIRECTIONS = (1, -2)
_DOUBLE = 4
_NO_QUANTITY, _DISPLACEMENT, _TIME = 0, 8, 17
_NAME_COLUMNS, _LINE_COLUMNS = 10, 80

_METRES = {"mm": 1e-3}

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
"""Of the format, whatever the language of the system."""

_AXES = ("abscissa", "ordinate", "orddenom", "z_axis")


def write_uff(contents: ReportContents, path: Path) -> None:
    """Write the displacement of all regions.

    Raises:
        OptionError: no region has two samples.
        OSError: the file cannot be written.
    """
    records = [
        _record(contents, number, region, axis)
        for number, region in enumerate(contents.measurement.regions, 1)
        for axis in (0, 1)
        if len(region.times) > 1
    ]
    if not records:
        raise OptionError(f"cannot write {str(path)!r}: fewer than two frames were measured")
    pyuff.UFF(str(path)).write_sets(records, "overwrite")


def _record(
    contents: ReportContents, number: int, region: RegionMotion, axis: int
) -> dict[str, Any]:
    times, values, even = _samples(region, axis)
    metres = _METRES.get(contents.unit)
    made = contents.made
    record: dict[str, Any] = {
        "type": 58,
        "binary": 0,
        "func_type": _TIME_RESPONSE,
        "id1": f"displacement of {region.name}, {('right', 'down')[axis]}"[:_LINE_COLUMNS],
        "id2": contents.source.encode("ascii", "replace").decode()[:_LINE_COLUMNS],
        "id3": f"{made.day:02}-{_MONTHS[made.month - 1]}-{made:%y %H:%M:%S}",
        "id4": f"region {place(region.box)} of {contents.measurement.size} px",
        "id5": f"rtmag {rtmag_version()}",
        # Columns of a fixed width: a longer name would move those after it.
        "rsp_ent_name": region.name.replace(" ", "_")[:_NAME_COLUMNS],
        "rsp_node": number,
        "rsp_dir": _DIRECTIONS[axis],
        "ref_node": 0,
        "ref_dir": 0,
        "ord_data_type": _DOUBLE,
        "num_pts": len(values),
        "abscissa_spacing": int(even),
        "abscissa_spec_data_type": _TIME,
        "abscissa_axis_lab": "Time",
        "abscissa_axis_units_lab": "s",
        "ordinate_spec_data_type": _NO_QUANTITY if metres is None else _DISPLACEMENT,
        "ordinate_axis_lab": "Displacement",
        "ordinate_axis_units_lab": "px" if metres is None else "m",
        "orddenom_spec_data_type": _NO_QUANTITY,
        "z_axis_spec_data_type": _NO_QUANTITY,
        "z_axis_value": 0.0,
        "x": times,
        "data": values * contents.scale * (metres or 1.0),
    }
    for name in _AXES:
        record |= {f"{name}_{kind}_unit_exp": 0 for kind in ("len", "force", "temp")}
    return record


def _samples(region: RegionMotion, axis: int) -> tuple[Samples, Samples, bool]:
    """Return times, one axis of the displacement, and True if the times are equal steps."""
    piece = region.pieces[0] if len(region.pieces) == 1 else None
    if piece is not None and np.array_equal(piece.values, region.displacement):
        return piece.times, piece.values[:, axis], True
    return region.times, region.displacement[:, axis], False
