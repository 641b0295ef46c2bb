// Around every call of a harness: whatever stops the design becomes a status and a message, and
// never ends the process.  Included once in each library.
//
// `Harness` has a `VerilatedContext context` and a `std::string message`.

#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "output.h"
#include "verilated.h"

// Mirrored in binding.py.
enum Status : int { OK = 0, RUNNING = 1, STOPPED = 2, ERROR_PORT = 3, SILENT = 4 };

static thread_local std::string guard_output;  // what the design printed since the call began

// Runs `body` on `harness`; OK if it returns nothing.
template <typename Harness, typename Body>
int guarded(Harness* harness, Body body) {
    Verilated::threadContextp(&harness->context);
    guard_output.clear();
    int status = STOPPED;
    try {
        if constexpr (std::is_void_v<decltype(body())>) body(), status = OK;
        else status = body();
        if (harness->context.gotFinish()) status = STOPPED;
    } catch (const std::exception& error) {
        guard_output += error.what();
    }
    harness->message = guard_output;
    return status;
}

// Replaces Verilator's own, which ends the process (VL_USER_FATAL).
void vl_fatal(const char*, int, const char*, const char* message) {
    throw std::runtime_error(message);
}

extern "C" int harness_printf(const char* format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    guard_output += text;
    return length;
}
