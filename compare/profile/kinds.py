"""What a kernel or op is: a matmul, a softmax, a mask ...; and whether a naive row ran naively.

By the operations inside it where they are known, else by its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, get_args

from msgspec.structs import replace

from compare.maths.prediction import score_bytes
from compare.schema.records import Kernel, Notice, PassName, PassResult, Problem

# Names of fused attention in PyTorch's ops and kernels, cuDNN, Triton templates and XLA's custom calls.
FUSED = re.compile(r"flash|fmha|scaled_dot_product|cudnn\w*(attention|sdpa)|mha_graph|flex_attention", re.IGNORECASE)


NOT_NAIVE = "not-naive"


def check(
    variant: str, problem: Problem, passes: Mapping[PassName, PassResult], fused: Mapping[PassName, str]
) -> tuple[Notice, ...]:
    """Warnings for a row called naive that ran as something else; ``fused`` is what the optimised program shows."""
    if not variant.startswith("naive"):
        return ()
    return tuple(notice for name, result in passes.items() if (notice := _fused(problem, name, result, fused)))


def _fused(problem: Problem, name: PassName, result: PassResult, fused: Mapping[PassName, str]) -> Notice | None:
    named = sorted({kernel.name for kernel in result.kernels if FUSED.search(kernel.name)})
    if named or name in fused:
        return Notice(code=NOT_NAIVE, pass_name=name, names=(named[0][:60] if named else fused[name],))
    if result.peak_bytes < score_bytes(problem):
        sizes = {"peak_bytes": float(result.peak_bytes), "score_bytes": float(score_bytes(problem))}
        return Notice(code=NOT_NAIVE, pass_name=name, numbers=sizes)
    return None


Kind = Literal[
    "fused attention",
    "matmul",
    "softmax",
    "mask",
    "scale",
    "reduction",
    "communication",
    "elementwise",
    "copy",
    "memset",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Between devices: NCCL's kernels, Gloo's and c10d's operators, XLA's collectives.
COMMUNICATION = re.compile(
    r"^(nccl|gloo:|c10d::|(ppermute|psum|all[-_]gather|all[-_]reduce|all[-_]to[-_]all|reduce[-_]scatter|"
    r"collective[-_]permute)([-_](start|done))?([._]\d+)*$)"
)
# HLO operations.
PRODUCTS = {"dot", "convolution", "ragged-dot"}
MASKS = {"select", "compare", "iota", "and", "or", "not"}
MOVES = {"copy", "transpose", "convert", "reshape", "slice", "concatenate", "pad", "dynamic-slice"}
MOVES |= {"dynamic-update-slice", "gather", "bitcast-convert", "reverse", "copy-start", "copy-done"}
FACTORS = {"multiply", "divide"}
QUIET = MOVES | {"broadcast"}  # nothing is computed by these

# Words in names.  The order matters: the first that is found decides for a kernel of PyTorch's own.
GEMM = re.compile(
    r"gemm|nvjet|cublas|(^|[_.:$])(bmm|mm|addmm|baddbmm|matmul|linear|dot|einsum|convolution)([_.\d]|$)|splitK",
    re.IGNORECASE,
)
ROW_SUMS = "compute_dot_do_o"  # cuDNN's sums of dO * O before the gradients of fused attention
OWN: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("softmax", re.compile(r"soft_?max", re.IGNORECASE)),
    (
        "mask",
        re.compile(r"masked_fill|Compare\w*Functor|bitwise|logical|arange|tri[lu]_|where|\b(le|lt|ge|gt|eq|ne)\b"),
    ),
    ("memset", re.compile(r"memset|FillFunctor", re.IGNORECASE)),
    (
        "copy",
        re.compile(r"memcpy|direct_copy|CatArray|copy_kernel|convert_dq_to|multi_tensor_apply.*Copy<", re.IGNORECASE),
    ),
    ("reduction", re.compile(r"reduce_kernel|reduce_1Block", re.IGNORECASE)),
    ("scale", re.compile(r"(AUnary|BUnary)Functor<.*(Mul|Div)Functor")),
    ("elementwise", re.compile(r"elementwise", re.IGNORECASE)),
)
ATEN: dict[Kind, str] = {
    "mask": "masked_fill masked_fill_ le lt ge gt eq ne bitwise_not bitwise_and logical_not where tril triu arange "
    "remainder",
    "scale": "mul mul_ div div_",
    "reduction": "sum amax max mean logsumexp",
    "elementwise": "add add_ sub sub_ exp neg rsub",
    # A view moves nothing; what it takes on a CPU is its dispatch.  It stands with the copies that it stands for.
    "copy": "copy_ clone contiguous to _to_copy cat reshape view as_strided transpose permute expand unsqueeze squeeze "
    "resolve_conj resolve_neg detach _unsafe_view _reshape_alias select slice alias t lift_fresh",
    "memset": "zeros zero_ fill_ ones full empty empty_like empty_strided resize_ new_empty_strided",
}
ATEN_KINDS: dict[str, Kind] = {f"aten::{name}": kind for kind, names in ATEN.items() for name in names.split()}
INDUCTOR = re.compile(r"(?:triton_(?:poi|red|per|mix|tem|for)|cpp)_fused_(.*?)_?\d*$")
INDUCTOR_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("matmul", re.compile(r"(^|_)(b?mm|addmm|baddbmm|matmul)(_|$)")),
    ("softmax", re.compile(r"softmax")),
    ("mask", re.compile(r"masked_fill|where|arange|(^|_)(le|lt|ge|gt|tril|triu)(_|$)")),
    ("scale", re.compile(r"(^|_)(mul|div)(_|$)")),
    ("reduction", re.compile(r"(^|_)(sum|amax|max|mean)(_|$)")),
    ("elementwise", re.compile(r"(^|_)(add|sub|exp|neg|rsub)(_|$)")),
    ("copy", re.compile(r"clone|copy|permute|transpose|view")),
)
XLA = re.compile(r"^(?:(?:loop|input|wrapped)_)?([a-z_]*?)_?fusion[._]?\d*(?:[._]\d+)*$|^wrapped_([a-z]+)[._]?\d*$")


def of(kernel: Kernel) -> tuple[Kind, ...]:
    """The kinds of a kernel or op in the order of KINDS; at least one."""
    if COMMUNICATION.match(kernel.name):
        return ("communication",)
    return _ordered(_by_operations(kernel.contents) if kernel.contents else _by_name(kernel.name))


def is_fused(kernel: Kernel) -> bool:
    """Whether a compiler put several operations into this kernel, by what is inside it or by its name."""
    return len(set(kernel.contents) - QUIET) > 1 or bool(re.search(r"fus(ed|ion)|^triton_", kernel.name))


def with_contents(kernels: Iterable[Kernel], contents: Mapping[str, tuple[str, ...]] | None) -> tuple[Kernel, ...]:
    """The kernels, each with the operations that the optimised program shows inside it.

    A GPU's kernels are called as the op with ``_`` for ``.`` and ``-``.  Where two ops would have a name, neither does.
    """
    plain: dict[str, set[tuple[str, ...]]] = {}
    for name, inside in (contents or {}).items():
        plain.setdefault(_plain(name), set()).add(inside)
    only = {name: found.pop() for name, found in plain.items() if len(found) == 1}
    exact = contents or {}
    return tuple(replace(each, contents=exact.get(each.name, only.get(_plain(each.name), ()))) for each in kernels)


def _plain(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


def _ordered(found: Collection[Kind]) -> tuple[Kind, ...]:
    """In the order of KINDS; what is a softmax or a product is not called elementwise as well."""
    strong = [kind for kind in KINDS if kind in found]
    while len(strong) > 1 and strong[-1] in ("elementwise", "copy", "memset", "other"):
        strong.pop()
    return tuple(strong)


def _by_operations(inside: Collection[str]) -> set[Kind]:
    """From HLO operations."""
    words, found = set(inside), set[Kind]()
    products = sum(word in PRODUCTS or bool(GEMM.search(word)) for word in inside)
    exponential = "exponential" in words
    # The gradient of a softmax has no exponential: P * (dP - sum(P * dP)).
    gradient = {"reduce", "multiply"} <= words and bool(words & {"negate", "subtract"})
    if any(FUSED.search(word) for word in words) or (products > 1 and exponential):
        return {"fused attention"}
    found |= {"matmul"} if products else set()
    if exponential or gradient:
        found.add("softmax")
    elif "reduce" in words:
        found.add("reduction")
    found |= {"mask"} if words & MASKS else set()
    rest = words - QUIET - PRODUCTS - MASKS
    if rest and rest <= FACTORS and "broadcast" in words:
        found.add("scale")
    elif rest - {"reduce"}:
        found |= {"elementwise"} if not found else set()
    found |= {"copy"} if words & MOVES else set()
    found |= {"memset"} if "broadcast" in words else set()
    return found or {"other"}


def _by_name(name: str) -> set[Kind]:
    """From the name alone."""
    if FUSED.search(name):
        return {"fused attention"}
    if ROW_SUMS in name:
        return {"reduction"}
    if inductor := INDUCTOR.search(name):
        return {kind for kind, words in INDUCTOR_WORDS if words.search(inductor[1])} or {"elementwise"}
    if name in ATEN_KINDS:
        return {ATEN_KINDS[name]}
    if GEMM.search(name):
        return {"matmul"}
    own = next((kind for kind, words in OWN if words.search(name)), None)
    return {own} if own else _by_xla_name(name)


def _by_xla_name(name: str) -> set[Kind]:
    """XLA names a fusion after its last operations, so of most only that they compute something can be told.

    One without any, `fusion_7`, is a Triton kernel of element-wise operations and reductions: XLA's products are called
    gemm_fusion.  What `ynn_fusion` on a CPU holds, a product or a sum or both, its name does not say.
    """
    match = XLA.match(name)
    if match is None or "ynn" in name:
        return {"other"}
    words = set((match[1] or match[2] or "").split("_"))
    if name.startswith(("wrapped_", "bitcast_", "copy_", "transpose_")) and words <= QUIET | {"bitcast"}:
        return {"memset"} if words == {"broadcast"} else {"copy"}
    found: set[Kind] = {"softmax"} if "exponential" in words else set()
    found |= {"reduction"} if "reduce" in words and not found else set()
    found |= {"mask"} if words & {"select", "compare"} else set()
    return found or {"elementwise"}
