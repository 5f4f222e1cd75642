"""The sentence of each warning: what was seen, and what to do about it.  No other place words a warning."""

from __future__ import annotations

from collections.abc import Callable

from compare.schema.records import Notice


def worded(notice: Notice) -> str:
    """The sentence, after the pass that it concerns.  A file of schema 4 brings its own."""
    try:
        sentence = notice.text or SENTENCES[notice.code](notice)
    except (KeyError, IndexError):  # a file may hold a code that this program does not know, or lack a number
        known = [f"{name}={value:g}" for name, value in notice.numbers.items()]
        sentence = " ".join([notice.code, *known, *notice.names])
    return f"{notice.pass_name}: {sentence}" if notice.pass_name else sentence


def _other_load(notice: Notice) -> str:
    return f"other processes used {notice.numbers['others_share']:.0%} of the CPUs; end them and rerun"


def _stolen(notice: Notice) -> str:
    return f"the hypervisor gave {notice.numbers['stolen_share']:.0%} of the CPU time to other machines; rerun later"


def _clock(notice: Notice) -> str:
    low, high = notice.numbers["low_mhz"], notice.numbers["high_mhz"]
    return f"the GPU clock varied from {low:.0f} to {high:.0f} MHz; lock it (nvidia-smi -lgc) or let the GPU cool"


def _throttled(notice: Notice) -> str:
    return f"the GPU was throttled ({', '.join(notice.names)}); let it cool or raise its power limit"


def _drift(notice: Notice) -> str:
    change = f"device time drifted by {notice.numbers['change']:+.0%} from the first rounds to the last"
    return f"{change}; comparisons within rounds still hold, for absolute times rerun on a settled machine"


def _two_levels(notice: Notice) -> str:
    low_s, high_s, share = (notice.numbers[name] for name in ("lower_s", "upper_s", "upper_share"))
    levels = f"rounds lie on two levels, {low_s * 1e3:.3g} and {high_s * 1e3:.3g} ms ({share:.0%} on the upper)"
    return f"{levels}: two clock or memory states; rerun and compare"


def _device_over_wall(notice: Notice) -> str:
    excess = f"device time is {notice.numbers['excess']:.0%} longer than wall time"
    return f"{excess}: profiler overhead, or slower rounds under it; trust the wall time of this pass"


def _outliers(notice: Notice) -> str:
    far, samples, worst = (notice.numbers[name] for name in ("far", "samples", "worst"))
    found = f"{far:.0f} of {samples:.0f} samples are outliers, the slowest {worst:.1f}x the median"
    return f"{found}; the median is robust, but other work ran on this machine"


def _not_naive(notice: Notice) -> str:
    if "peak_bytes" in notice.numbers:
        peak, scores = notice.numbers["peak_bytes"] / 1e6, notice.numbers["score_bytes"] / 1e6
        return f"the compiler fused it: the peak of {peak:.1f} MB is below one score matrix of {scores:.1f} MB"
    return f"the compiler replaced naive attention by one fused op ({notice.names[0]})"


def _saved_bytes(notice: Notice) -> str:
    events, buffers = notice.numbers["events_bytes"] / 1e6, notice.numbers["buffers_bytes"] / 1e6
    found = f"saved activations are {events:.1f} MB by allocation events and {buffers:.1f} MB by buffers"
    return f"{found}; do not trust this row's saved memory"


def _unsteady(notice: Notice) -> str:
    calls = notice.numbers["calls"]
    return f"still getting faster after {calls:.0f} warm-up calls; raise --budget if the interval is wide"


def _process(notice: Notice) -> str:
    return f"process {notice.numbers['process']:.0f}: {notice.names[0]}"


def _refused(notice: Notice) -> str:
    rounds = notice.numbers["rounds"]
    return f"discarded and repeated profiler rounds: {rounds:.0f}; the last because {notice.names[0]}"


def _faults(notice: Notice) -> str:
    return f"{notice.numbers['bytes'] / 1e6:.1f} MB of pages were faulted in per call, and timed; see --malloc"


def _in_part(notice: Notice) -> str:
    numbers = notice.numbers
    rows = f"the oracle checked {numbers['queries']:.0f} of {numbers['of_queries']:.0f} query rows of a slice"
    keys = f" and dK and dV of {numbers['keys']:.0f} of {numbers['of_keys']:.0f} keys" if "keys" in numbers else ""
    rest = "compared with the other contenders only" if numbers["contenders"] > 1 else "not checked"
    return f"{rows}{keys}; the other rows were {rest}"


SENTENCES: dict[str, Callable[[Notice], str]] = {
    "busy-machine": _other_load,
    "other-load": _other_load,
    "stolen-time": _stolen,
    "clock-change": _clock,
    "throttled": _throttled,
    "drift": _drift,
    "two-levels": _two_levels,
    "device-over-wall": _device_over_wall,
    "outliers": _outliers,
    "not-naive": _not_naive,
    "saved-bytes-disagree": _saved_bytes,
    "unsteady-warmup": _unsteady,
    "process-lost": _process,
    "process-failed": _process,
    "refused-windows": _refused,
    "page-faults": _faults,
    "restarted": lambda _: "the worker was replaced; rerun if the samples look bimodal",
    "checked-in-part": _in_part,
    "not-judged": lambda notice: f"verification failed: {notice.names[0]}",
    "tf32-cut-off": lambda _: "TF32 products truncate their operands: errors are about three times those of rounding",
    "no-trace": lambda notice: f"no complete trace: {notice.names[0]}",
    "no-streams": lambda notice: f"timing streams of calls failed: {notice.names[0]}",
    "no-warm-costs": lambda notice: f"compiling again with warm caches failed: {notice.names[0]}",
}
