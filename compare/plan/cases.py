"""The plan of a run: which problems, which contenders, and how long they may take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from compare import variants as own_kernel
from compare.backends import BACKENDS, UnknownName, backend
from compare.maths.prediction import needed_bytes
from compare.plan import interpreters
from compare.plan.presets import Preset
from compare.schema.contract import check_visible
from compare.schema.records import (
    MIN_ROUNDS,
    Contender,
    Device,
    Dtype,
    Layout,
    PassName,
    Precision,
    Problem,
    Record,
    Settings,
)
from compare.variants import described, variants

# What one iteration of all passes costs per score element, roughly, to plan by: seconds on one CPU thread and on a GPU.
SECONDS_PER_SCORE: dict[Device, float] = {"cpu": 2e-8, "gpu": 5e-11}
SETUP_S: dict[Device, float] = {"cpu": 8.0, "gpu": 11.0}  # of a case: compiling, warming up, checking
START_S: dict[Device, float] = {"cpu": 25.0, "gpu": 30.0}  # of a run: the device's rates, frameworks, reports


class Sweep(Record, frozen=True):
    """Lists of values, of which the problems are the product; no ``kv_lens``: as ``seq_lens``, so ``kv_heads``."""

    batch_sizes: tuple[int, ...]
    seq_lens: tuple[int, ...]
    d_models: tuple[int, ...]
    kv_lens: tuple[int, ...] = ()
    heads: tuple[int, ...] = (1,)
    kv_heads: tuple[int, ...] = ()
    masks: tuple[str, ...] = ("causal",)
    dtypes: tuple[Dtype, ...] = ("float32",)
    precisions: tuple[Precision, ...] = ("ieee",)
    layers: tuple[int, ...] = (1,)
    devices: tuple[int, ...] = (1,)
    layouts: tuple[Layout, ...] = ("btnh",)


class Plan(Record, frozen=True):
    """Everything that is decided before anything is measured."""

    settings: Settings
    problems: tuple[Problem, ...]
    contenders: tuple[Contender, ...]
    out: Path
    command: str
    note: str = ""
    max_seq_len: int | None = None  # look for the longest sequence up to there, in place of measuring
    cluster_cpus: int | None = None  # measure on a Ray cluster; the CPUs of a problem's node, or with each of its GPUs
    trace: bool = False  # keep what each contender ran, for Perfetto
    warm_costs: bool = True  # measure startup costs of the first problem with warm compile caches too

    @property
    def backends(self) -> dict[str, Contender]:
        """Each backend and interpreter, with its first contender."""
        first: dict[str, Contender] = {}
        for contender in self.contenders:
            first.setdefault(contender.home, contender)
        return first

    @property
    def worker_count(self) -> int:
        """How many workers live at the same time."""
        return len(self.contenders if self.settings.workers == "contender" else self.backends)


def seed_sweep(device: Device, quick: bool) -> dict[str, tuple[int, ...]]:
    """The sweep that the seed table showed, on a CPU and on a GPU; ``quick`` is a cut of it."""
    if quick:
        return {"batch_sizes": (4 if device == "cpu" else 8,), "d_models": (64,), "seq_lens": (256, 1024)}
    if device == "cpu":
        return {"batch_sizes": (4,), "d_models": (16, 32, 64), "seq_lens": (256, 1024, 4096)}
    return {"batch_sizes": (8,), "d_models": (16, 32, 64, 128), "seq_lens": (256, 1024, 4096, 8192, 16384)}


def preset_sweep(preset: Preset) -> dict[str, tuple[Any, ...]]:
    """A model's shape as a sweep of one problem."""
    return {
        "batch_sizes": (preset.batch,),
        "seq_lens": (preset.seq_len,),
        "kv_lens": (preset.kv_len,) if preset.kv_len else (),
        "d_models": (preset.heads * preset.head_dim,),
        "heads": (preset.heads,),
        "kv_heads": (preset.kv_heads,),
        "masks": (preset.mask,),
        "dtypes": (preset.dtype,),
    }


def problems(sweep: Sweep, seed: int) -> tuple[Problem, ...]:
    """The product of the sweep, each problem once.  Raises ValueError for a combination that cannot be."""
    hows = product(sweep.devices, sweep.layouts, sweep.layers, sweep.precisions, sweep.dtypes, sweep.masks)
    sizes = product(
        sweep.heads,
        sweep.kv_heads or (0,),
        sweep.batch_sizes,
        sweep.d_models,
        sweep.seq_lens,
        sweep.kv_lens or (0,),
    )
    found = []
    for (devices, layout, layers, precision, dtype, mask), (heads, kv_heads, batch, d_model, q_len, kv_len) in product(
        hows, sizes
    ):
        problem = Problem(
            batch=batch,
            q_len=q_len,
            kv_len=kv_len or q_len,
            heads=heads,
            kv_heads=kv_heads or heads,
            head_dim=d_model // heads,
            mask=mask,
            dtype=dtype,
            matmul_precision=precision if dtype == "float32" else "default",  # concerns float32 products only
            seed=seed,
            layers=layers,
            layout=layout,
            devices=devices,
        )
        check_problem(problem, d_model)
        found.append(problem)
    return tuple(dict.fromkeys(found))


def check_problem(problem: Problem, d_model: int) -> None:
    """Refuse what no variant could compute."""
    if problem.heads % problem.kv_heads:
        raise ValueError(
            f"--heads {problem.heads} --kv-heads {problem.kv_heads}: the heads must be a multiple of the kv-heads"
        )
    if d_model % problem.heads:
        raise ValueError(f"--d-model {d_model} --heads {problem.heads}: d_model must be a multiple of the heads")
    check_visible(problem.scores.mask, problem.q_len, problem.kv_len)


def all_contenders(names: tuple[str, ...], variant_names: tuple[str, ...], modes: tuple[str, ...]) -> list[Contender]:
    """Every variant and mode of the named backends; ``modes`` narrows those of a backend that has a choice."""
    found = []
    for name in names:
        chosen = [mode for mode in backend(name).modes if mode in modes] or list(backend(name).default_modes)
        for variant in variant_names:
            if variant in variants(name):
                found += [Contender(backend=name, variant=variant, mode=mode) for mode in chosen]
    known = sorted({variant for name in names for variant in variants(name)})
    for variant in variant_names:
        if variant not in known:
            raise UnknownName(f"variant: expected one of {', '.join(known)}, got {variant!r}")
    return found


OWN = re.compile(r"(?P<backend>\w+)=(?P<variant>.+\.py:\w+)(?::(?P<mode>\w+))?")


def parse_contender(text: str) -> Contender:
    """Read ``backend:variant[:mode]`` or ``backend=file.py:function[:mode]``, either with ``@python`` behind it.

    The mode defaults to the first; the interpreter is not asked yet.
    """
    text, python = interpreters.split(text)
    if python is not None:
        return replace(parse_contender(text), python=interpreters.path(python))
    if "=" in text.split(":")[0]:
        return _parse_own(text)
    name, *rest = text.split(":")
    if name not in BACKENDS or not 1 <= len(rest) <= 2:
        raise UnknownName(
            f"contender: expected backend:variant[:mode] with a backend of {', '.join(BACKENDS)}, got {text!r}"
        )
    variant, mode = rest[0], rest[1] if len(rest) == 2 else backend(name).modes[0]
    if variant not in variants(name):
        raise UnknownName(f"contender {text!r}: {name} has the variants {', '.join(variants(name))}, not {variant!r}")
    if mode not in backend(name).modes:
        raise UnknownName(f"contender {text!r}: {name} has the modes {', '.join(backend(name).modes)}, not {mode!r}")
    return Contender(backend=name, variant=variant, mode=mode)


def _parse_own(text: str) -> Contender:
    """A user's own function, whose file is read but not run."""
    match = OWN.fullmatch(text)
    if not match or match["backend"] not in BACKENDS:
        raise UnknownName(
            f"contender: expected backend=file.py:function[:mode] with a backend of {', '.join(BACKENDS)}, got {text!r}"
        )
    name, mode = match["backend"], match["mode"] or backend(match["backend"]).modes[0]
    if mode not in backend(name).modes:
        raise UnknownName(f"contender {text!r}: {name} has the modes {', '.join(backend(name).modes)}, not {mode!r}")
    own_kernel.check(match["variant"])
    return Contender(backend=name, variant=match["variant"], mode=mode)


def numbered(named: Iterable[Contender]) -> tuple[Contender, ...]:
    """The contenders in order; a repeated one is numbered 2, 3, ..."""
    times: Counter[Contender] = Counter()
    found = []
    for contender in named:
        times[contender] += 1
        found.append(replace(contender, entrant=times[contender]))
    return tuple(found)


def iteration_s(problem: Problem, settings: Settings) -> float:
    """About how long all passes of one iteration take, to plan by."""
    scores = problem.layers * problem.batch * problem.heads * problem.q_len * problem.kv_len
    width = 1 + problem.head_dim / 64
    return scores * width * SECONDS_PER_SCORE[settings.device] / (settings.threads if settings.device == "cpu" else 1)


def case_s(problem: Problem, settings: Settings) -> float:
    """About how long a case may take in one process: setting up, then its budget or the fewest rounds, if longer."""
    rounds = settings.samples or MIN_ROUNDS
    least = 2 * rounds * iteration_s(problem, settings)  # a wall sample and a profiled one
    sampling = least if settings.samples else max(settings.budget_s / settings.processes, least)
    return SETUP_S[settings.device] + 3 * iteration_s(problem, settings) + sampling


def case_bytes(problem: Problem, passes: tuple[PassName, ...], contender: Contender) -> int:
    """Bytes that a case needs of its device."""
    return needed_bytes(problem, passes, described(contender.backend, contender.variant))
