"""Several processes as one worker, one for each device: all do the same, the first one answers the parent.

Replies are merged: the slowest time, the largest size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from compare.schema.records import Cost, Linked, distinct
from compare.worker.protocol import (
    Channel,
    Ended,
    Failed,
    Finished,
    Prepared,
    Recompiled,
    Reply,
    Request,
    Seen,
    Streamed,
    Turned,
    Unsupported,
)

PATIENCE_S = 5.0  # for the others to fail as well; else they hang in a collective operation


class Team(Protocol):
    """The processes of one worker."""

    rank: int
    size: int

    def tell(self, text: bytes | None) -> bytes:
        """What the first one says, to all."""

    def collect(self, text: bytes, patience_s: float | None = None) -> list[bytes]:
        """What each of them says, to all.  Raises TimeoutError if one says nothing for so long."""


def serve(channel: Channel | None, worker: Any, team: Team, failure_path: Path) -> None:
    """Answer requests until the parent closes the channel, which the first process alone has.

    A process that fails alone writes its reason to ``failure_path`` and exits; its launcher ends the others.
    """
    decoder, replies = msgspec.json.Decoder(Request), msgspec.json.Decoder(Reply)
    while True:
        request = team.tell(_received(channel) if channel else None)
        if not request:
            return
        reply: Reply = worker.answer(decoder.decode(request))
        try:
            said = team.collect(msgspec.json.encode(reply), PATIENCE_S if isinstance(reply, Failed) else None)
        except TimeoutError:
            if isinstance(reply, Failed):
                failed = replace(reply, reason=f"device {team.rank} of {team.size}: {reply.reason}")
                failure_path.write_bytes(msgspec.json.encode(failed))
            os._exit(1)
        if channel:
            # Where one failed alone, the others only report that it is gone.
            channel.send(read(failure_path) or merged([replies.decode(each) for each in said]))


def read(failure_path: Path) -> Failed | None:
    """Why a process failed alone, if one did."""
    return msgspec.json.decode(failure_path.read_bytes(), type=Failed) if failure_path.exists() else None


def address(failure_path: Path) -> str:
    """Name of the parent's socket, in Linux's abstract namespace, where long paths are no problem."""
    return "\0compare-" + hashlib.sha256(str(failure_path).encode()).hexdigest()[:32]


def _received(channel: Channel) -> bytes:
    try:
        return msgspec.json.encode(channel.receive())
    except EOFError:
        return b""


def merged(found: Sequence[Reply]) -> Reply:
    """One reply for all: the first that failed or refused, else the slowest and the fullest."""
    bad = [reply for kind in (Failed, Unsupported) for reply in found if isinstance(reply, kind)]
    if bad:
        return bad[0]
    first = found[0]
    if isinstance(first, Turned):
        turns = [each for each in found if isinstance(each, Turned)]
        walls = _slowest([each.wall_s for each in turns])
        return Turned(wall_s=walls, page_faults=max(each.page_faults for each in turns))
    if isinstance(first, Ended):
        ends = [each.seen for each in found if isinstance(each, Ended)]
        return Ended(seen=tuple(_seen(each) for each in zip(*ends, strict=True)))
    if isinstance(first, Prepared):
        return _prepared([each for each in found if isinstance(each, Prepared)])
    if isinstance(first, Finished):
        return max((each for each in found if isinstance(each, Finished)), key=lambda each: each.held_bytes)
    if isinstance(first, Linked):
        return min((each for each in found if isinstance(each, Linked)), key=lambda each: each.bytes_per_s)
    if isinstance(first, Recompiled):
        programs = [each.costs for each in found if isinstance(each, Recompiled)]
        return Recompiled(costs={name: _dearest([each[name] for each in programs]) for name in first.costs})
    if isinstance(first, Streamed):
        calls = [each.call_s for each in found if isinstance(each, Streamed)]
        return Streamed(call_s={name: _slowest([each[name] for each in calls]) for name in calls[0]})
    return first


def _seen(found: Sequence[Seen]) -> Seen:
    """Of each iteration the slowest device's time; the kernels of the device with the most device time."""
    refused = {at: why for each in found for at, why in each.refused.items()}
    good = [at for at in found[0].device_s if at not in refused and all(at in each.device_s for each in found)]
    longest = max(found, key=lambda each: sum(kernel.device_s for kernel in each.kernels))
    slowest = {at: _slowest([each.device_s[at] for each in found]) for at in good}
    return replace(longest, device_s=slowest, refused=refused)


def _prepared(found: Sequence[Prepared]) -> Prepared:
    """The dearest costs, the largest memory; warnings once each."""
    saved = [each.saved_bytes for each in found if each.saved_bytes is not None]
    warnings = distinct(notice for each in found for notice in each.warnings)
    return replace(
        found[0],
        costs={name: _dearest([each.costs[name] for each in found]) for name in found[0].costs},
        memory={
            name: max((each.memory[name] for each in found), key=lambda memory: memory.peak_bytes)
            for name in found[0].memory
        },
        saved_bytes=max(saved, default=None),
        warnings=warnings,
    )


def _slowest(found: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(map(max, zip(*found, strict=True)))


def _dearest(costs: Sequence[Cost]) -> Cost:
    return max(costs, key=lambda cost: cost.trace_s + cost.compile_s + cost.first_call_s)
