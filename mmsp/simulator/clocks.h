// The verilated chip, its two clocks, its resets and its power modes, and its waveform.

#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "Vchip.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

constexpr uint64_t half_period_ns = 10;  // 50 MHz; only the time axis of waveforms sees it
constexpr int mode_periods = 4096;       // of the always-on clock, for a change of mode

class Clocks {
public:
    explicit Clocks(const char* waves) {
        context.fatalOnError(false);  // a failed assertion sets gotFinish and does not exit
        Verilated::threadContextp(&context);
#if VM_TRACE
        if (waves) {
            context.traceEverOn(true);
            context.timeunit(-9);
            context.timeprecision(-9);
            trace = std::make_unique<VerilatedFstC>();
        }
#endif
        top = std::make_unique<Vchip>(&context);
#if VM_TRACE
        if (waves) {
            top->trace(trace.get(), 99);
            trace->open(waves);
            if (!trace->isOpen()) throw std::runtime_error("cannot write the waveform");
        }
#else
        (void)waves;
#endif
        top->clk = 0;
        top->eval();
    }

    ~Clocks() {
        Verilated::threadContextp(&context);
#if VM_TRACE
        if (trace) trace->close();
#endif
        top->final();
    }

    void reset() {
        top->start = 0;
        top->rst = 1;
        set_aon_rst(*top, 1);
        both_edges();
        top->rst = 0;
        set_aon_rst(*top, 0);
        both_edges();
    }

    // Ask for a power mode, and let time pass until it is reached.
    void enter(uint32_t mode) {
        request_mode(*top, mode);
        if constexpr (!has_modes<Vchip>) return;
        for (int i = 0; i < mode_periods && !context.gotFinish(); ++i) {
            if (mode_ready_of(*top) && mode_of(*top) == mode) return;
            wait(1);
        }
        throw std::runtime_error("mode " + std::to_string(mode) + " was not reached in " +
                                 std::to_string(mode_periods) +
                                 " periods of the always-on clock; the chip is in mode " +
                                 std::to_string(mode_of(*top)));
    }

    // Let `periods` periods of the always-on clock pass.
    void wait(uint32_t periods) {
        for (uint32_t i = 0; i < periods && !context.gotFinish(); ++i)
            do tick();
            while (aon_phase != 0 && !context.gotFinish());
    }

    VerilatedContext context;
    std::unique_ptr<Vchip> top;
    uint32_t aon_ratio = 1;  // core cycles in a period of the always-on clock

protected:
    bool core_runs() const { return !has_core_clock<Vchip> || core_clock_of(*top); }

    // Time goes on to the next rising edge of a clock that runs.  Every `aon_ratio` core cycles the
    // always-on clock rises, together with the core clock unless that one stands.
    void tick() {
        const bool core = core_runs();
        aon_phase = core ? aon_phase + 1 : aon_ratio;
        if (aon_phase >= aon_ratio) aon_phase = 0;
        edges(core, has_aon<Vchip> && aon_phase == 0);
    }

    // Rising edges of both clocks, whether the chip lets them run or not: for a reset.
    void both_edges() {
        aon_phase = 0;
        edges(true, true);
    }

    // In waveforms, inputs change with the falling edge before a rising one.
    void edges(bool core, bool aon) {
#if VM_TRACE
        if (!core) context.timeInc((aon_ratio - 1) * 2 * half_period_ns);
        record();
#endif
        if (core) top->clk = 1;
        if (aon) set_aon_clk(*top, 1);
        top->eval();
#if VM_TRACE
        record();
#endif
        top->clk = 0;
        set_aon_clk(*top, 0);
        top->eval();
    }

private:
    uint32_t aon_phase = 0;  // core cycles since the always-on clock rose

#if VM_TRACE
    void record() {
        if (!trace) return;
        top->eval();
        trace->dump(context.time());
        context.timeInc(half_period_ns);
    }

    std::unique_ptr<VerilatedFstC> trace;
#endif
};
