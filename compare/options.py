"""The command line: argv -> Plan, or one line that says what is wrong and what would be right."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from compare import cases, devices
from compare.__version__ import VERSION
from compare.backends import BACKENDS, backend, missing_modules
from compare.contract import MASKS, parse_mask
from compare.records import DTYPES, PASSES, PRECISIONS, Contender, Device, PassName, Settings

BUDGET_S: dict[Device, float] = {"cpu": 8.0, "gpu": 4.0}
QUICK_BUDGET_S = 2.0
MOST = {"batch-size": 2**20, "seq-len": 2**24, "d-model": 2**20, "heads": 2**12, "threads": 2**12, "samples": 10**6}


class Parser(argparse.ArgumentParser):
    """Errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """One line, no usage text."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def whole(option: str, most: int, least: int = 1) -> Callable[[str], int]:
    """A whole number in a range that is not absurd."""

    def read(text: str) -> int:
        sized = text.isdecimal() and len(text) <= len(str(most))
        if not sized or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text[:60]!r}")
        return int(text)

    read.__name__ = option
    return read


def positive(text: str) -> float:
    """A number of seconds above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value


def mask(text: str) -> str:
    """A mask that parses."""
    try:
        parse_mask(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def build_parser() -> Parser:
    """All options; the table in README.md is checked against this."""
    parser = Parser(
        prog="compare",
        description="Which attention should I choose, JAX or PyTorch, and how sure am I?  Measures device time, memory "
        "and numeric agreement of the same attention in both frameworks, side by side.",
        epilog="Options that take several values make a sweep: their product is measured.",
    )
    who = parser.add_argument_group("contenders")
    who.add_argument("--backend", choices=("both", *BACKENDS), default="both", help="frameworks (default: both)")
    who.add_argument(
        "--variant", nargs="+", default=["naive"], metavar="NAME", help="how it is computed (default: naive)"
    )
    who.add_argument(
        "--mode", nargs="+", choices=("eager", "compile"), default=[], help="PyTorch's modes (default: both)"
    )
    who.add_argument(
        "--contender",
        action="append",
        metavar="B:V[:M]",
        help="backend:variant[:mode]; repeatable; this exact list in place of the three options above",
    )
    what = parser.add_argument_group("problems")
    size = {name: whole(name, most) for name, most in MOST.items()}
    what.add_argument("--batch-size", nargs="+", type=size["batch-size"], metavar="B", help="(default: 4, on a GPU 8)")
    what.add_argument("--seq-len", nargs="+", type=size["seq-len"], metavar="T", help="(default: the seed's sweep)")
    what.add_argument("--kv-len", nargs="+", type=size["seq-len"], metavar="S", help="(default: as --seq-len)")
    what.add_argument(
        "--d-model", nargs="+", type=size["d-model"], metavar="D", help="heads x head size (default: sweep)"
    )
    what.add_argument("--heads", nargs="+", type=size["heads"], default=[1], metavar="N", help="(default: 1)")
    what.add_argument("--kv-heads", nargs="+", type=size["heads"], metavar="K", help="(default: as --heads)")
    what.add_argument("--mask", nargs="+", type=mask, default=["causal"], metavar="MASK", help=" ".join(MASKS))
    what.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32"], help="(default: float32)")
    what.add_argument(
        "--matmul-precision",
        nargs="+",
        choices=PRECISIONS,
        default=["ieee"],
        help="of float32 products, in both frameworks alike; 'default' shows each one's own (default: ieee)",
    )
    what.add_argument(
        "--seed", type=whole("seed", 2**32, least=0), default=0, metavar="N", help="of the inputs (default: 0)"
    )
    how = parser.add_argument_group("measuring")
    how.add_argument("--pass", dest="passes", nargs="+", choices=PASSES, default=list(PASSES), help="(default: all)")
    how.add_argument("--device", choices=("cpu", "gpu"), help="(default: a GPU that all frameworks see, else the CPU)")
    how.add_argument("--threads", type=size["threads"], metavar="N", help="CPU threads (default: all CPUs)")
    how.add_argument(
        "--malloc",
        choices=("recycle", "system"),
        default="recycle",
        help="CPU: keep freed pages, or give them back as the C library does (default: recycle)",
    )
    how.add_argument(
        "--samples", type=whole("samples", MOST["samples"], least=6), metavar="N", help="a fixed number, at least 6"
    )
    how.add_argument(
        "--budget", type=positive, metavar="SECONDS", help="sampling time per case (default: 8, on a GPU 4)"
    )
    how.add_argument("--quick", action="store_true", help="d_model 64, seq_len 256 and 1024, budget 2 s")
    how.add_argument("--timeout", type=positive, default=600.0, metavar="SECONDS", help="for one answer (default: 600)")
    rest = parser.add_argument_group("output")
    rest.add_argument("--out", type=Path, metavar="DIR", help="new or empty (default: results/<timestamp>)")
    rest.add_argument("--list", action="store_true", help="show what can be chosen, and exit")
    rest.add_argument("--dry-run", action="store_true", help="show the cases, their bytes and their time, and exit")
    rest.add_argument("--version", action="version", version=f"compare {VERSION}")
    return parser


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, cases.Plan | None]:
    """The options, and the plan unless ``--list`` was given.  Ends the process with code 2 for bad input."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.list:
        return options, None
    try:
        return options, plan(options, argv)
    except ValueError as error:
        parser.error(str(error))


def plan(options: argparse.Namespace, argv: Sequence[str]) -> cases.Plan:
    """Everything validated.  Raises ValueError with one line."""
    contenders = chosen_contenders(options)
    names = tuple(dict.fromkeys(contender.backend for contender in contenders))
    require(names)
    check_out(options.out)
    tuple(problems_for(options, "cpu"))  # refuse bad shapes before a device is looked for
    device = devices.choose(options.device, names)
    if device == "cpu" and "tf32" in options.matmul_precision:
        raise ValueError("--matmul-precision tf32: a CPU has no TF32; possible: ieee, default")
    return cases.Plan(
        settings=settings(options, device),
        problems=problems_for(options, device),
        contenders=contenders,
        out=options.out or Path("results") / datetime.now().strftime("%Y-%m-%dT%H-%M-%S"),
        command=shlex.join(["python", "-m", "compare", *argv]),
    )


def chosen_contenders(options: argparse.Namespace) -> tuple[Contender, ...]:
    """The exact list of ``--contender``, or the product of ``--backend``, ``--variant`` and ``--mode``."""
    if options.contender:
        return tuple(dict.fromkeys(cases.parse_contender(text) for text in options.contender))
    names = tuple(BACKENDS) if options.backend == "both" else (options.backend,)
    for mode in options.mode:
        if not any(mode in backend(name).modes for name in names):
            raise ValueError(f"--mode {mode}: {options.backend} has only {', '.join(backend(names[0]).modes)}")
    return tuple(dict.fromkeys(cases.all_contenders(names, tuple(options.variant), tuple(options.mode))))


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
        folder.exists()
    except OSError as error:
        raise ValueError(f"--out {str(out)[:60]}...: {error.strerror}") from error
    if out and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {out}: expected a new or empty folder; it exists and is not empty")
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ValueError(f"--out {folder}: cannot be written in {existing}")


def problems_for(options: argparse.Namespace, device: Device) -> Any:
    """The problems of a run on a device."""
    sweep: dict[str, Any] = cases.seed_sweep(device, options.quick)
    given = {"batch_sizes": options.batch_size, "seq_lens": options.seq_len, "d_models": options.d_model}
    sweep |= {name: tuple(values) for name, values in given.items() if values}
    return cases.problems(
        cases.Sweep(
            **sweep,
            kv_lens=tuple(options.kv_len or ()),
            heads=tuple(options.heads),
            kv_heads=tuple(options.kv_heads or ()),
            masks=tuple(options.mask),
            dtypes=tuple(options.dtype),
            precisions=tuple(options.matmul_precision),
        ),
        options.seed,
    )


def settings(options: argparse.Namespace, device: Device) -> Settings:
    """The settings, with the defaults of the device."""
    available = devices.cpu_threads()
    if options.threads and options.threads > available:
        raise ValueError(f"--threads {options.threads}: this process may use {available} CPUs")
    passes: tuple[PassName, ...] = tuple(name for name in PASSES if name in options.passes)
    return Settings(
        device=device,
        passes=passes,
        threads=options.threads or available,
        malloc=options.malloc,
        budget_s=options.budget or (QUICK_BUDGET_S if options.quick else BUDGET_S[device]),
        samples=options.samples,
        timeout_s=options.timeout,
        seed=options.seed,
    )
