"""Optimised HLO as text -> which operations each op of a trace holds."""

from __future__ import annotations

import re
from typing import NamedTuple

INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
OPERATION = re.compile(r"(?:^|\s)([a-z][a-z0-9\-]*)\(")
CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
TARGET = re.compile(r'custom_call_target="([^"]*)"')
HEADING = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
HOLDERS = ("fusion", "call", "async-start", "fusion-start")  # what they hold is what they do
NOTHING = ("parameter", "constant", "bitcast", "tuple", "get-tuple-element")
PRODUCT = "dot"


class Instruction(NamedTuple):
    """One line of a computation: its name, what it does, and the computation that it calls, if any."""

    name: str
    operation: str
    called: str | None


def contents(text: str) -> dict[str, tuple[str, ...]]:
    """Operations inside each instruction that a trace can show; products as often as they occur, the rest once."""
    computations = _computations(text)
    inner = {
        each.called for lines in computations.values() for each in lines if each.called and each.operation != "call"
    }
    return {
        each.name: _once(_operations(each, computations))
        for name, lines in computations.items()
        if name not in inner
        for each in lines
        if each.operation not in NOTHING
    }


def _computations(text: str) -> dict[str, list[Instruction]]:
    """The lines of each computation of a module."""
    found: dict[str, list[Instruction]] = {}
    lines: list[Instruction] = []
    for line in text.splitlines():
        if heading := HEADING.match(line):
            lines = found.setdefault(heading[1], [])
        elif instruction := INSTRUCTION.match(line):
            lines += _instruction(*instruction.groups())
    return found


def _instruction(name: str, rest: str) -> list[Instruction]:
    """The instruction of a line, a library's call under what it calls; nothing where the line is none."""
    operation, called, target = OPERATION.search(rest), CALLED.search(rest), TARGET.search(rest)
    if operation is None:
        return []
    word = target[1] if target and operation[1] == "custom-call" else operation[1]
    return [Instruction(name, word, called[1] if called else None)]


def _operations(each: Instruction, computations: dict[str, list[Instruction]]) -> list[str]:
    """What an instruction does: for a fusion or a call, what stands in its computation, to any depth."""
    if each.operation not in HOLDERS or each.called not in computations:
        return [each.operation]
    return [word for part in computations[each.called] for word in _operations(part, computations)]


def _once(operations: list[str]) -> tuple[str, ...]:
    """In the order of first appearance; only products more than once."""
    kept = [each for each in operations if each not in NOTHING]
    return tuple(each for at, each in enumerate(kept) if each == PRODUCT or each not in kept[:at])
