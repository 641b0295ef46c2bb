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

#include "output.h"
#include "verilated.h"

enum GuardStatus : int { GUARD_OK = 0, GUARD_STOPPED = 1 };

static thread_local std::string guard_output;  // what the design printed since the call began

// Runs `body` on `harness`.
template <typename Harness, typename Body>
int guarded(Harness* harness, Body body) {
    Verilated::threadContextp(&harness->context);
    guard_output.clear();
    int status = GUARD_OK;
    try {
        body();
        if (harness->context.gotFinish()) status = GUARD_STOPPED;
    } catch (const std::exception& error) {
        guard_output += error.what();
        status = GUARD_STOPPED;
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
