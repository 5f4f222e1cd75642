"""What a run was told and where it ran: its settings, what each backend says, the first line of the results."""

from __future__ import annotations

from typing import Literal

import msgspec

from compare.device_rate import DeviceRate, LinkRate
from compare.records import Device, PassName, Record, Row

SCHEMA_VERSION = 4

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
