"""Every type that crosses from one room of the program to another: frozen, with the unit in the field's name.

Those in ``results.jsonl`` carry their ``kind`` as a tag (docs/results.md).  Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from compare.bounds import Bytes, Count, Part, Samples
from compare.contract import parse_mask
from compare.memory_curve import MemoryCurve

MIN_ROUNDS = 6  # the fewest that give a 95% interval without assuming a distribution (compare.findings.summary)
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
        length = f"T={self.q_len}" if self.q_len == self.kv_len else f"T={self.q_len} S={self.kv_len}"
        heads = f"N={self.heads}" if self.heads == self.kv_heads else f"N={self.heads} K={self.kv_heads}"
        precision = f" {self.matmul_precision}" if self.dtype == "float32" else ""
        more = f" D={self.devices}" * (self.devices > 1) + f" L={self.layers}" * (self.layers > 1)
        more += f" {self.layout}" * (self.layout != "btnh")
        return f"B={self.batch} {length} {heads} H={self.head_dim}{more} {self.mask} {self.dtype}{precision}"


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


class Notice(Record, frozen=True):
    """Something that a reader of the row must know, and what to do about it."""

    code: str
    text: str


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
