// The verilated chip, its clocks, its resets and its power modes, and its waveform.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vchip.h"
#include "camera.h"
#include "microphone.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

constexpr uint64_t half_period_ns = 10;  // 50 MHz; only the time axis of waveforms sees it
constexpr int mode_periods = 4096;       // of the always-on clock, for a change of mode
// Four periods of the always-on clock have 125 of the microphone's: 32.768 kHz, 1.024 MHz.
constexpr uint32_t aon_periods = 4, audio_periods = 125;

// Rising edges since the reset.  Mirrored by `Elapsed` in audio.py.
struct Elapsed {
    uint64_t time;  // in periods of the core clock, whether it ran or not
    uint64_t core, aon, audio, pixel;
};

// Which clocks rise.
struct Edges {
    bool core, aon, audio, pixel, codec;
};

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
        set_file_ready(*top, 1);
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
        set_other_rst(1);
        all_edges();
        top->rst = 0;
        set_aon_rst(*top, 0);
        set_other_rst(0);
        all_edges();
        elapsed = {};
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
    Elapsed elapsed = {};
    uint32_t pixel_ratio = 4;  // core cycles in a period of the camera's clock
    Microphone microphone;
    Camera camera;
    std::vector<uint64_t> files;  // words, as `hdl.image.jpeg_words.file_word` has them

protected:
    bool core_runs() const { return !has_core_clock<Vchip> || core_clock_of(*top); }

    // Time goes on to the next rising edge of a clock that runs.  Every `aon_ratio` core cycles the
    // always-on clock rises, together with the core clock unless that one stands.  The
    // microphone's clock rises in the core cycle in which its edge is due, at most once in each.
    void tick() {
        const bool core = core_runs();
        const bool audio = has_audio<Vchip> && audio_clock_of(*top);
        const bool pixel = has_image<Vchip> && pixel_clock_of(*top);
        const uint32_t whole = aon_periods * aon_ratio;  // `audio_phase` of a period
        uint32_t step = 1;
        if (!core) {
            step = aon_ratio - aon_phase;
            if (audio) step = std::min(step, (whole - audio_phase - 1) / audio_periods + 1);
            if (pixel) step = std::min(step, pixel_ratio - pixel_phase);
            step = std::max(step, 1u);
        }
        Edges now = {.core = core};
        aon_phase += step;
        if (aon_phase >= aon_ratio) aon_phase = 0;
        now.aon = has_aon<Vchip> && aon_phase == 0;
        if (audio) {
            audio_phase += step * audio_periods;
            now.audio = audio_phase >= whole;
            if (now.audio) audio_phase = std::min(audio_phase - whole, whole - 1);
        }
        if (pixel) {
            pixel_phase += step;
            now.pixel = pixel_phase >= pixel_ratio;
            if (now.pixel) pixel_phase = 0;
        }
        now.codec = core && codec_clock_of(*top);
        edges(now, step);
        // The reader of files takes every word at once.
        if (now.codec && file_valid(*top)) files.push_back(file_word(*top));
    }

    // Rising edges of all clocks, whether the chip lets them run or not: for a reset.
    void all_edges() {
        aon_phase = audio_phase = pixel_phase = 0;
        edges({true, true, has_audio<Vchip>, has_image<Vchip>, true}, 1);
    }

    // In waveforms, inputs change with the falling edge before a rising one.
    void edges(const Edges& now, uint32_t step) {
#if VM_TRACE
        context.timeInc((step - 1) * 2 * half_period_ns);
        record();
#endif
        elapsed.time += step;
        elapsed.core += now.core;
        elapsed.aon += now.aon;
        elapsed.audio += now.audio;
        elapsed.pixel += now.pixel;
        if (now.audio) {
            set_i2s_data(*top, microphone.data());
            set_i2s_word_select(*top, microphone.word_select());
            microphone.step();
        }
        if (now.pixel) {
            camera.step();
            set_vsync(*top, camera.vsync());
            set_href(*top, camera.href());
            set_pixel(*top, camera.data());
        }
        set_clocks(now);
        top->eval();
#if VM_TRACE
        record();
#endif
        set_clocks({});
        top->eval();
    }

private:
    void set_clocks(const Edges& now) {
        top->clk = now.core;
        set_aon_clk(*top, now.aon);
        set_audio_clk(*top, now.audio);
        set_pixel_clk(*top, now.pixel);
        set_codec_clk(*top, now.codec);
    }

    void set_other_rst(bool reset) {
        set_audio_rst(*top, reset);
        set_pixel_rst(*top, reset);
        set_codec_rst(*top, reset);
    }

    uint32_t aon_phase = 0;    // core cycles since the always-on clock rose
    uint32_t audio_phase = 0;  // since the microphone's rose, in 1/125 of a core cycle
    uint32_t pixel_phase = 0;  // core cycles since the camera's rose

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
