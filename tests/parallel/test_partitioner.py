"""Programs over several devices are not given to Shardy, which crashes on some of them on GPUs (jaxlib 0.11.2)."""

from __future__ import annotations

import os
import subprocess
import sys

LOWERED = """
import jax, jax.numpy as jnp
from jax_attn import sequence
from jax_attn.variants.ring import attention
sequence.use(jax.devices())
x = jnp.zeros((1, 8, 2, 8))
print(jax.jit(attention).lower(x, x, x).as_text())
"""


def test_a_ring_is_lowered_for_the_older_partitioner() -> None:
    simulated = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", LOWERED]
    text = subprocess.run(command, env=os.environ | simulated, capture_output=True, text=True, check=True).stdout
    assert "collective_permute" in text
    assert "sdy." not in text
