"""XLA's buffer assignment -> which slices of its plan each op writes, and which ops read them.

The numbers of the fields are those of xla/service/hlo.proto and buffer_assignment.proto (openxla/xla).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from compare.backends import Buffer
from jax_attn.wire import Fields, fields, number, numbers, text, texts

COMPUTATIONS, ENTRY = 3, 6  # of a module
INSTRUCTIONS, COMPUTATION, ROOT = 2, 5, 6  # of a computation
NAME, OPCODE, INSTRUCTION, OPERANDS = 1, 2, 35, 36  # of an instruction
LOGICAL_BUFFERS, ALLOCATIONS = 1, 3  # of a buffer assignment
LOGICAL, DEFINED_AT, DEFINED_BY = 1, 3, 4  # of a logical buffer, and within its DEFINED_AT
INDEX, THREAD_LOCAL, PARAMETER, ASSIGNED, CONSTANT = 1, 3, 5, 9, 12  # of an allocation
OFFSET, SIZE = 2, 3  # of each logical buffer ASSIGNED to it
ALIASES = ("bitcast", "get-tuple-element", "tuple", "opt-barrier")  # other names for their operands, and no work


class Instruction(NamedTuple):
    """An instruction of the entry computation: its name, what it does, who takes its result."""

    name: str
    opcode: str
    users: list[int]


def of(executable: Any) -> tuple[Buffer, ...]:
    """The buffers of a compiled program but its parameters and constants.

    Raises NotImplementedError where the plan does not tell when they are in use.
    """
    if len(executable.local_devices()) > 1:
        raise NotImplementedError("the devices that one process simulates cannot be told apart in its profile")
    assignment = getattr(executable.get_compiled_memory_stats(), "serialized_buffer_assignment_proto", b"")
    if not assignment:
        raise NotImplementedError("this release of jaxlib does not hand its buffer assignment out")
    return planned(fields(assignment), fields(executable.hlo_modules()[0].as_serialized_hlo_module_proto()))


def planned(assignment: Fields, module: Fields) -> tuple[Buffer, ...]:
    """The buffers of a program without loops, but its parameters and constants.  Raises NotImplementedError."""
    computations = [fields(each) for each in texts(module, COMPUTATIONS)]
    entry = next(each for each in computations if number(each, COMPUTATION) == number(module, ENTRY))
    instructions, root = entry_instructions(entry), number(entry, ROOT)
    logical = [fields(each) for each in texts(assignment, LOGICAL_BUFFERS)]
    writers = {number(each, LOGICAL): defined_by(each) for each in logical}
    found = []
    for block in (fields(each) for each in texts(assignment, ALLOCATIONS)):
        if any(number(block, kind) for kind in (THREAD_LOCAL, PARAMETER, CONSTANT)):
            continue
        for part in (fields(each) for each in texts(block, ASSIGNED)):
            writer = writers[number(part, LOGICAL)]
            if writer not in instructions:
                raise NotImplementedError("the plan does not tell when a buffer inside a loop or a call is in use")
            if instructions[writer].opcode not in ALIASES:
                start, end = number(part, OFFSET), number(part, OFFSET) + number(part, SIZE)
                readers, result = uses(writer, instructions, root)
                found.append(Buffer(number(block, INDEX), start, end, instructions[writer].name, readers, result))
    return tuple(found)


def entry_instructions(entry: Fields) -> dict[int, Instruction]:
    """The instructions of the entry computation by their numbers."""
    parts = [fields(each) for each in texts(entry, INSTRUCTIONS)]
    found = {number(each, INSTRUCTION): Instruction(text(each, NAME), text(each, OPCODE), []) for each in parts}
    for each in parts:
        for operand in numbers(each, OPERANDS):
            found[operand].users.append(number(each, INSTRUCTION))
    return found


def uses(writer: int, instructions: dict[int, Instruction], root: int) -> tuple[tuple[str, ...], bool]:
    """The ops that read what an instruction writes, by whatever name, and whether it is a result of the program."""
    readers: dict[str, None] = {}
    result, names = False, [writer]
    while names:
        at = names.pop()
        result = result or at == root
        for user in instructions[at].users:
            if instructions[user].opcode in ALIASES:
                names.append(user)
            else:
                readers[instructions[user].name] = None
    return tuple(readers), result


def defined_by(logical_buffer: Fields) -> int:
    """The number of the instruction that writes a logical buffer."""
    return number(fields(texts(logical_buffer, DEFINED_AT)[0]), DEFINED_BY)
