"""How good is our naive attention?  The same passes of other projects' naive attention, timed and weighed the same way.

    python scripts/baselines.py [--device gpu] [--batch B --seq-len T --heads N --head-dim H] [--dtype bfloat16]

For JAX: jax.nn.dot_product_attention (xla), Flax and Equinox where installed.  For PyTorch, eager and compiled:
transformers' eager_attention_forward where it is installed, and the plainest form (scores scaled, masked_fill).  Each
framework has a process of its own; its contenders take turns in rounds.  The floor is the least traffic of an unfused
attention, 4 passes over the score matrix forward and 7 backward, at the copy bandwidth measured in the same process.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from compare.maths import inputs
from compare.maths.prediction import output_bytes, score_bytes
from compare.profile import timeline
from compare.schema.records import Problem

ROUNDS, PER_ROUND = 7, 5
FLOOR_PASSES = {"forward": 4, "backward": 7}


def jax_baselines() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name and function of each; all take and give [B, T, N, H]."""
    jax = importlib.import_module("jax")
    yield "jax.nn (xla)", lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="xla")
    try:
        linen = importlib.import_module("flax.linen")
        yield "flax", lambda q, k, v: linen.dot_product_attention(q, k, v, mask=linen.make_causal_mask(q[:, :, 0, 0]))
    except ImportError:
        pass
    try:
        one_head = importlib.import_module("equinox.nn._attention").dot_product_attention
        numpy = importlib.import_module("jax.numpy")

        def equinox(q: Any, k: Any, v: Any) -> Any:
            causal = numpy.tril(numpy.ones((q.shape[1], k.shape[1]), bool))
            heads = jax.vmap(lambda q, k, v: one_head(q, k, v, mask=causal), in_axes=1, out_axes=1)
            return jax.vmap(heads)(q, k, v)

        yield "equinox", equinox
    except ImportError:
        pass


def torch_baselines() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name and function of each; all take and give [B, T, N, H]."""
    torch = importlib.import_module("torch")

    def plain(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        return (torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v).transpose(1, 2)

    yield "plain", plain
    try:
        llama = importlib.import_module("transformers.models.llama.modeling_llama")
    except ImportError:
        return

    class Layer:
        num_key_value_groups, training = 1, False

    def transformers(q: Any, k: Any, v: Any) -> Any:
        future = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=q.device).triu(1)
        bias = torch.zeros(future.shape, dtype=q.dtype, device=q.device).masked_fill(future, float("-inf"))
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return llama.eager_attention_forward(Layer, q, k, v, bias, scaling=q.shape[-1] ** -0.5)[0]

    yield "transformers", transformers


class Bench:
    """One framework: its adapter, its profiler, and the passes of every contender."""

    def __init__(self, backend: str, device: str, problem: Problem) -> None:
        self.backend, self.problem = backend, problem
        self.adapter: Any = importlib.import_module(f"{backend}_attn.adapter").Adapter(device, 1)
        self.profiler: Any = importlib.import_module(f"{backend}_attn.profiler")
        self.inputs = tuple(self.adapter.put(x, problem.dtype) for x in inputs.draw(problem))
        self.passes: dict[str, Any] = {}
        self.saved: dict[str, int] = {}
        self.samples: dict[tuple[str, str], list[float]] = {}

    def contenders(self) -> Iterator[tuple[str, Any]]:
        """Ours first, then the others, in every mode of the framework."""
        ours = importlib.import_module(f"{self.backend}_attn.variants.naive").attention
        others = jax_baselines() if self.backend == "jax" else torch_baselines()
        modes = ("jit",) if self.backend == "jax" else ("eager", "compile")
        for name, function in [("ours", lambda q, k, v: ours(q, k, v)), *others]:
            for mode in modes:
                yield f"{name} {mode}", self.adapter.programs(function, mode, self.inputs, "ieee")

    def run(self) -> None:
        """Warm up and weigh everybody, then sample in turns."""
        for name, programs in self.contenders():
            self.passes[name] = programs
            self.saved[name] = self.weigh(programs)
        for _ in range(ROUNDS):
            for name, programs in self.passes.items():
                self.turn(name, programs)

    def weigh(self, programs: Any) -> int:
        """Bytes kept for the backward pass; also the first calls of both passes."""
        block = self.adapter.block
        for _ in range(3):
            block(programs.forward())
            block(programs.backward(block(programs.save())))
        gc.collect()
        with self.profiler.trace(memory=True) as found, self.profiler.window("save"):
            saved = block(programs.save())
        by_buffers = programs.saved_bytes(saved)
        if found[0].allocations:
            return timeline.peak_and_rest(found[0], "save")[1] - output_bytes(self.problem)
        return int(by_buffers or 0)

    def turn(self, name: str, programs: Any) -> None:
        """One profiler window with both passes."""
        block, window = self.adapter.block, self.profiler.window
        with self.profiler.trace() as found:
            for _ in range(PER_ROUND):
                with window("forward"):
                    result = block(programs.forward())
                saved = block(programs.save())
                with window("backward"):
                    result = block(programs.backward(saved))
                del saved, result
        seen = timeline.iterations(found[0])
        for label in FLOOR_PASSES:
            values = [each.device_s for each in seen if each.label == label]
            self.samples.setdefault((name, label), []).append(median(values))

    def copy_bytes_per_s(self) -> float:
        """Bytes read and written by a large device-to-device copy, per second of device time."""
        numpy = importlib.import_module("numpy")
        big = self.adapter.put(numpy.random.default_rng(0).random((2**28,), numpy.float32), "float32")
        copy = importlib.import_module("jax").jit(lambda x: x + 1) if self.backend == "jax" else lambda x: x.clone()
        self.adapter.block(copy(big))
        with self.profiler.trace() as found:
            for _ in range(5):
                with self.profiler.window("copy"):
                    self.adapter.block(copy(big))
        best = min(each.device_s for each in timeline.iterations(found[0]))
        return 2 * 4 * 2**28 / best

    def show(self) -> None:
        """The table."""
        rate = self.copy_bytes_per_s()
        title = f"{self.backend}, {self.problem.label}; copy {rate / 1e12:.2f} TB/s; median of {ROUNDS} rounds"
        table = Table("naive attention of", "forward ms", "of floor", "backward ms", "of floor", "saved MB")
        table.title = title
        for name, saved in self.saved.items():
            cells = []
            for label, passes in FLOOR_PASSES.items():
                seconds = median(self.samples[name, label])
                floor = passes * score_bytes(self.problem) / rate
                cells += [f"{seconds * 1e3:.3f}", f"{floor / seconds:.0%}"]
            table.add_row(name, *cells, f"{saved / 1e6:.0f}")
        Console(width=110).print(table)


def main() -> None:
    """Each framework in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="gpu")
    for option, value in (("batch", 8), ("seq-len", 4096), ("heads", 1), ("head-dim", 64)):
        parser.add_argument(f"--{option}", type=int, default=value)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--child", choices=("jax", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.child:
        for backend in ("jax", "torch"):
            subprocess.run([sys.executable, *sys.argv, "--child", backend], check=True)
        return
    problem = Problem(
        batch=options.batch,
        q_len=options.seq_len,
        kv_len=options.seq_len,
        heads=options.heads,
        kv_heads=options.heads,
        head_dim=options.head_dim,
        mask="causal",
        dtype=options.dtype,
        matmul_precision="ieee",
        seed=0,
    )
    bench = Bench(options.child, options.device, problem)
    bench.run()
    bench.show()


if __name__ == "__main__":
    main()
