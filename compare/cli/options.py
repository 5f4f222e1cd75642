"""The options of a run -> a validated Plan, or one line that says what is wrong and what would be right."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compare.backends import BACKENDS, backend, missing_modules
from compare.machine import environment
from compare.measure import search
from compare.plan import cases, devices, interpreters
from compare.plan import values as sharding
from compare.plan.presets import PRESETS
from compare.schema.records import PASSES, Contender, Device, PassName, Problem, Settings

BUDGET_S: dict[Device, float] = {"cpu": 8.0, "gpu": 4.0}
QUICK_BUDGET_S = 2.0
UNTIMED = ("seq_len", "kv_len", "samples", "budget", "quick", "dry_run", "explain", "dispatch", "shard", "trace")
ADDRESS = re.compile(r"auto|local|(?!-)[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")
PROCESSES: dict[Device, int] = {"cpu": 1, "gpu": 2}  # autotuners choose again in each process


def plan(options: argparse.Namespace, argv: Sequence[str]) -> cases.Plan:
    """The plan; ``argv`` is the command as it was typed.  Raises ValueError with one line."""
    contenders = chosen_contenders(options)
    require(tuple(dict.fromkeys(contender.backend for contender in contenders if not contender.python)))
    check_search(options)
    devices.check(options, contenders)
    check_executor(options, contenders)
    check_out(options.out)
    tuple(problems_for(options, "cpu"))  # refuse bad shapes before anything is started
    contenders = interpreters.released(contenders)
    device, note, cpus = find_device(options, contenders)
    if device == "cpu" and "tf32" in (options.matmul_precision or ()):
        raise ValueError("--matmul-precision tf32: a CPU has no TF32; possible: ieee, default")
    if device == "cpu":
        check_modes(contenders)
        devices.check_simulated(options.devices or ())
    chosen, problems = settings(options, device, cpus or devices.cpu_threads()), problems_for(options, device)
    if options.shard:
        problems = sharding.share(problems, options.shard, lambda problem: cases.case_s(problem, chosen))
    return cases.Plan(
        settings=chosen,
        problems=problems,
        contenders=contenders,
        out=options.out or new_folder(Path("results") / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")),
        note=note,
        command=environment.printable(shlex.join(["python", "-m", "compare", *argv])),
        max_seq_len=None if options.max_seq_len is None else options.max_seq_len or search.MOST[device],
        cluster_cpus=cpus,
        trace=options.trace,
    )


def find_device(options: argparse.Namespace, contenders: Sequence[Contender]) -> tuple[Device, str, int | None]:
    """The device, a note on the choice, and on a cluster the CPUs that a problem takes there."""
    if options.executor == "local":
        return *devices.choose(options.device, contenders), None
    from compare.measure import ray_link  # Ray is an extra

    ray_link.join(options.address or os.environ.get("RAY_ADDRESS") or ray_link.HERE)
    places = ray_link.places()
    device = ray_link.choose(options.device, places)
    cpus = ray_link.cpus_each(device, places)
    return device, f"on a Ray cluster: {ray_link.words(places, ray_link.need(device, 1, cpus))}", cpus


def check_search(options: argparse.Namespace) -> None:
    """Refuse what a search for the longest sequence cannot have."""
    if options.max_seq_len is None:
        return
    for option in UNTIMED:
        if getattr(options, option):
            raise ValueError(f"--max-seq-len times nothing; leave --{option.replace('_', '-')} out")
    keyed = [name for name in options.preset or () if PRESETS[name].kv_len]
    if keyed:
        raise ValueError(f"--max-seq-len needs as many keys as queries; leave --preset {keyed[0]} out")
    if not {"forward", "step"} & set(options.passes or PASSES):
        raise ValueError("--max-seq-len: possible passes: forward, step")


def check_executor(options: argparse.Namespace, contenders: Sequence[Contender]) -> None:
    """Refuse what a cluster cannot do, and a cluster without Ray."""
    if options.executor == "local":
        if options.address is not None:
            raise ValueError("--address is that of a Ray cluster; add --executor ray")
        return
    here = {"max-seq-len": options.max_seq_len is not None, "dry-run": options.dry_run, "trace": options.trace}
    for option, given in here.items():
        if given:
            raise ValueError(f"--{option} runs on this machine only; leave --executor ray out")
    for each in contenders:
        if each.python:
            raise ValueError(
                f"{each.name}@{each.python} names an interpreter of this machine; leave --executor ray out"
            )
    if options.address is not None and not ADDRESS.fullmatch(options.address):
        raise ValueError(f"--address: expected HOST:PORT or auto, got {options.address[:60]!r}")
    if find_spec("ray") is None:
        raise ValueError("--executor ray needs Ray, which is not installed: pip install '.[ray]'")


def check_modes(contenders: Sequence[Contender]) -> None:
    """Refuse modes that need a GPU where there is none."""
    for each in contenders:
        entry = backend(each.backend)
        if each.mode in entry.gpu_modes:
            possible = ", ".join(mode for mode in entry.modes if mode not in entry.gpu_modes)
            raise ValueError(f"{each.name}: mode {each.mode} needs a GPU; possible on a CPU: {possible}")


def chosen_contenders(options: argparse.Namespace) -> tuple[Contender, ...]:
    """The exact list of ``--contender``, or the product of ``--backend``, ``--variant`` and ``--mode``."""
    if options.contender:
        for option, given in (("--backend", options.backend), ("--variant", options.variant), ("--mode", options.mode)):
            if given:
                raise ValueError(f"--contender already names backend, variant and mode; leave {option} out")
        return cases.numbered(cases.parse_contender(text) for text in options.contender)
    names = tuple(BACKENDS) if options.backend in (None, "both") else (options.backend,)
    variants, modes = tuple(options.variant or ["naive"]), tuple(options.mode or ())
    for mode in modes:
        if not any(mode in backend(name).modes for name in names):
            raise ValueError(f"--mode {mode}: {options.backend} has only {', '.join(backend(names[0]).modes)}")
    return tuple(dict.fromkeys(cases.all_contenders(names, variants, modes)))


def require(names: Sequence[str]) -> None:
    """Refuse a backend whose modules are not installed, and say how to install them."""
    for name in names:
        missing = missing_modules(name)
        if missing:
            others = [each for each in BACKENDS if each != name and not missing_modules(each)]
            possible = f"; possible here: --backend {' or '.join(others)}" if others else ""
            raise ValueError(
                f"{name} is not installed ({', '.join(missing)} missing): {backend(name).install}{possible}"
            )


def check_out(out: Path | None) -> None:
    """Refuse a folder that is not empty or cannot be written."""
    folder = out or Path("results")
    try:
        exists, is_folder = folder.exists(), folder.is_dir()
        filled = is_folder and any(folder.iterdir())
    except OSError as error:
        raise ValueError(f"--out {str(out)[:60]}: {error.strerror}") from error
    if out and exists and not is_folder:
        raise ValueError(f"--out {out}: expected a new or empty folder; it is a file")
    if out and filled:
        raise ValueError(f"--out {out}: expected a new or empty folder; it exists and is not empty")
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ValueError(f"--out {folder}: cannot be written in {existing}")


def new_folder(folder: Path) -> Path:
    """The folder, or with a number behind it if another run of this second has it."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in range(2, 10**6))
    return folder if not folder.exists() else next(each for each in numbered if not each.exists())


def problems_for(options: argparse.Namespace, device: Device) -> tuple[Problem, ...]:
    """The problems of a run on a device, each once."""
    plain: dict[str, tuple[Any, ...]] = dict(cases.seed_sweep(device, options.quick))
    bases = [cases.preset_sweep(PRESETS[name]) for name in options.preset or ()] or [plain]
    for option in ("heads", "kv_heads", "d_model", "mask"):
        if options.preset and getattr(options, option):
            name = option.replace("_", "-")
            raise ValueError(f"--preset {options.preset[0]} has its own heads, head size and mask; leave --{name} out")
    given = {
        "batch_sizes": options.batch_size,
        "seq_lens": options.seq_len,
        "kv_lens": options.kv_len,
        "d_models": options.d_model,
        "heads": options.heads,
        "kv_heads": options.kv_heads,
        "masks": options.mask,
        "dtypes": options.dtype,
        "precisions": options.matmul_precision or ("ieee",),
        "layers": options.layers,
        "devices": options.devices,
        "layouts": options.layout,
    }
    chosen = {name: tuple(values) for name, values in given.items() if values}
    found = [problem for base in bases for problem in cases.problems(cases.Sweep(**(base | chosen)), options.seed)]
    return tuple(dict.fromkeys(found))


def settings(options: argparse.Namespace, device: Device, available: int) -> Settings:
    """The settings, with the defaults of the device, where so many CPUs are available to a problem."""
    if options.samples and options.budget:
        raise ValueError("--samples fixes the number of samples, --budget the time for them; give one of the two")
    if options.threads and options.threads > available:
        raise ValueError(f"--threads {options.threads}: possible: 1 to {available}, the CPUs of a problem")
    passes: tuple[PassName, ...] = tuple(name for name in PASSES if name in (options.passes or PASSES))
    return Settings(
        device=device,
        passes=passes,
        threads=options.threads or available,
        malloc=options.malloc,
        budget_s=options.budget or (QUICK_BUDGET_S if options.quick else BUDGET_S[device]),
        samples=options.samples,
        timeout_s=options.timeout,
        seed=options.seed,
        workers=options.workers,
        same_within=options.same_within / 100,
        processes=options.processes or PROCESSES[device],
        cache=options.cache,
        dispatch=options.dispatch,
        process_per_device=options.process_per_device,
    )
