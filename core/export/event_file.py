"""TensorBoard's event files, written and read: scalars with their steps and times.

A file is a sequence of records (TFRecord): the length of the data, a checksum of the length, the data, a checksum of
the data. The data of each is a protocol buffer, ``Event`` of tensorboard/compat/proto/event.proto; scalars use five
of its fields. Written here and not by a library: TensorBoard's own writer is declared experimental, works in a thread
and names its files itself, so that a half-written one would look like a whole one, and brings 50 MB of packages.
A test reads these files with TensorBoard's own reader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

FILE_MARK = "tfevents"
"""TensorBoard takes for an event file whatever has this in its name."""
LENGTH_BYTES = 12
_VERSION = b"brain.Event:2"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DT_FLOAT, _DT_DOUBLE = 1, 2
_LONGEST_SCALAR = 1 << 16
"""Bytes. Longer records hold pictures and histograms: their data is passed over."""


class EventFileError(ValueError):
    """The bytes are no event file, or a damaged one: ``at`` is the byte of the record, ``is_cut`` if it only ends."""

    def __init__(self, at: int, *, is_cut: bool = False) -> None:
        super().__init__(f"record at byte {at:,} is {'cut' if is_cut else 'damaged'}")
        self.at, self.is_cut = at, is_cut


@dataclass(frozen=True)
class Scalars:
    """The figures of one step: ``time`` in seconds since 1970, ``values`` by their tags."""

    step: int
    time: float
    values: Mapping[str, float]


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def event_file(events: Iterable[Scalars], begun: float) -> bytes:
    """The bytes of an event file; ``begun`` is the time of its first record, which names the format.

    Values are single precision, as in every event file; larger ones become infinite.
    """
    records = [_record(_double(1, begun) + _field(3, _VERSION))]
    for event in events:
        values = b"".join(_field(1, _tag(tag) + _float(2, value)) for tag, value in event.values.items())
        records.append(_record(_double(1, event.time) + b"\x10" + _varint(event.step) + _field(5, values)))
    return b"".join(records)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join((length, _checksum(length), data, _checksum(data)))


@cache
def _tag(tag: str) -> bytes:
    return _field(1, tag.encode())


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + _varint(len(data)) + data


def _double(number: int, value: float) -> bytes:
    return bytes((number << 3 | _FIXED64,)) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    try:
        data = struct.pack("<f", value)
    except OverflowError:
        data = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return bytes((number << 3 | _FIXED32,)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def is_event_file(data: bytes) -> bool:
    """Whether the bytes begin as an event file does: with a length and its checksum."""
    return len(data) >= LENGTH_BYTES and _checksum(data[:8]) == data[8:LENGTH_BYTES]


def scalars_of(data: bytes) -> Iterator[Scalars]:
    """The scalars in the bytes of an event file, in its order. Raises EventFileError where it is cut or damaged."""
    at = 0
    while at < len(data):
        head = data[at : at + LENGTH_BYTES]
        if len(head) < LENGTH_BYTES:
            raise EventFileError(at, is_cut=True)
        if not is_event_file(head):
            raise EventFileError(at)
        (length,) = struct.unpack("<Q", head[:8])
        end = at + LENGTH_BYTES + length
        if end + 4 > len(data):
            raise EventFileError(at, is_cut=True)
        if length <= _LONGEST_SCALAR:
            record = data[at + LENGTH_BYTES : end]
            if _checksum(record) != data[end : end + 4]:
                raise EventFileError(at)
            try:
                event = _event(record)
            except (IndexError, ValueError, struct.error):
                raise EventFileError(at) from None
            if event.values:
                yield event
        at = end + 4


def _event(data: bytes) -> Scalars:
    """Event: wall_time = 1, step = 2, summary = 5; Summary: value = 1."""
    step, time = 0, 0.0
    values: dict[str, float] = {}
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            (time,) = struct.unpack("<d", value)
        elif number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and isinstance(value, bytes):
            values |= dict(filter(None, (_value(item) for key, item in _fields(value) if key == 1)))
    return Scalars(step, time, values)


def _value(data: bytes | int) -> tuple[str, float] | None:
    """Summary.Value: tag = 1, simple_value = 2, tensor = 8. None where it is no scalar."""
    tag, figure = "", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes):
            (figure,) = struct.unpack("<f", value)
        elif number == 8 and isinstance(value, bytes):
            figure = _tensor(value)
    return None if figure is None else (tag, figure)


def _tensor(data: bytes) -> float | None:
    """TensorProto: dtype = 1, tensor_content = 4, float_val = 5, double_val = 6. None where it is no single number."""
    fields = dict(_fields(data))
    kind = fields.get(1)
    form = {_DT_FLOAT: "<f", _DT_DOUBLE: "<d"}.get(kind) if isinstance(kind, int) else None
    content = fields.get(4) or fields.get(5 if kind == _DT_FLOAT else 6)
    if form is None or not isinstance(content, bytes) or len(content) != struct.calcsize(form):
        return None
    (figure,) = struct.unpack(form, content)
    return float(figure)


def _fields(data: bytes | int) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer, (number, value). Raises IndexError, ValueError for other bytes."""
    if isinstance(data, int):
        raise ValueError("a number in the place of a message")
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            length, at = _read_varint(data, at)
        if length is None or at + length > len(data):
            raise ValueError("not a protocol buffer")
        yield key >> 3, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


# ---------------------------------------------------------------------------------------------------------------------
# The checksum: CRC-32C (Castagnoli), rotated and shifted as TFRecord has it


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC = _table()


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
