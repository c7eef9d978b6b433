"""Plain NumPy functions traced into straight-line programs, differentiated in reverse and compiled.

A function is called once on arrays of symbols (`trace`), through NumPy's dispatch protocols. The program has
one node an operation on a number, so that indexing and stacking cost nothing; its VJP is a program, too. What
is compiled works on locals alone.
"""

from msgpass.tracing.function import CompiledFunction, compile_function, flat
from msgpass.tracing.program import Program, trace

__all__ = ["CompiledFunction", "Program", "compile_function", "flat", "trace"]
