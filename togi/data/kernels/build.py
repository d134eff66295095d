"""Compile every kernel for this machine into one object file.

`python -m togi.data.kernels.build FILE` runs in a child process, so that numba and LLVM's
optimiser never weigh on the process that works.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba import cfunc, types

from togi.data.kernels.table import KERNELS

NUMBERS = {
    "u8": types.uint8,
    "u16": types.uint16,
    "u32": types.uint32,
    "u64": types.uint64,
    "i32": types.int32,
    "i64": types.int64,
    "f64": types.float64,
}
# numba's C entry can print an exception; kernels raise none, so what only that path needs stops.
STOP = "declare void @llvm.trap()\n"
STOPPED = "define void @{name}() {{ call void @llvm.trap() unreachable }}\n"
ABSENT = "@{name} = global i8 0\n"


def _type(name: str) -> Any:
    number = NUMBERS[name.rstrip("*")]
    return types.CPointer(number) if name.endswith("*") else number


def _module(name: str) -> llvm.ModuleRef:
    """One kernel as optimised LLVM IR, with a C function of the kernel's name."""
    module, function, signature = KERNELS[name]
    returned, *arguments = map(_type, signature.split())
    source = getattr(importlib.import_module(f"togi.data.kernels.{module}"), function)
    compiled = cfunc(returned(*arguments), error_model="numpy", nogil=True)(source)
    text = compiled.inspect_llvm().replace(compiled.native_name, f"togi_{name}")
    return llvm.parse_assembly(text)


def _error_paths(module: llvm.ModuleRef) -> llvm.ModuleRef:
    """Definitions for the names of Python and numba that the module refers to but never reaches."""
    foreign = ("Py", "numba_", "NRT_")
    functions = {f.name for f in module.functions if f.is_declaration}
    variables = {v.name for v in module.global_variables if v.is_declaration}
    text = "".join(
        STOPPED.format(name=name) for name in sorted(functions) if name.startswith(foreign)
    )
    text += "".join(
        ABSENT.format(name=name) for name in sorted(variables) if name.startswith(foreign)
    )
    return llvm.parse_assembly(STOP + text)


def object_code() -> bytes:
    """Return the object file of all kernels for the processor that runs this."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    whole = llvm.parse_assembly("")
    for name in KERNELS:
        whole.link_in(_module(name))
    whole.link_in(_error_paths(whole))
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )
    return machine.emit_object(whole)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(object_code())
