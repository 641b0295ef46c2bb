// What the design prints, assertions above all, goes to the caller instead of the terminal.
// Included before every other line of Verilator's library; see VL_PRINTF in build.py.
#pragma once

extern "C" int harness_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
