"""Compiled copies of rows out of a memory map, in any order.

What is unusual: rows in random order meet neither the processor's own prefetcher nor its address cache, so a plain
copy mostly waits. Here the next row is asked for, cache line by cache line, while the current one is copied.

Compiled by numba on first use and kept on disk; importing this module imports numba. The global interpreter lock is
released.
"""

from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

LINE = 64  # bytes of a cache line
PAGE = 4096  # bytes copied before the next piece is asked for again


@intrinsic
@no_type_check
def _ask_for(typing_context: Any, array: Any, place: Any) -> Any:
    """Have the processor fetch the cache line of ``array[place]``; a hint that cannot fault."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(start, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], shape)
        builder.call(prefetch, [pointer, number(0), number(3), number(1)])  # to read, into every level, data
        return context.get_dummy_value()

    return types.void(array, place), emit


@njit(nogil=True, cache=True)
@no_type_check
def copy_pieces(source, starts, lengths, out):  # type: ignore[no-untyped-def]
    """Copy ``source[starts[i] : starts[i] + lengths[i]]`` end to end into ``out``, converted to its type."""
    line, stride = LINE // source.itemsize, PAGE // source.itemsize
    last, place = len(starts) - 1, 0
    for i in range(len(starts)):
        start, length = starts[i], lengths[i]
        following, expected = starts[min(i + 1, last)], lengths[min(i + 1, last)]
        for done in range(0, max(length, expected), stride):
            for ahead in range(following + done, following + min(done + stride, expected), line):
                _ask_for(source, ahead)
            stop = min(done + stride, length)
            if done < stop:
                out[place + done : place + stop] = source[start + done : start + stop]
        place += length


@njit(nogil=True, cache=True)
@no_type_check
def pick_from_rows(indptr, indices, data, places, columns, counted, values, totals):  # type: ignore[no-untyped-def]
    """Copy the entries at ``columns`` of each CSR row, 0 where none is stored, and sum each row over ``counted``.

    False where a row names a column that does not exist: compiled code would write to wherever that is.
    """
    whole = np.zeros(len(counted), dtype=values.dtype)
    for i in range(len(places)):
        start, stop = indptr[places[i]], indptr[places[i] + 1]
        total = 0.0
        for place in range(start, stop):
            column = indices[place]
            if column < 0 or column >= len(whole):
                return False
            whole[column] = data[place]
            if counted[column] and not np.isnan(data[place]):
                total += data[place]
        totals[i] = total
        for j in range(columns.shape[1]):
            values[i, j] = whole[columns[i, j]]
        for place in range(start, stop):
            whole[indices[place]] = 0
    return True


@njit(nogil=True, cache=True)
@no_type_check
def spread(feature_ids, values, offsets, dense):  # type: ignore[no-untyped-def]
    """Write packed rows into the rows of ``dense``, which holds their zeros already; False as above."""
    for i in range(len(offsets) - 1):
        for place in range(offsets[i], offsets[i + 1]):
            column = feature_ids[place]
            if column < 0 or column >= dense.shape[1]:
                return False
            dense[i, column] = values[place]
    return True
