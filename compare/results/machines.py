"""Which rows may be compared: those of one kind of machine; a cluster may have nodes of several kinds.

Two machines are of a kind where nothing differs that could change a result: device, versions, flags, environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from compare.schema.records import Node, Row, Run

# Where a job ran and where its caches lay, which changes no result.
PLACES = re.compile(r"(CUDA|NVIDIA)_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|CUDA_MPS_\w+|\w+_CACHE_DIR")
COMPARED = ("device", "device_name", "versions", "flags", "python")
HOST = {"cpu": ("processor", "cores", "python"), "gpu": ("python",)}

Part = tuple[Run, list[Row]]


def facts(run: Run) -> Iterator[tuple[str, Any]]:
    """What distinguishes the machine of a run, by name; only for backends that took part."""
    yield from ((f"host {name}", run.host.get(name)) for name in HOST[run.settings.device])
    for report in run.backends:
        yield from ((f"{report.backend} {name}", getattr(report, name)) for name in COMPARED)
    ours = run.environment.get("set", {})
    inherited = run.environment.get("inherited", {})
    relevant = {name: value for name, value in inherited.items() if name not in ours and not PLACES.fullmatch(name)}
    yield "environment variables", relevant


def on(run: Run, node: Node) -> Run:
    """The run as it was on one node."""
    return replace(
        run,
        host=node.host,
        backends=node.backends,
        rates=node.rates,
        links=node.links,
        environment=run.environment | {"inherited": node.inherited},
        nodes=(node,),
    )


def parts(run: Run, rows: Sequence[Row]) -> list[Part]:
    """The rows of each kind of machine with the run as it was there; one part where there is no cluster.

    Rows that no known node gave hold no numbers, and stand with the first kind.
    """
    if not run.nodes:
        return [(run, list(rows))]
    kinds = kinds_of(run)
    at = {node.name: place for place, kind in enumerate(kinds) for node in kind.nodes}
    found: list[list[Row]] = [[] for _ in kinds]
    for row in rows:
        found[at.get(row.node, 0)].append(row)
    kept = [(kind, part) for kind, part in zip(kinds, found, strict=True) if part]
    return kept if len(kept) < 2 else [(replace(kind, planned_cases=None), part) for kind, part in kept]


def only_kind(run: Run, rows: Sequence[Row], otherwise: str) -> Part:
    """The rows where they are all of one kind.  Raises ValueError that says what they need ``otherwise``."""
    found = parts(run, rows)
    if len(found) > 1:
        devices = ", ".join(dict.fromkeys(report.device_name for part, _ in found for report in part.backends))
        raise ValueError(
            f"results of {len(found)} kinds of machine ({devices}) are not comparable; they need {otherwise}"
        )
    return found[0] if found else (run, [])


def kinds_of(run: Run) -> list[Run]:
    """The run on each kind of machine; with the rates of its first node that has some."""
    kinds: list[Run] = []
    for node in sorted(run.nodes, key=lambda node: -len(node.backends)):  # those that say most come first
        here = on(run, node)
        same = next((place for place, kind in enumerate(kinds) if agree(kind, here)), None)
        if same is None:
            kinds.append(here)
        else:
            rates, links = kinds[same].rates or node.rates, kinds[same].links or node.links
            kinds[same] = replace(kinds[same], nodes=(*kinds[same].nodes, node), rates=rates, links=links)
    return kinds


def agree(one: Run, other: Run) -> bool:
    """Whether two machines agree in every fact that both have."""
    known = dict(facts(one))
    return all(known.get(name, value) == value for name, value in facts(other))
