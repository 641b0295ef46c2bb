"""Compiler launcher that keeps Verilator's own library objects between builds.

Verilator recompiles a handful of fixed library files for every design, which takes longer than
compiling a small design itself.  Its makefiles run the compiler through ``$(OBJCACHE)``; this
launcher goes there and hands every file that is not Verilator's straight to the compiler.

``OBJCACHE_DIR`` says where the objects are kept, ``VERILATOR_ROOT`` which sources are Verilator's.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

__all__ = ["main"]


def main(command: list[str]) -> int:
    """Run the compiler's ``command``, or copy the object that an identical command made before.

    Returns the compiler's exit status.
    """
    include = Path(os.environ["VERILATOR_ROOT"]) / "include"
    source = Path(command[-1])
    if "-o" not in command or not source.is_relative_to(include):
        return subprocess.call(command)

    target = Path(command[command.index("-o") + 1])
    compiler = subprocess.run(
        [command[0], "--version"], capture_output=True, text=True, check=False
    ).stdout
    key = hashlib.sha256()
    for part in ("\0".join(command), compiler):
        key.update(part.encode() + b"\0")
    forced = [Path(b) for a, b in pairwise(command) if a == "-include"]
    for file in (source, include / "verilated_config.h", *forced):  # the second holds the version
        key.update(file.read_bytes())
    cached = Path(os.environ["OBJCACHE_DIR"]) / key.hexdigest()[:16] / target.name

    if not cached.exists():
        status = subprocess.call(command)
        if status != 0:
            return status
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(target, partial)
        partial.replace(cached)  # atomic: parallel builds never see half an object
        return 0
    shutil.copyfile(cached, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
