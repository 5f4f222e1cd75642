"""Everything that is written to a file or crosses a process: frozen, with the unit in the field's name.

The lines of ``results.jsonl`` carry their ``kind`` as a tag (docs/results.md).  Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from compare.schema.contract import Scores, parse_mask, scores

Count = Annotated[int, Meta(ge=1, le=2**48)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
ChangeBytes = Annotated[int, Meta(ge=-(2**60), le=2**60)]
Seconds = Annotated[float, Meta(ge=1e-12, le=1e9)]
Part = Annotated[float, Meta(ge=0, le=1e9)]  # seconds of something that may not have happened
Samples = Annotated[tuple[Seconds, ...], Meta(min_length=1)]


MOST_POINTS = 256
FINEST = 2**12  # the first tolerance, when there are more: this part of the whole range


class Level(NamedTuple):
    """Bytes above those at the start of an iteration, from this moment on."""

    time_ns: int
    bytes: int


class MemoryCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory inside one iteration above its start: each level lasts until the next moment, the last to ``window_s``.

    ``source``: who says so.  ``changes``: how many levels there were; of those that are left out none differs from
    what stands in its place by more than ``within_bytes``.  ``reason``: why there is no curve; empty where there is.
    """

    source: str = ""
    window_s: Part = 0.0
    moments_s: tuple[Part, ...] = ()
    levels_bytes: tuple[ChangeBytes, ...] = ()
    changes: int = 0
    within_bytes: Bytes = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.moments_s) != len(self.levels_bytes):
            raise ValueError(
                f"expected a level for each of {len(self.moments_s)} moments, got {len(self.levels_bytes)}"
            )
        if any(before > after for before, after in pairwise((*self.moments_s, self.window_s))):
            raise ValueError("expected moments in order and inside the window")

    @property
    def peak_bytes(self) -> int:
        """The highest level."""
        return max(self.levels_bytes, default=0)


def curve(levels: Sequence[Level], window_s: float, source: str) -> MemoryCurve:
    """The record of an iteration that begins at 0 bytes; the highest level, its first moment and the end are exact."""
    kept, within_bytes = thinned([Level(0, 0), *levels])
    return MemoryCurve(
        source=source,
        window_s=window_s,
        moments_s=tuple(min(each.time_ns / 1e9, window_s) for each in kept),
        levels_bytes=tuple(each.bytes for each in kept),
        changes=len(levels),
        within_bytes=within_bytes,
    )


def thinned(levels: Sequence[Level]) -> tuple[list[Level], int]:
    """No more than MOST_POINTS of the levels, and by how many bytes one that is left out may differ from them.

    A level is left out where the one before it that stays is that near, so every rise and fall by more is still there.
    """
    kept, within_bytes = apart(levels, 0), 0
    while len(kept) > MOST_POINTS:
        sizes = [each.bytes for each in levels]
        within_bytes = 2 * within_bytes or max(1, (max(sizes) - min(sizes)) // FINEST)
        kept = apart(levels, within_bytes)
    return kept, within_bytes


def apart(levels: Sequence[Level], within_bytes: int) -> list[Level]:
    """The first level, the first of the highest, the last, and all that are further off the one that stays before."""
    highest = max(range(len(levels)), key=lambda at: levels[at].bytes)
    kept: list[Level] = []
    for at, level in enumerate(levels):
        if at in (0, highest, len(levels) - 1) or abs(level.bytes - kept[-1].bytes) > within_bytes:
            kept.append(level)
    return kept


MIN_ROUNDS = 6  # the fewest that give a 95% interval without assuming a distribution (compare.stats.estimates)
RESIDENT = "resident growth of a fresh process"  # the source of a peak that no allocation counter tells

Dtype = Literal["float32", "bfloat16", "float16"]
Precision = Literal["ieee", "tf32", "default"]
PassName = Literal["forward", "backward", "step"]
Device = Literal["cpu", "gpu"]
Layout = Literal["btnh", "bnth"]
FailureStatus = Literal["OOM", "CRASH", "TIMEOUT", "ERROR"]
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")
PRECISIONS: tuple[Precision, ...] = ("ieee", "tf32", "default")
LAYOUTS: tuple[Layout, ...] = ("btnh", "bnth")
PASSES: tuple[PassName, ...] = ("forward", "backward", "step")
ITEM_BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2}


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records: immutable, by keyword only, and strict about foreign fields."""


class Problem(Record, frozen=True):
    """Which function is computed: B batch, T q_len, S kv_len, N heads, K kv_heads, H head_dim, and how exactly.

    ``layers``: of so many layers x + attention(x, k, v), from x = q.  ``layout``: the order of axes in memory.
    ``devices``: so many share the sequence.
    """

    batch: Count
    q_len: Count
    kv_len: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    mask: str
    dtype: Dtype
    matmul_precision: Precision
    seed: int
    layers: Count = 1
    layout: Layout = "btnh"
    devices: Count = 1

    def __post_init__(self) -> None:
        parse_mask(self.mask)  # or a damaged file would be found out in the middle of a report

    @property
    def scores(self) -> Scores:
        """What is done to the scores before the softmax."""
        return scores(self.mask)

    @property
    def d_model(self) -> int:
        """N x H, the width of the layer; with one head it is the head size."""
        return self.heads * self.head_dim

    @property
    def q_shape(self) -> tuple[int, int, int, int]:
        """Shape of q, the output and its gradient: [B, T, N, H]."""
        return self.batch, self.q_len, self.heads, self.head_dim

    @property
    def kv_shape(self) -> tuple[int, int, int, int]:
        """Shape of k and v: [B, S, K, H]."""
        return self.batch, self.kv_len, self.kv_heads, self.head_dim

    @property
    def label(self) -> str:
        """The problem in one short line, in the words of the shape legend."""
        return self.label_without()

    def label_without(self, *fields: str) -> str:
        """The label less the parts that tell of these fields."""
        return " ".join(part for field, part in self.label_parts().items() if field not in fields)

    def label_parts(self) -> dict[str, str]:
        """The label in parts, by the field that each tells of; defaults have none."""
        parts = {
            "batch": f"B={self.batch}",
            "q_len": f"T={self.q_len}",
            "kv_len": f"S={self.kv_len}" if self.kv_len != self.q_len else "",
            "heads": f"N={self.heads}",
            "kv_heads": f"K={self.kv_heads}" if self.kv_heads != self.heads else "",
            "head_dim": f"H={self.head_dim}",
            "devices": f"D={self.devices}" if self.devices > 1 else "",
            "layers": f"L={self.layers}" if self.layers > 1 else "",
            "layout": self.layout if self.layout != "btnh" else "",
            "mask": self.mask,
            "dtype": self.dtype,
            "matmul_precision": self.matmul_precision if self.dtype == "float32" else "",
        }
        return {field: part for field, part in parts.items() if part}


class Contender(Record, frozen=True):
    """How it is computed: framework, variant, the mode in which the framework executes it, and which entrant it is.

    ``python``: the interpreter, empty for the program's own.  ``release``: the framework's, where it runs in several.
    """

    backend: str
    variant: str
    mode: str
    entrant: Count = 1
    python: str = ""
    release: str = ""

    @property
    def name(self) -> str:
        """``backend:variant:mode`` as the command line takes it, ``#2`` behind it when it is named a second time.

        Of a user's own function, whose variant is a file and a name in it, ``backend=file.py:function:mode``.
        """
        release, again = self.home.removeprefix(self.backend), f"#{self.entrant}" if self.entrant > 1 else ""
        return f"{self.backend}{'=' if '.py:' in self.variant else ':'}{self.variant}:{self.mode}{release}{again}"

    @property
    def home(self) -> str:
        """What runs it: the backend, ``@release`` behind it where several interpreters of it take part."""
        return f"{self.backend}@{self.release}" if self.release else self.backend


class Case(Record, frozen=True):
    """One problem with one contender."""

    problem: Problem
    contender: Contender


class Kernel(Record, frozen=True):
    """One kernel or op of a pass: how often it ran in one iteration, its own time in all, the operations inside it."""

    name: str
    count: int
    device_s: float
    contents: tuple[str, ...] = ()


class PassResult(Record, frozen=True):
    """The samples of one pass.  Sample i belongs to round ``i // per_round``, in which each contender had its turn.

    ``repeats``: the pass in further processes, by their number; in a file each process has its own row.
    """

    device_s: Samples
    wall_s: Samples
    per_round: Count
    peak_bytes: Bytes
    peak_source: str
    kernels: tuple[Kernel, ...] = ()
    resident_bytes: Bytes | None = None
    buffer_bytes: Bytes | None = None
    memory_over_time: MemoryCurve | None = None
    communication_s: Part | None = None
    hidden_s: Part | None = None
    graph_launches: int = 0
    repeats: dict[int, PassResult] = msgspec.field(default_factory=dict)


class TensorError(Record, frozen=True):
    """Row-relative error of one tensor against the oracle, beside what the rule allows (docs/method.md)."""

    tensor: str
    max_error: float
    rms_error: float
    allowed_max: float
    allowed_rms: float
    agrees: bool


class Agreement(Record, frozen=True):
    """The verdict on one contender's numbers: each checked tensor, and the largest gap to another contender."""

    agrees: bool
    tensors: tuple[TensorError, ...]
    checked_slices: int
    slices: int
    other: str | None = None
    other_error: float | None = None
    other_allowed: float | None = None
    tf32_cut_off: bool = False


class Cost(Record, frozen=True):
    """What one program cost before it ran at speed: tracing and lowering, compiling, and the rest of its first call."""

    trace_s: float
    compile_s: float
    first_call_s: float
    warmup_s: float = 0.0
    warmup_calls: int = 0


class Notice(Record, frozen=True, omit_defaults=True):
    """A warning: its code, the pass that it concerns, and what its sentence names (`compare.analysis.notices`).

    ``text``: the sentence itself, in files of schema 4 alone.
    """

    code: str
    pass_name: PassName | None = None
    numbers: dict[str, float] = msgspec.field(default_factory=dict)
    names: tuple[str, ...] = ()
    text: str = ""


def distinct(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each warning once, in the order of first appearance."""
    kept: list[Notice] = []
    for notice in notices:
        if notice not in kept:
            kept.append(notice)
    return tuple(kept)


class Conditions(Record, frozen=True):
    """The machine while a case was sampled: CPU shares of other processes and of other machines, the GPU's clock."""

    others_share: float | None = None
    stolen_share: float | None = None
    clock_min_mhz: int | None = None
    clock_max_mhz: int | None = None
    throttles: tuple[str, ...] = ()
    busy: bool = False


class Outcome(Record, frozen=True, kw_only=True, tag_field="kind"):
    """What every row says: which case it is, in which process, and on a cluster on which node and device."""

    problem: Problem
    contender: Contender
    process: Count = 1
    node: str = ""
    device_name: str = ""


class Measurement(Outcome, frozen=True, tag="measurement"):
    """One measured case in one process."""

    passes: dict[PassName, PassResult]
    saved_bytes: Bytes | None
    input_bytes: Bytes
    output_bytes: Bytes
    costs: dict[str, Cost]
    stopped: Literal["steady", "budget", "samples"]
    agreement: Agreement | None = None
    alone: bool = False
    warnings: tuple[Notice, ...] = ()
    conditions: Conditions | None = None
    streams: dict[PassName, Samples] = msgspec.field(default_factory=dict)
    warm_costs: dict[str, Cost] = msgspec.field(default_factory=dict)
    ran: str = ""


class Skip(Outcome, frozen=True, tag="skip"):
    """A case that was not started, and why."""

    reason: str
    predicted_bytes: Bytes | None = None
    available_bytes: Bytes | None = None


class Failure(Outcome, frozen=True, tag="failure"):
    """A case that was started and gave no numbers, and why."""

    status: FailureStatus
    stage: str
    reason: str
    predicted_bytes: Bytes | None = None
    refused_bytes: Bytes | None = None
    device_bytes: Bytes | None = None


Row = Measurement | Skip | Failure


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


SCHEMA_VERSION = 5

Malloc = Literal["recycle", "system"]
Workers = Literal["backend", "contender"]
Cache = Literal["warm", "cold"]


class DeviceReport(Record, frozen=True):
    """What one backend says of itself and its device, under ``python`` if that is not the program's own interpreter.

    ``backend`` is a contender's ``home``, as it is of the rates.
    """

    backend: str
    device: Device
    device_name: str
    total_bytes: int
    versions: dict[str, str]
    flags: dict[str, str]
    import_s: float
    start_s: float
    missing_modes: dict[str, str] = msgspec.field(default_factory=dict)
    python: str = ""


class Settings(Record, frozen=True):
    """All that the command line decides besides the cases themselves."""

    device: Device
    passes: tuple[PassName, ...]
    threads: int
    malloc: Malloc
    budget_s: float
    samples: int | None
    timeout_s: float
    seed: int
    workers: Workers = "backend"
    same_within: float = 0.01
    processes: int = 1
    cache: Cache = "warm"
    dispatch: bool = False
    process_per_device: bool = False


class Source(Record, frozen=True):
    """One of the runs that were merged into one."""

    command: str
    date: str
    planned_cases: int | None = None


class Node(Record, frozen=True, tag_field="kind", tag="node"):
    """A machine of a cluster: what a Run says of the one machine of other runs; written again as more is known."""

    name: str
    host: dict[str, str]
    inherited: dict[str, str]
    backends: tuple[DeviceReport, ...] = ()
    rates: tuple[DeviceRate, ...] = ()
    links: tuple[LinkRate, ...] = ()


class Run(Record, frozen=True, tag_field="kind", tag="run"):
    """The circumstances of a run; the first line of ``results.jsonl``, written again as more of them is known.

    ``code``: a digest of the program's own source and of the user's kernels.  ``sources``: the runs of a merged one.
    ``nodes``: those of a cluster, which have lines of their own in the file.
    """

    schema_version: int
    program_version: str
    date: str
    command: str
    settings: Settings
    host: dict[str, str]
    environment: dict[str, dict[str, str]]
    backends: tuple[DeviceReport, ...] = ()
    planned_cases: int | None = None
    rates: tuple[DeviceRate, ...] = ()
    links: tuple[LinkRate, ...] = ()
    code: str = ""
    sources: tuple[Source, ...] = ()
    nodes: tuple[Node, ...] = ()


Line = Run | Node | Row
