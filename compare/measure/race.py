"""One problem: prepare its contenders one after the other, sample them in turns, verify their numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from compare.machine import environment
from compare.machine.memory import PROBE_FROM_BYTES, can_measure
from compare.measure import verification
from compare.measure.sampling import Again, Fail, Sampling
from compare.measure.traces import Album
from compare.measure.workers import Fleet, unexpected
from compare.schema.records import Agreement, Case, Contender, Measurement, Notice, Problem, Row, Settings, Skip
from compare.worker.protocol import (
    Failed,
    Prepare,
    Prepared,
    Recompile,
    Recompiled,
    Repeat,
    Repeated,
    Resident,
    Residents,
    Stream,
    Streamed,
    Unsupported,
)

VERIFY_SHARE = 0.5  # of the sampling budget; beyond it the oracle checks drawn slices only
WARMUP_SHARE = 0.25


class Race:
    """The contenders of one problem side by side.

    ``warm_costs``: measure startup costs with warm compile caches too.  ``album``: where to keep traces.
    """

    warm_costs = False
    album: Album | None = None

    def __init__(
        self, fleet: Fleet, settings: Settings, problem: Problem, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._fleet, self._settings, self._problem, self._folder = fleet, settings, problem, folder
        self._say = say

    def run(self, contenders: Sequence[Contender], fail: Fail) -> Iterator[Row]:
        """The rows; a contender that fails is passed to ``fail`` at once and has none."""
        folders = {contender: self._numbers_folder(at) for at, contender in enumerate(contenders)}
        skipped: list[Skip] = []
        ready = self._prepare(folders, skipped, fail)
        yield from skipped
        residents = {each: self._resident(each, ready[each]) for each in ready}
        sampling = Sampling(self._fleet, self._settings, self._problem, ready, self._say)
        failed = sampling.run(self._prepare_again(folders), fail)
        measured = [each for each in ready if each not in failed]
        measured = [each for each in measured if self._repeat(each, folders[each], fail)]
        rows = {each: self._with_streams(sampling.measurement(each, residents[each])) for each in measured}
        if self.album:
            rows = {each: self._with_trace(row, self.album) for each, row in rows.items()}
        if self.warm_costs:
            rows = {each: self._with_warm_costs(row) for each, row in rows.items()}
        verdicts, warning = self._verify({each: folders[each] for each in measured})
        for contender, row in rows.items():
            notices = warning + verification.rounding(verdicts.get(contender))
            yield replace(row, agreement=verdicts.get(contender), warnings=row.warnings + notices)
        for folder in folders.values():
            shutil.rmtree(folder)

    def _numbers_folder(self, at: int) -> Path:
        folder = self._folder / f"numbers-{at}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _prepare(self, folders: dict[Contender, Path], skipped: list[Skip], fail: Fail) -> dict[Contender, Prepared]:
        """Prepare all; when one crashes its worker, prepare those that shared it again in a fresh worker."""
        ready: dict[Contender, Prepared] = {}
        waiting = list(folders)
        while waiting:
            contender = waiting.pop(0)
            reply = self._ask_prepare(contender, folders[contender])
            if isinstance(reply, Prepared):
                ready[contender] = reply
            elif isinstance(reply, Unsupported):
                skipped.append(Skip(problem=self._problem, contender=contender, reason=reply.reason))
            else:
                fail(contender, reply)
                lost = [other for other in ready if not self._fleet.alive(other)]
                for other in lost:
                    del ready[other]
                if lost:
                    self._say(f"{contender.name}: worker crashed; restarting {named(lost)}")
                waiting = lost + waiting
        return {contender: ready[contender] for contender in folders if contender in ready}

    def _ask_prepare(self, contender: Contender, folder: Path) -> Prepared | Unsupported | Failed:
        self._say(f"{contender.name}: first calls and warm-up")
        request = Prepare(
            case=self._case(contender),
            passes=self._settings.passes,
            folder=str(folder),
            warmup_budget_s=self._settings.budget_s * WARMUP_SHARE,
        )
        reply = self._fleet.ask(contender, request)
        return reply if isinstance(reply, Prepared | Unsupported | Failed) else unexpected(reply)

    def _case(self, contender: Contender) -> Case:
        return Case(problem=self._problem, contender=contender)

    def _prepare_again(self, folders: dict[Contender, Path]) -> Again:
        return lambda contender: self._ask_prepare(contender, folders[contender])

    def _repeat(self, contender: Contender, folder: Path, fail: Fail) -> bool:
        """Write the numbers once more after the last sample: the timed program must be the verified one."""
        reply = self._fleet.ask(contender, Repeat(contender=contender, folder=str(folder)))
        if not isinstance(reply, Repeated):
            fail(contender, reply if isinstance(reply, Failed) else unexpected(reply))
        return isinstance(reply, Repeated)

    def _with_streams(self, row: Measurement) -> Measurement:
        """Time streams of calls, with ``--dispatch``."""
        if not self._settings.dispatch:
            return row
        self._say(f"{row.contender.name}: timing streams of calls")
        reply = self._fleet.ask(row.contender, Stream(contender=row.contender, passes=self._settings.passes))
        if isinstance(reply, Streamed):
            return replace(row, streams=reply.call_s)
        return _noted(row, "no-streams", reply)

    def _with_trace(self, row: Measurement, album: Album) -> Measurement:
        """Record a trace; without one the row has a warning."""
        self._say(f"{row.contender.name}: recording a trace")
        reason = album.add(row, partial(self._fleet.ask, row.contender))
        if not reason:
            return row
        return replace(row, warnings=(*row.warnings, Notice(code="no-trace", names=(reason,))))

    def _with_warm_costs(self, row: Measurement) -> Measurement:
        """Measure startup costs with warm compile caches; the contender is no longer prepared afterwards."""
        self._say(f"{row.contender.name}: startup cost with warm compile caches")
        request = Recompile(case=self._case(row.contender), passes=self._settings.passes)
        reply = self._fleet.ask(row.contender, request)
        if isinstance(reply, Recompiled):
            return replace(row, warm_costs=reply.costs)
        return _noted(row, "no-warm-costs", reply)

    def _verify(self, folders: dict[Contender, Path]) -> tuple[dict[Contender, Agreement], tuple[Notice, ...]]:
        if not folders:
            return {}, ()
        self._say("verifying numbers with the float64 oracle")
        budget_s = self._settings.budget_s * len(folders) * VERIFY_SHARE
        try:
            log = self._folder / "verification.log"
            agreements = verification.agreements(self._problem, self._settings, folders, log, budget_s)
            return agreements, verification.unchecked(self._problem, self._settings.passes, len(folders))
        except verification.VerificationFailed as error:
            return {}, (Notice(code="not-judged", names=(str(error),)),)

    def _resident(self, contender: Contender, ready: Prepared) -> Residents | None:
        """Growth of resident memory in a fresh process, where a buffer assignment replaces allocation events."""
        assigned = [memory.buffer_bytes for memory in ready.memory.values() if memory.buffer_bytes is not None]
        on_cpu = self._settings.device == "cpu" and can_measure() and self._problem.devices == 1  # or it holds several
        if not on_cpu or not assigned or max(assigned) < PROBE_FROM_BYTES:
            return None
        self._say(f"{contender.name}: measuring resident memory in a fresh process")
        request = Resident(case=self._case(contender), passes=self._settings.passes)
        reply = self._fleet.ask_fresh(contender, request, environment.GIVE_BACK)
        return reply if isinstance(reply, Residents) else None


def named(contenders: Iterable[Contender]) -> str:
    """Their names."""
    return ", ".join(each.name for each in contenders)


def _noted(row: Measurement, code: str, reply: object) -> Measurement:
    reason = reply.reason if isinstance(reply, Failed | Unsupported) else f"unexpected answer {type(reply).__name__}"
    return replace(row, warnings=(*row.warnings, Notice(code=code, names=(reason,))))
