"""What else keeps this machine busy now, before anything of this program runs: for the doctor.

By the same rules as the warnings of a run (compare.findings.conditions).
"""

from __future__ import annotations

from statistics import median
from time import sleep

from compare.findings import conditions
from compare.findings.conditions import Gpu
from compare.records import Conditions
from compare.worker.messages import Finding

LOOKS, LOOK_S = 8, 0.25
CHECK = "other load"


def of_cpus() -> Finding:
    """CPU time that other processes and other machines took meanwhile."""
    before = conditions.ticks(())
    sleep(LOOKS * LOOK_S)
    others, stolen = conditions.shares(before, conditions.ticks(()))
    if others is None:
        return Finding(check=CHECK, result="not applicable", text="this system does not say how busy its CPUs are")
    busy = others > conditions.BUSY
    notices = conditions.notices(Conditions(others_share=others, stolen_share=stolen, busy=busy))
    if not notices:
        return Finding(check=CHECK, result="pass", text=f"other processes use {others:.0%} of the CPUs")
    withheld = " (a run would withhold its verdicts)" if busy else ""
    return Finding(check=CHECK, result="busy", text="; ".join(each.text for each in notices) + withheld)


def of_gpu() -> Finding:
    """Whether others use the GPU that workers would see."""
    gpu, known = Gpu(), []
    for _ in range(LOOKS):
        sleep(LOOK_S)
        known += [use for use in (gpu.use(),) if use]
    if not known:
        return Finding(check=CHECK, result="not applicable", text="NVML does not tell; nvidia-ml-py asks it")
    share, last = median(each.busy_share for each in known), known[-1]
    text = f"busy {share:.0%} of the time; {last.processes} other processes hold {last.held_bytes / 1e9:.1f} GB of it"
    if share > conditions.OTHERS or last.processes:
        return Finding(check=CHECK, result="busy", text=f"{text}; end them and rerun")
    return Finding(check=CHECK, result="pass", text=text)
