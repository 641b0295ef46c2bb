// Drives the verilated image block: registers, and whole sequences of frames by the camera's pins,
// with no Python per clock.
//
// Inputs change while the clock is low, so that outputs are seen as they are in the clock that the
// next rising edge ends.  Functions return a GuardStatus; `harness_message` explains it.

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../simulator/guard.h"
#include "../simulator/ports.h"
#include "Vchip.h"

namespace {

constexpr int receiver_clocks = 4;           // from the pins to the end of a frame
constexpr int settled_clocks = 64;           // idle for so long: nothing comes any more
constexpr uint64_t patience = 1'000'000;     // clocks after which it never becomes idle
constexpr uint32_t vsync_bit = 12, href_bit = 13;  // of a clock's pins, above the pixel

// A stream of pixels: whole frames, and what came of those that were taken back.
struct Pixels {
    std::vector<uint32_t> whole, part;
    uint64_t frames = 0, aborted = 0;

    void look(bool valid, uint32_t payload, uint32_t last, bool abort) {
        if (abort) {
            if (valid) throw std::runtime_error("a pixel with an abort");
            aborted += !part.empty();
            part.clear();
        }
        if (!valid) return;
        part.push_back(payload);
        if ((payload & last) != last) return;
        whole.insert(whole.end(), part.begin(), part.end());
        part.clear();
        ++frames;
    }

    void clear() { *this = {}; }
};

// Values of a port, each time it is new.
struct Records {
    std::vector<uint8_t> bytes;

    template <typename Port>
    void push(const Port& port) {
        bytes.resize(bytes.size() + sizeof port);
        get_bytes(port, bytes.data() + bytes.size() - sizeof port);
    }
};

class Harness {
public:
    Harness() {
        context.fatalOnError(false);  // a failed assertion sets gotFinish and does not exit
        Verilated::threadContextp(&context);
        top = std::make_unique<Vchip>(&context);
        top->clk = 0;
        top->rst = 1;
        tick();
        top->rst = 0;
        tick();
    }

    ~Harness() {
        Verilated::threadContextp(&context);
        top->final();
    }

    // The receiver goes off, and what is on its way leaves, before registers change.
    void stop() {
        top->enable = 0;
        top->clear = 1;
        leave();
        top->clear = 0;
        rgb.clear();
        ycbcr.clear();
        statistics = {};
        clocks = busy_clocks = 0;
    }

    void gamma(const uint16_t* knots, size_t count) {
        top->MEMBER(gamma, enable) = 1;
        for (size_t i = 0; i < count; ++i) {
            top->MEMBER(gamma, address) = i;
            top->MEMBER(gamma, data) = knots[i];
            tick();
        }
        top->MEMBER(gamma, enable) = 0;
    }

    // On, from the first of these clocks on.
    void run(const uint16_t* pins, size_t count) {
        top->enable = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->data = pins[i] & ((1u << vsync_bit) - 1);
            top->vsync = pins[i] >> vsync_bit & 1;
            top->href = pins[i] >> href_bit & 1;
            clock();
        }
    }

    // Pins stay as they are; off, and until all that is on its way has left.  A frame that has not
    // ended is dropped.
    void finish() {
        for (int i = 0; i < receiver_clocks && !context.gotFinish(); ++i) clock();
        top->enable = 0;
        leave();
    }

    VerilatedContext context;
    std::unique_ptr<Vchip> top;
    Pixels rgb, ycbcr;
    Records statistics;
    uint64_t clocks = 0, busy_clocks = 0;
    std::string message;

private:
    void leave() {
        uint64_t waited = 0;
        for (int quiet = 0; quiet < settled_clocks && !context.gotFinish(); ++quiet) {
            clock();
            if (!top->idle) quiet = 0;
            if (++waited > patience) throw std::runtime_error("the image block stays busy");
        }
    }

    // One clock, of which the outputs are looked at.
    void clock() {
        top->eval();
        rgb.look(top->MEMBER(rgb, valid), top->MEMBER(rgb, payload), 3u << 24, top->rgb_aborted);
        ycbcr.look(top->MEMBER(ycbcr, valid), top->MEMBER(ycbcr, payload), 3u << 24,
                   top->ycbcr_aborted);
        if (top->statistics_done) statistics.push(top->statistics);
        ++clocks;
        busy_clocks += !top->idle;
        rise();
    }

    void tick() {
        top->eval();
        rise();
    }

    void rise() {
        top->clk = 1;
        top->eval();
        top->clk = 0;  // evaluated together with the next clock's inputs
    }
};

}  // namespace

extern "C" {

Harness* harness_open() { return new Harness; }
void harness_close(Harness* harness) { delete harness; }

int harness_stop(Harness* harness) {
    return guarded(harness, [&] { harness->stop(); });
}

// Registers: bytes of the port, least significant first.
#define REGISTER(name)                                                        \
    size_t harness_##name##_bytes(Harness*) { return sizeof(Vchip::name); }   \
    int harness_##name(Harness* harness, const uint8_t* bytes) {              \
        return guarded(harness, [&] { set_bytes(harness->top->name, bytes); }); \
    }
REGISTER(config)
REGISTER(size)
REGISTER(raw)
REGISTER(matrix)

int harness_gamma(Harness* harness, const uint16_t* knots, size_t count) {
    return guarded(harness, [&] { harness->gamma(knots, count); });
}

int harness_run(Harness* harness, const uint16_t* pins, size_t count) {
    return guarded(harness, [&] { harness->run(pins, count); });
}

int harness_finish(Harness* harness) {
    return guarded(harness, [&] { harness->finish(); });
}

#define PIXELS(name)                                                                             \
    const uint32_t* harness_##name(Harness* harness) { return harness->name.whole.data(); }      \
    size_t harness_##name##_count(Harness* harness) { return harness->name.whole.size(); }       \
    uint64_t harness_##name##_frames(Harness* harness) { return harness->name.frames; }          \
    uint64_t harness_##name##_aborted(Harness* harness) { return harness->name.aborted; }
PIXELS(rgb)
PIXELS(ycbcr)

const uint8_t* harness_statistics(Harness* harness) { return harness->statistics.bytes.data(); }
size_t harness_statistics_bytes(Harness*) { return sizeof(Vchip::statistics); }
size_t harness_statistics_count(Harness* harness) { return harness->statistics.bytes.size(); }

uint32_t harness_good(Harness* harness) { return harness->top->good; }
uint32_t harness_dropped(Harness* harness) { return harness->top->dropped; }
uint32_t harness_faults(Harness* harness) { return harness->top->faults; }
uint64_t harness_clocks(Harness* harness) { return harness->clocks; }
uint64_t harness_busy_clocks(Harness* harness) { return harness->busy_clocks; }
const char* harness_message(Harness* harness) { return harness->message.c_str(); }

}  // extern "C"
