"""The sweep of a recurrence whose step is a program of arrays: blocks of batch rows, each through all steps,
on up to two threads.
"""

from __future__ import annotations

from math import prod

import numpy as np

from msgpass.kernels.finite import all_finite
from msgpass.kernels.runtime import aligned_zeros, recycled_empty, run_pair
from msgpass.plan import Recurrence
from msgpass.sweeps.array_step import ArrayStep
from msgpass.sweeps.local import check_states
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import edge_value, read
from msgpass.sweeps.traced_messages import tell
from msgpass.sweeps.traced_step import windowed


class Places:
    """Arrays end to end in one."""

    def __init__(self) -> None:
        self.starts: dict[object, int] = {}
        self.sizes: dict[object, int] = {}
        self.end = 0

    def add(self, key, size: int) -> int:
        """Room for an array."""
        self.starts[key], self.sizes[key] = self.end, size
        self.end += size
        return self.starts[key]

    def of(self, data: np.ndarray, key) -> np.ndarray:
        """The array."""
        return data[self.starts[key] : self.starts[key] + self.sizes[key]]


class ArraySweep:
    """Forward and backward over all steps."""

    resumes = True
    """The backward sweep needs values alone."""

    def __init__(self, step: ArrayStep, block: Recurrence, values):
        self.step, self.block, self.values, self.family = step, block, values, block.families[0]
        self.dtype = np.dtype(Sweep(block, values).dtype)
        self.outs = [o.name for o in self.family.outs]

    # -- arrays ------------------------------------------------------------------------------------------

    def given(self, places: Places) -> tuple[list[list[int]], list[tuple[object, np.ndarray]]]:
        """Transfers of the inputs into memory without their place there, and arrays by key."""
        from msgpass.kernels import lane_machine as machine

        moves: list[list[int]] = []
        arrays: list[tuple[object, np.ndarray]] = []
        for name in self.outs:
            places.add(("H", name), self.values[name].size)
        for k, (arg, given) in enumerate(zip(self.family.args, self.step.inputs, strict=True)):
            if given.kind == "state":
                edge = -1
                if given.edge:
                    told = edge_value(self.family, arg, self.values)
                    told = np.broadcast_to(told, (len(self.step.sequences), *told.shape[1:]))
                    edge = places.add(("E", k), told.size)
                    arrays.append((("E", k), told))
                start = places.starts["H", arg.name]
                moves.append([machine.STATE, k, start, given.size, 1, given.shift, edge, 0])
                continue
            value = read(self.family, arg, self.values)
            start = places.add(("X", k), np.size(value))
            arrays.append((("X", k), value))
            kind = machine.ROWS if given.kind == "rows" else machine.SHARED
            moves.append([kind, k, start, given.size, int(given.laned), 0, -1, 0])
        return moves, arrays

    def memory(self, lowering) -> np.ndarray:
        """Work memory with what is shared in it."""
        from msgpass.kernels.lane_program import shared_values

        layout = lowering.layout
        memory = aligned_zeros(layout.size, self.dtype)
        given = {
            k: read(self.family, a, self.values)
            for k, a in enumerate(self.family.args)
            if layout.kinds[k] == "shared"
        }
        values = shared_values(layout.program, given, self.dtype)
        for buffer, node, laned in layout.spread:
            value = values[node.number][0] if laned else values[node.number]
            memory[buffer.offset : buffer.offset + buffer.size] = np.repeat(
                np.reshape(value, -1), layout.lanes
            )
        for buffer, node, axes in layout.matrices:
            flat = np.transpose(values[node.number], axes).reshape(-1)
            memory[buffer.offset : buffer.offset + flat.size] = flat
        return memory

    def sweep(self, lowering, loads, stores, data, sequences, downward: bool, apart=()) -> list[np.ndarray]:
        """All blocks, in two halves; stores number ``apart`` go to places of their own in the second. Returns
        the memory of each."""
        from msgpass.kernels.lane_machine import run_blocks

        rows, lanes = self.step.rows, lowering.lanes
        blocks = -(-rows // lanes)
        code, tables = lowering.code, lowering.tables
        loads = np.array(loads, np.int64).reshape(-1, 8)
        first = np.array(stores, np.int64).reshape(-1, 8)
        second = first.copy()
        for at, place in apart:
            second[at, 2] = place
        memory = self.memory(lowering)
        common = data, sequences, rows
        if blocks == 1:
            run_blocks(code, tables, memory, loads, first, *common, 0, 1, lanes, downward)
            return [memory]
        other, half = _copied(memory), (blocks + 1) // 2
        run_pair(
            run_blocks,
            (code, tables, memory, loads, first, *common, 0, half, lanes, downward),
            run_blocks,
            (code, tables, other, loads, second, *common, half, blocks, lanes, downward),
        )
        return [memory, other]

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """All states."""
        from msgpass.kernels import lane_machine as machine

        values, family, step = self.values, self.family, self.step
        for out in family.outs:
            if out.name not in values:
                node = out.slice.node
                values[out.name] = np.empty((node.clock.total, *node.shape), self.dtype)
        lowering, _ = step.layouts(self.dtype)
        places = Places()
        moves, arrays = self.given(places)
        data = recycled_empty(places.end, self.dtype)
        for name in self.outs:
            places.of(data, ("H", name))[...] = values[name].reshape(-1)
        for key, array in arrays:
            places.of(data, key)[...] = np.reshape(array, -1)
        stores = []
        for k, (name, row) in enumerate(zip(self.outs, step.outputs, strict=True)):
            source = lowering.layout.outputs[k].offset
            stores.append([machine.OUTPUT, source, places.starts["H", name], row.size, 1, row.shift, -1, 0])
        loads = in_memory(moves, lowering)
        self.sweep(lowering, loads, stores, data, step.sequences, step.reverse)
        for name in self.outs:
            values[name][...] = places.of(data, ("H", name)).reshape(values[name].shape)
        if not all(all_finite(values[name]) for name in self.outs):
            check_states(self.block, values)

    def tangent(self, tangents) -> None:
        """Tangents of the states, step by step."""
        Sweep(self.block, self.values).tangent(tangents)

    # -- backward ----------------------------------------------------------------------------------------

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Cotangents from the local ones already in ``store``, of a window of steps or of all."""
        from msgpass.kernels import lane_machine as machine
        from msgpass.kernels.lane_program import finished

        values, family, step = self.values, self.family, self.step
        sequences = step.sequences if window is None else windowed(step.sequences, window, family.first)
        _, lowering = step.layouts(self.dtype)
        places = Places()
        moves, arrays = self.given(places)
        for name in self.outs:
            places.add(("C", name), values[name].size)
        zeros = places.end
        for name in self.outs:
            places.add(("L", name), values[name].size)
        count, apart, stores = len(step.inputs), [], []
        outputs = dict(zip(sorted(step.wanted), range(len(step.wanted)), strict=True))
        for k, (arg, given) in enumerate(zip(family.args, step.inputs, strict=True)):
            if k not in outputs:
                continue
            found = lowering.layout.outputs[outputs[k]]
            if given.kind == "state":
                edge = places.add(("F", k), len(step.sequences) * given.size) if given.edge else -1
                target = places.starts["L", arg.name]
                stores.append([machine.STATE, found.offset, target, given.size, 1, given.shift, edge, 0])
            elif given.kind == "rows" or given.laned:
                size = given.size * (family.factor.n if given.kind == "rows" else 1)
                target = places.add(("G", k), size)
                if found is None:
                    continue
                kind = machine.ROWS if given.kind == "rows" else machine.SHARED
                if not given.laned:
                    apart.append((len(stores), places.add(("second", k), size)))
                stores.append([kind, found.offset, target, given.size, int(given.laned), 0, -1, 0])
        data = recycled_empty(places.end, self.dtype)
        for name in self.outs:
            places.of(data, ("H", name))[...] = values[name].reshape(-1)
            places.of(data, ("C", name))[...] = store.peek(name).reshape(-1) if store.has(name) else 0.0
        for key, array in arrays:
            places.of(data, key)[...] = np.reshape(array, -1)
        data[zeros:] = 0
        for k, (name, row) in enumerate(zip(self.outs, step.outputs, strict=True)):
            start, carried = places.starts["C", name], places.starts["L", name]
            moves.append([machine.COTANGENT, count + k, start, row.size, 1, row.shift, -1, carried])
        loads = in_memory(moves, lowering)
        memories = self.sweep(lowering, loads, stores, data, sequences, not step.reverse, apart)
        for name in self.outs:
            message = places.of(data, ("L", name)).reshape(values[name].shape)
            for whose in (store, later):
                whose.add(name, message.astype(values[name].dtype))
        for k, given in enumerate(step.inputs):
            heard = None
            if ("F", k) in places.starts:
                heard = places.of(data, ("F", k)).copy()
            elif ("G", k) in places.starts:
                heard = places.of(data, ("G", k)).copy()
                if ("second", k) in places.starts:
                    heard += places.of(data, ("second", k))
            elif given.kind == "shared" and k in outputs:
                heard = np.zeros(given.size, self.dtype)
                for total in lowering.layout.totals:
                    if total.output == outputs[k]:
                        for memory in memories:
                            heard += np.reshape(finished(total, memory, lowering.lanes), -1)
            tell(step, self.block, values, k, heard, store, later, chosen)


def in_memory(moves, lowering) -> list[list[int]]:
    """Transfers with their places in memory, without those of inputs that nothing reads."""
    found = []
    for kind, k, *rest in moves:
        buffer = lowering.layout.inputs.get(k)
        if buffer is not None:
            found.append([kind, buffer.offset, *rest])
    return found


def _copied(memory: np.ndarray) -> np.ndarray:
    made = aligned_zeros(prod(memory.shape), memory.dtype)
    made[...] = memory
    return made
