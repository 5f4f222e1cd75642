"""Why two times differ: the kernels that ran in each contender's pass, and one sentence per comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from compare.analysis import text as fmt
from compare.analysis.sections import Column, Section, Table, code, number, plain
from compare.analysis.text import counted, enumerated, listed, names_of, opening
from compare.analysis.times import Compared, compared, undecided
from compare.profile import kinds
from compare.profile.kinds import KINDS, Kind
from compare.results.rows import by_problem, measurements, passes_of
from compare.schema.records import Device, Measurement, PassName, PassResult, Problem, Row, Run
from compare.stats.estimates import device_time

LEAST_SHARE = 0.005  # of a pass: what takes less is left out of a table,
NOTICEABLE = 0.02  # and is not counted in a sentence if it takes less than this
LARGE = 0.1  # a share of this size that cannot be told or split leaves the rest of a sentence without ground
MINOR = 0.05  # of the difference: a part that small is not named
OVERLAP = 1.1  # own times add up to an iteration's device time; results of older versions list all ops whole


class Line(msgspec.Struct, frozen=True):
    """One kernel or op of a pass: readable name, runs per iteration, seconds and share of the pass, what it is."""

    name: str
    count: int
    device_s: float
    share: float
    kinds: tuple[Kind, ...]
    fused: bool


class Reason(msgspec.Struct, frozen=True):
    """A comparison and the sentence that explains it."""

    compared: Compared
    text: str


class Part(msgspec.Struct, frozen=True):
    """Some lines of a pass together: seconds, of them in short runs, the other runs, their kinds (the longest first).

    ``fused`` says whether a compiler made each of those runs out of several operations.
    """

    device_s: float
    short_s: float
    count: int
    kinds: tuple[Kind, ...]
    fused: bool


class Parts(msgspec.Struct, frozen=True):
    """A pass by what its kernels are: products alone, products with other work in them, the rest, and what none knows.

    ``doubt_s`` is how far the iteration whose kernels are known was from the median.
    """

    name: str
    total_s: float
    products: Part
    mixed: Part
    rest: Part
    unknown: Part
    doubt_s: float


def lines(result: PassResult) -> list[Line]:
    """What ran in a pass, longest first."""
    whole = sum(kernel.device_s for kernel in result.kernels)
    total_s = device_time(result).median
    return [
        Line(
            short_name(kernel.name),
            kernel.count,
            kernel.device_s / whole * total_s,
            kernel.device_s / whole,
            kinds.of(kernel),
            kinds.is_fused(kernel),
        )
        for kernel in sorted(result.kernels, key=lambda each: -each.device_s)
        if whole > 0
    ]


def shown(row: Row, name: PassName) -> list[Line]:
    """The lines of a pass that are worth a place in a table."""
    if not isinstance(row, Measurement) or name not in row.passes:
        return []
    return [line for line in lines(row.passes[name]) if line.share >= LEAST_SHARE]


def side_by_side(rows: Sequence[Row], name: PassName) -> list[tuple[Kind, list[list[Line]]]]:
    """What ran in a pass of each row, by what it first of all is; kinds that nobody ran are left out."""
    found = [shown(row, name) for row in rows]
    return [
        (kind, [[line for line in each if line.kinds[0] == kind] for each in found])
        for kind in KINDS
        if any(line.kinds[0] == kind for each in found for line in each)
    ]


def short_name(name: str) -> str:
    """A kernel's name without the noise of its templates, with the functor that says what it computes."""
    bare = re.sub(r"^graph_\d+_", "", name.replace("(anonymous namespace)::", "").removeprefix("void "))
    if "<" not in bare:
        return re.sub(r"(_tilesize\d+x\d+x\d+)_.*", r"\1", bare)
    head, inner = bare.split("<", 1)
    base = head.rpartition("::")[2]
    if base.startswith("Kernel"):  # CUTLASS: all that matters is the template's argument
        return re.split(r"[>(,]", inner)[0]
    functor = re.search(r"(masked_fill|bitwise_\w+?|arange|direct_copy|where)_(?:kernel|cuda)", inner) or re.search(
        r"CUDAFunctor_(\w+)|(?!AUnary|BUnary|Binary)\b(\w+)Functor\b", inner
    )
    what = next((group for group in functor.groups() if group), "") if functor else ""
    return f"{base}[{what}]" if what else base


def reasons(rows: Iterable[Row], same_within: float, unit: str) -> list[Reason]:
    """A sentence for every fair comparison; ``unit`` is what ran on the device: kernel or op."""
    found = []
    for _, group in by_problem(rows):
        by_contender = {row.contender: row for row in measurements(group)}
        for each in compared(group, same_within):
            pair = (by_contender[each.contender], by_contender[each.reference])
            found.append(Reason(each, sentence(each, *pair, unit)))
    return found


def sentence(each: Compared, row: Measurement, reference: Measurement, unit: str) -> str:
    """Why the two times of a comparison differ, as far as their kernels tell."""
    if each.verdict == "SAME":
        return "The same time, within the equivalence margin."
    if each.verdict == "UNDECIDED":
        return f"No significant difference: {undecided(each, row, reference)}."
    results = (row.passes[each.pass_name], reference.passes[each.pass_name])
    ours, theirs = (
        parts(name, result) for name, result in zip(names_of(row.contender, reference.contender), results, strict=True)
    )
    extra_s = ours.total_s - theirs.total_s
    head = f"{opening(ours.name)} takes {fmt.times(each.ratio.median)} the time of {theirs.name}"
    if not all(result.kernels for result in results):
        return f"{head}; what ran was not recorded."
    for one, result in zip((ours, theirs), results, strict=True):
        if overlap(result):
            return f"{head}; {one.name}'s {unit}s nest or run side by side, so their times cannot be added up."
    for one in (ours, theirs):
        if one.unknown.device_s > LARGE * one.total_s:
            share = f"{one.unknown.device_s / one.total_s:.0%}"
            return f"{head}; {share} of {one.name}'s time is in {unit}s whose names do not say what they compute."
    if any(one.mixed.device_s > LARGE * one.total_s for one in (ours, theirs)):
        return f"{head}: {composition(ours, unit)}; {composition(theirs, unit)}."
    if abs(extra_s) <= ours.doubt_s + theirs.doubt_s or (extra_s > 0) != (each.ratio.median > 1):
        return (
            f"{head}; the {unit}s of one iteration scatter by more than the difference, so where it lies is not shown."
        )
    return f"{head}, {more_or_less(extra_s)}: {', '.join(differences(ours, theirs, extra_s, unit))}."


def differences(ours: Parts, theirs: Parts, extra_s: float, unit: str) -> list[str]:
    """The parts of the difference, the largest first; one far below it, or below what the data resolve, is left out."""
    pairs = [(ours.rest, theirs.rest), (ours.products, theirs.products)]
    pairs.sort(key=lambda pair: -abs(pair[0].device_s - pair[1].device_s))
    least_s = max(MINOR * abs(extra_s), ours.doubt_s + theirs.doubt_s)
    kept = [pair for pair in pairs if abs(pair[0].device_s - pair[1].device_s) > least_s] or pairs[:1]
    return [difference(mine, other, theirs.name, unit) for mine, other in kept]


def difference(mine: Part, other: Part, rival: str, unit: str) -> str:
    """One part of the difference in words."""
    extra = more_or_less(mine.device_s - other.device_s)
    ran, against = spent(mine, unit), spent(other, unit)
    if other.fused and other.count < mine.count:
        against += f", which {'fuses' if other.count == 1 else 'fuse'} them"
    elif mine.fused and mine.count < other.count:
        ran += f", which {'fuses' if mine.count == 1 else 'fuse'} them"
    return f"{enumerated(either(mine, other))} {extra} ({ran}; {rival} {against})"


def spent(each: Part, unit: str) -> str:
    """``0.41 ms in 2 kernels``, and that there were short ones too where these take a share of it."""
    short = f" and short {unit}s" if each.count and each.short_s > MINOR * each.device_s else ""
    return f"{fmt.ms(each.device_s)} ms in {counted(each.count, unit)}{short}"


def either(mine: Part, other: Part) -> tuple[Kind, ...]:
    """The kinds of both, what tells most first: a fused kernel's name may say no more than that it computes."""
    first, second = sorted((mine, other), key=lambda each: -each.device_s)
    found = dict.fromkeys((*first.kinds, *second.kinds))
    return tuple(sorted(found, key=lambda kind: kind == "elementwise"))


def composition(one: Parts, unit: str) -> str:
    """What a pass is made of, for a pair that cannot be split alike."""
    found = []
    for each in (one.mixed, one.products, one.rest):
        if each.count and each.device_s > NOTICEABLE * one.total_s:
            together = " together" if each is one.mixed and len(each.kinds) > 1 else ""
            alone = " alone" if each is one.products and one.mixed.count else ""
            found.append(f"{enumerated(each.kinds)}{together}{alone} ({spent(each, unit)})")
    return f"{one.name} runs {listed(found)}"


def more_or_less(extra_s: float) -> str:
    """``0.54 ms more``."""
    return f"{fmt.ms(abs(extra_s))} ms {'more' if extra_s > 0 else 'less'}"


def overlap(result: PassResult) -> bool:
    """Whether the list counts time twice: own times never add up to more than the longest iteration."""
    return sum(kernel.device_s for kernel in result.kernels) > OVERLAP * max(result.device_s)


def parts(name: str, result: PassResult) -> Parts:
    """A pass by what its kernels are."""
    found: dict[str, list[Line]] = {"products": [], "mixed": [], "rest": [], "unknown": []}
    for line in lines(result):
        found[part_of(line.kinds)].append(line)
    total_s = device_time(result).median
    seen_s = sum(kernel.device_s for kernel in result.kernels)
    return Parts(name, total_s, **{key: part(each) for key, each in found.items()}, doubt_s=abs(seen_s - total_s))


def part_of(found: tuple[Kind, ...]) -> str:
    """Which part of a pass a kernel of these kinds belongs to; a scaled product is still a product."""
    if found[0] == "other":
        return "unknown"
    if found[0] == "fused attention" or (found[0] == "matmul" and set(found) - {"matmul", "scale"}):
        return "mixed"
    return "products" if found[0] == "matmul" else "rest"


def part(found: Sequence[Line]) -> Part:
    """Lines together."""
    large = [line for line in found if line.share >= NOTICEABLE]
    spent = {kind: sum(line.device_s for line in large if kind in line.kinds) for kind in KINDS}
    order = tuple(sorted((kind for kind in KINDS if spent[kind]), key=lambda kind: -spent[kind]))
    total_s, large_s = (sum(line.device_s for line in each) for each in (found, large))
    fused = bool(large) and all(line.fused for line in large)
    return Part(total_s, total_s - large_s, sum(line.count for line in large), order, fused)


ORDER = 40
REASON_COLUMNS = (Column("Contender"), Column("Pass"), Column("Why its time differs"))
KERNEL_COLUMNS = (
    Column("Kind"),
    Column("Contender"),
    Column("Kernel"),
    number("Runs"),
    number("Time", "ms"),
    number("Share"),
)
NOTE = (
    "What ran in one profiled iteration. Each kernel's share of the iteration is applied to the median of the pass. "
    f"Kernels under {LEAST_SHARE:.1%} of a pass are left out. A sentence counts kernels of at least {NOTICEABLE:.0%} "
    "and calls the rest short."
)


def sections(run: Run, rows: Sequence[Row]) -> list[Section]:
    """Per problem a sentence for each comparison, and the kernels of each pass, folded away."""
    within, name = run.settings.same_within, unit(run.settings.device)
    tables = [
        table
        for problem, group in by_problem(rows)
        for table in tables_of(problem, measurements(group), reasons(group, within, name))
    ]
    return [Section("Why times differ", [NOTE] if any(table.rows for table in tables) else [], tables)]


def unit(device: Device) -> str:
    """What runs on the device: kernels on a GPU, ops on a CPU."""
    return "kernel" if device == "gpu" else "op"


def tables_of(problem: Problem, rows: Sequence[Measurement], found: Sequence[Reason]) -> list[Table]:
    """The sentences of one problem, then what ran in each pass."""
    return [
        Table(REASON_COLUMNS, reason_lines(found), problem.label, grouped=True),
        *(
            Table(KERNEL_COLUMNS, kernel_lines(rows, name), f"{problem.label}: {name}", grouped=True, folded=True)
            for name in passes_of(rows)
        ),
    ]


def reason_lines(found: Sequence[Reason]) -> list[list[str]]:
    """A contender, the passes that a sentence is about, and the sentence, once for each contender."""
    about: dict[tuple[str, str], list[str]] = {}
    for reason in found:
        about.setdefault((code(reason.compared.contender.name), reason.text), []).append(reason.compared.pass_name)
    return [[name, ", ".join(passes), plain(text)] for (name, text), passes in about.items()]


def kernel_lines(rows: Sequence[Measurement], name: PassName) -> list[list[str]]:
    """The kernels of a pass, those of one kind together, contender after contender."""
    return [
        [kind, code(row.contender.name), *kernel_cells(line)]
        for kind, columns in side_by_side(rows, name)
        for row, kernels in zip(rows, columns, strict=True)
        for line in kernels
    ]


def kernel_cells(line: Line) -> list[str]:
    """A kernel's name with what it is besides, its runs, its time and its share."""
    return [code(line.name) + also(line), str(line.count), fmt.ms(line.device_s), f"{line.share:.0%}"]


def kernel_words(line: Line) -> str:
    """How often a kernel ran, its ms and share, and what it is besides the kind that it is listed under."""
    return f"x{line.count} {fmt.ms(line.device_s)} ms {line.share:.0%}{also(line)}"


def also(line: Line) -> str:
    """The kinds of a kernel beside the one that it is listed under."""
    return f" (also {', '.join(line.kinds[1:])})" if len(line.kinds) > 1 else ""
