"""As much of ONNX's files as two tiny models need, which are written without its library."""

from collections.abc import Sequence

FLOAT, INT64 = 1, 7
"""Types of tensors."""


def tensor(name: str, shape: Sequence[int | None], kind: int = FLOAT) -> bytes:
    """An input or output of a graph; None is an extent that is not known."""
    sides = (b"" if size is None else field(1, size) for size in shape)
    extents = b"".join(field(1, side) for side in sides)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, extents)))


def node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    """A node of a graph."""
    return b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)


def model(graph: bytes) -> bytes:
    """A model of IR 8 and opset 13, which every runtime that rtmag knows can read."""
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer: integers below 128, text and nested messages."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    data = value.encode() if isinstance(value, str) else value
    length, coded = len(data), bytearray()
    while length > 127:
        coded.append(length & 127 | 128)
        length >>= 7
    return bytes((number << 3 | 2, *coded, length)) + data
