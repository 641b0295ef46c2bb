// Drives the verilated audio front end: constants, tables, and whole recordings, with no Python per
// cycle.
//
// Inputs change while the clock is low, so that handshakes are seen as they are in the cycle that
// the next rising edge ends.  Functions return a Status; `harness_message` explains it.

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../simulator/guard.h"
#include "../simulator/ports.h"
#include "Vchip.h"
#include "verilated.h"

namespace {

constexpr int settled_cycles = 16;        // without work after the last sample: nothing more comes
constexpr int patience_cycles = 200'000;  // without a transfer: nothing ever comes
constexpr size_t row_bytes = 16;          // of a table, as it is handed over

// Mirrored by `Counters` in rtl.py.
struct Counters {
    uint64_t cycles;   // until the last feature
    uint64_t busy;     // of these, with a frame in progress
    uint64_t longest;  // of the frames
    uint64_t frames;
    uint64_t late;     // samples whose successor was due before they were taken
    uint64_t ready;    // frames whose features were announced
    uint64_t overrun;  // cycles in which a sample found the ring full
};

class Harness {
public:
    Harness() {
        context.fatalOnError(false);  // a failed assertion sets gotFinish and does not exit
        Verilated::threadContextp(&context);
        top = std::make_unique<Vchip>(&context);
        top->clk = 0;
        top->rst = 1;
        top->restart = 1;
        tick();
        top->rst = 0;
        tick();
    }

    ~Harness() {
        Verilated::threadContextp(&context);
        top->final();
    }

    // Constants, and a table's rows, are followed by a `restart`.
    void constants(const uint8_t* bytes) {
        top->restart = 1;
        set_bytes(top->constants, bytes);
    }

    template <typename Enable, typename Address, typename Data>
    void write(Enable& enable, Address& address, Data& data, const uint8_t* rows, size_t count) {
        static_assert(sizeof(Data) <= row_bytes);
        top->restart = 1;
        enable = 1;
        for (size_t i = 0; i < count; ++i) {
            address = i;
            set_bytes(data, rows + i * row_bytes);
            tick();
        }
        enable = 0;
    }

    // A new recording begins; what is left of the last one is dropped.
    void restart() {
        top->restart = 1;
        top->MEMBER(i, valid) = 0;
        top->MEMBER(o, ready) = 1;
        tick();
        for (int waited = 0; !top->idle; ++waited) {
            if (waited > patience_cycles) throw std::runtime_error("the front end stays busy");
            tick();
            if (context.gotFinish()) return;
        }
        tick();
        top->restart = 0;
        top->MEMBER(o, ready) = 0;
        features.clear();
        ends.clear();
        counters = {};
    }

    // Feed samples, one every `pace` cycles, or as soon as they are taken; collect the features
    // until all frames are through, or for `limit` cycles.  Either side stalls with a chance of
    // `stall` in 256.
    void run(const int16_t* samples, size_t count, uint64_t pace, uint64_t limit, uint32_t stall,
             uint64_t seed) {
        random = seed | 1;
        uint64_t frame_cycles = 0;
        size_t next = 0;  // sample, due in cycle `next * pace`
        int quiet = 0, waited = 0;
        for (uint64_t cycle = 0; next < count || quiet < settled_cycles; ++cycle) {
            if (limit && cycle == limit) break;
            // An offer stays until it is taken.
            if (!top->MEMBER(i, valid) && next < count && cycle >= next * pace && !coin(stall)) {
                top->MEMBER(i, valid) = 1;
                top->MEMBER(i, payload) = uint16_t(samples[next]);
            }
            top->MEMBER(o, ready) = !coin(stall);
            top->eval();
            const bool taken = top->MEMBER(i, valid) && top->MEMBER(i, ready);
            const bool given = top->MEMBER(o, valid) && top->MEMBER(o, ready);
            if (given) {
                const uint32_t feature = top->MEMBER(o, payload);
                features.push_back(int8_t(feature & 0xFF));
                counters.cycles = cycle + 1;
                if (feature >> 8 & 1) ends.push_back(features.size());
            }
            counters.ready += top->ready;
            counters.overrun += top->overrun;
            if (top->idle) {
                counters.frames += frame_cycles != 0;
                frame_cycles = 0;
            } else {
                ++counters.busy;
                if (++frame_cycles > counters.longest) counters.longest = frame_cycles;
            }
            quiet = top->idle && next == count ? quiet + 1 : 0;
            waited = taken || given ? 0 : waited + 1;
            if (waited > patience_cycles + int(pace))
                throw std::runtime_error("the front end takes no sample and gives no feature");
            top->clk = 1;
            top->eval();
            top->clk = 0;  // evaluated together with the next cycle's inputs
            if (context.gotFinish()) return;
            if (taken) {
                top->MEMBER(i, valid) = 0;
                ++next;
                counters.late += pace && cycle >= next * pace;
            }
        }
        top->MEMBER(o, ready) = 0;
        top->eval();
    }

    VerilatedContext context;
    std::unique_ptr<Vchip> top;
    std::vector<int8_t> features;
    std::vector<uint64_t> ends;  // features until the end of each frame
    Counters counters = {};
    std::string message;

private:
    void tick() {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
    }

    // Marsaglia's xorshift with shifts 13, 7, 17.
    bool coin(uint32_t chance) {
        if (chance == 0) return false;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random >> 32 & 0xFF) < chance;
    }

    uint64_t random = 1;
};

}  // namespace

extern "C" {

Harness* harness_open() { return new Harness; }
void harness_close(Harness* harness) { delete harness; }
size_t harness_constant_bytes(Harness*) { return sizeof(Vchip::constants); }

int harness_constants(Harness* harness, const uint8_t* bytes) {
    return guarded(harness, [&] { harness->constants(bytes); });
}

#define TABLE(name)                                                                            \
    int harness_##name(Harness* harness, const uint8_t* rows, size_t count) {                  \
        return guarded(harness, [&] {                                                          \
            Vchip& top = *harness->top;                                                        \
            harness->write(top.MEMBER(name, enable), top.MEMBER(name, address),                \
                           top.MEMBER(name, data), rows, count);                               \
        });                                                                                    \
    }
TABLE(window)
TABLE(weights)
TABLE(cosines)
TABLE(gains)

int harness_restart(Harness* harness) {
    return guarded(harness, [&] { harness->restart(); });
}

int harness_run(Harness* harness, const int16_t* samples, size_t count, uint64_t pace,
                uint64_t limit, uint32_t stall, uint64_t seed) {
    return guarded(harness, [&] { harness->run(samples, count, pace, limit, stall, seed); });
}

const int8_t* harness_features(Harness* harness) { return harness->features.data(); }
size_t harness_feature_count(Harness* harness) { return harness->features.size(); }
const uint64_t* harness_ends(Harness* harness) { return harness->ends.data(); }
size_t harness_end_count(Harness* harness) { return harness->ends.size(); }
const Counters* harness_counters(Harness* harness) { return &harness->counters; }
const char* harness_message(Harness* harness) { return harness->message.c_str(); }

}  // extern "C"
