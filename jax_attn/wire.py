"""Protocol buffers as they are encoded: the fields of a message by their numbers.

The encoding: protobuf.dev/programming-guides/encoding.  The numbers are those of a message's description, which never
gives one another meaning.
"""

from __future__ import annotations

from collections.abc import Iterator

Fields = dict[int, list[int | bytes]]


def fields(message: bytes) -> Fields:
    """The fields of an encoded message by their numbers, numbers as they are and all else as bytes."""
    found: Fields = {}
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        value: int | bytes
        if key & 7 == 0:
            value, at = varint(message, at)
        else:
            length, at = varint(message, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = message[at : at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 0x80:
            return value, at


def number(message: Fields, field: int) -> int:
    """A field that is a number; it is left out of the encoded message where it is 0."""
    return next((value for value in message.get(field, []) if isinstance(value, int)), 0)


def texts(message: Fields, field: int) -> list[bytes]:
    """A field that is a message or a text, as often as it is there."""
    return [value for value in message.get(field, []) if isinstance(value, bytes)]


def text(message: Fields, field: int) -> str:
    """A field that is a text."""
    return texts(message, field)[0].decode()


def numbers(message: Fields, field: int) -> Iterator[int]:
    """A repeated field of numbers, which may be packed into one."""
    for value in message.get(field, []):
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            each, at = varint(value, at)
            yield each
