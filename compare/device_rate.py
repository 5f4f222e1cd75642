"""How fast a device copies and multiplies: measured once at the start of a run, the yardstick of its floor."""

from __future__ import annotations

from compare.records import Dtype, Precision, Record


class DeviceRate(Record, frozen=True):
    """What one backend reached in one dtype and matmul precision, or the reason why nothing is known.

    ``copy_bytes_per_s`` counts the bytes read and those written; ``cache_bytes`` is the device's last-level cache.
    ``scatter`` tells how much longer the median call took than the fastest, by which the rates are, of copies or of
    products (``scattered``), whichever is more.
    """

    backend: str
    dtype: Dtype
    matmul_precision: Precision
    copy_bytes_per_s: float | None = None
    matmul_flops_per_s: float | None = None
    cache_bytes: int | None = None
    scatter: float | None = None
    scattered: str = ""
    reason: str = ""


class LinkRate(Record, frozen=True):
    """What each of several devices sent to the next one in a second while it received as much, or why none is known."""

    backend: str
    devices: int
    bytes_per_s: float | None = None
    reason: str = ""


class Product(Record, frozen=True):
    """A dtype and matmul precision of the plan, and the length of the square matrices to multiply in them."""

    dtype: Dtype
    matmul_precision: Precision
    size: int


class Rate(Record, frozen=True, tag=True):
    """The request: how fast does the device copy an array of so many bytes, and how fast does it multiply?"""

    backend: str
    stream_bytes: int
    products: tuple[Product, ...]


class Link(Record, frozen=True, tag=True):
    """The request: how fast do devices that share a sequence send an array of so many bytes to each other?"""

    size_bytes: int


class Linked(Record, frozen=True, tag=True):
    """The reply: what each device sent in a second while it received as much."""

    bytes_per_s: float


class Rated(Record, frozen=True, tag=True):
    """The reply: what the device reached."""

    rates: tuple[DeviceRate, ...]
