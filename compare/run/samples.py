"""What the contenders of one problem have shown so far, round by round: a round counts where all of them were seen."""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Sequence

from compare.records import Contender, PassName
from compare.worker.messages import Seen, Turned

PAGE_BYTES = mmap.PAGESIZE


class Samples:
    """Wall and device samples of each contender and pass, in the order of the rounds."""

    def __init__(self) -> None:
        self.device_s: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.wall_s: dict[Contender, dict[PassName, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.last: dict[Contender, dict[PassName, Seen]] = defaultdict(dict)  # that showed a true round
        self.refused: dict[Contender, list[str]] = defaultdict(list)
        self._page_faults: dict[Contender, int] = defaultdict(int)
        self._in_vain: dict[Contender, int] = defaultdict(int)
        self.wall_rounds = 0
        self.device_rounds = 0

    def add_wall(self, rounds: Sequence[dict[tuple[Contender, PassName], Turned]]) -> None:
        """Whole rounds of wall samples."""
        for each in rounds:
            for (contender, name), turned in each.items():
                self.wall_s[contender][name] += turned.wall_s
                self._page_faults[contender] += turned.page_faults
        self.wall_rounds += len(rounds)

    def add_device(self, seen: Sequence[Seen], active: Sequence[Contender]) -> None:
        """What the profilers saw in a block of rounds; a round that is refused to one contender is lost to all."""
        whole = set.intersection(*(set(each.device_s) for each in seen)) if seen else set()
        refused = {each.contender for each in seen if each.refused}
        useless = {each.contender for each in seen if not each.device_s}
        for contender in active:
            self._in_vain[contender] = self._in_vain[contender] + 1 if contender in useless else 0
        for each in seen:
            for at in sorted(whole):
                self.device_s[each.contender][each.pass_name] += each.device_s[at]
            if each.device_s:
                self.last[each.contender][each.pass_name] = each
        for contender in refused:
            reasons = {at: why for each in seen if each.contender == contender for at, why in each.refused.items()}
            self.refused[contender] += [reasons[at] for at in sorted(reasons)]
        self.device_rounds += len(whole)

    def in_vain(self, contender: Contender) -> int:
        """Blocks in a row in which not one round of the contender could be true."""
        return self._in_vain[contender]

    def faulted_bytes(self, contender: Contender) -> float:
        """Memory that the kernel had to hand out anew in each un-profiled call."""
        calls = sum(len(samples) for samples in self.wall_s[contender].values())
        return self._page_faults[contender] * PAGE_BYTES / calls if calls else 0.0
