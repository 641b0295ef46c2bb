// Drives the verilated image subsystem: registers, and whole sequences of frames by the camera's
// pins, with no Python per clock.
//
// Two clocks, of any periods; unless told otherwise, the core's runs twice in one of the camera.
// Inputs change while both are low, so that outputs are seen as they are in the cycle that the next
// rising edge ends.  Functions return a Status; `harness_message` explains it.

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
constexpr int file_bits = 32;                // of a file's word; its bytes, `last` and `bad` above
constexpr uint64_t patience = 1'000'000;     // clocks after which it never becomes idle
constexpr uint64_t row_patience = 20'000;    // cycles after which a table never takes a row
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
        top->pixel_clk = top->clk = 0;
        top->pixel_rst = top->rst = 1;
        top->MEMBER(o, ready) = top->MEMBER(file, ready) = 1;
        clock();
        clock();
        top->pixel_rst = top->rst = 0;
        clock();
    }

    ~Harness() {
        Verilated::threadContextp(&context);
        top->final();
    }

    // The receiver goes off, and what is on its way leaves, before registers change.
    void stop() {
        top->mode = 0;
        top->clear = 1;
        leave();
        top->clear = 0;
        leave();  // flags and counters, too
        rgb.clear();
        ycbcr.clear();
        statistics = changes = words = {};
        tensors = 0;
        files.clear();
        file_ends.clear();
        bad_files = clocks = busy_clocks = 0;
    }

    void gamma(const uint16_t* knots, size_t count) {
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->MEMBER(knots, payload) = i | knots[i] << knot_address_bits;
            top->MEMBER(knots, valid) = 1;
            uint64_t waited = 0;
            for (bool taken = false; !taken && !context.gotFinish(); core_cycle()) {
                top->eval();
                taken = top->MEMBER(knots, ready);
                if (++waited > row_patience) throw std::runtime_error("a table takes no row");
            }
            top->MEMBER(knots, valid) = 0;
        }
        leave();
    }

    template <typename Enable, typename Address, typename Data>
    void write(Enable& enable, Address& address, Data& data, const uint32_t* rows, size_t count) {
        enable = 1;
        for (size_t i = 0; i < count; ++i) {
            address = i;
            data = rows[i];
            core_cycle();
        }
        enable = 0;
    }

    // `mode` arrives before the first of these clocks; the pins have its levels until then.
    void run(const uint16_t* pins, size_t count, uint32_t mode) {
        if (count) set_pins(pins[0]);
        top->mode = mode;
        for (int i = 0; i < receiver_clocks; ++i) clock();
        clocks = busy_clocks = 0;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            set_pins(pins[i]);
            clock();
        }
    }

    // Rows of blocks that there are: so many are read after each frame.
    void set_map_rows(uint32_t rows) { map_rows = rows; }

    // In any unit.
    void set_periods(uint64_t core, uint64_t pixel) {
        core_period = core;
        pixel_period = pixel;
    }

    // The core takes a word for the activation memory with a chance of `256 - stall` in 256.
    void set_stall(uint32_t chance, uint64_t seed) {
        stall = chance;
        random = seed | 1;
        top->MEMBER(o, ready) = 1;
    }

    // The next complete frame becomes the reference of change detection.
    void restart() {
        top->restart = 1;
        core_cycle();
        top->restart = 0;
        leave();
    }

    // Pins stay as they are; off, and until all that is on its way has left.  A frame that has not
    // ended is dropped.
    void finish() {
        for (int i = 0; i < receiver_clocks && !context.gotFinish(); ++i) clock();
        top->mode = top->mode & ~1u;
        leave();
    }

    VerilatedContext context;
    std::unique_ptr<Vchip> top;
    Pixels rgb, ycbcr;
    Records statistics;
    Records words;    // of tensors, each with `last` in the highest bit of its port
    Records changes;  // of frames: `wake`, `result`, and the rows of the map
    uint64_t tensors = 0;
    std::vector<uint8_t> files;
    std::vector<uint64_t> file_ends;  // bytes until the end of each good file
    uint64_t bad_files = 0, clocks = 0, busy_clocks = 0;
    std::string message;

private:
    void set_pins(uint16_t levels) {
        top->data = levels & ((1u << vsync_bit) - 1);
        top->vsync = levels >> vsync_bit & 1;
        top->href = levels >> href_bit & 1;
    }

    static constexpr uint32_t idle_bit = 8;  // of `status`
    static constexpr uint32_t knot_address_bits = 9;

    bool idle() const { return (top->status >> idle_bit & 1) && top->jpeg_idle; }

    void leave() {
        uint64_t waited = 0;
        for (int quiet = 0; quiet < settled_clocks && !context.gotFinish(); ++quiet) {
            clock();
            if (!idle()) quiet = 0;
            if (++waited > patience) throw std::runtime_error("the image subsystem stays busy");
        }
    }

    // Up to the end of the camera's clock.
    void clock() {
        while (!edge().pixel) {}
    }

    // Up to the end of the core's cycle.
    void core_cycle() {
        while (!edge().core) {}
    }

    struct Edge {
        bool core, pixel;
    };

    // The next rising edge of one of the clocks, or both; what they sample is looked at.
    Edge edge() {
        const uint64_t now = next_core < next_pixel ? next_core : next_pixel;
        const Edge which = {next_core == now, next_pixel == now};
        top->eval();
        if (which.pixel) look_pixels();
        if (which.core) look_core();
        top->clk = which.core;
        top->pixel_clk = which.pixel;
        top->eval();
        top->clk = top->pixel_clk = 0;  // evaluated together with the next inputs
        if (which.core) next_core += core_period;
        if (which.pixel) next_pixel += pixel_period;
        return which;
    }

    void look_pixels() {
        rgb.look(top->MEMBER(rgb, valid), top->MEMBER(rgb, payload), 3u << 24, top->rgb_aborted);
        ycbcr.look(top->MEMBER(ycbcr, valid), top->MEMBER(ycbcr, payload), 3u << 24,
                   top->ycbcr_aborted);
        read_map();
        ++clocks;
        busy_clocks += !idle();
    }

    // A row of the map is there a clock after its number.
    void read_map() {
        if (rows_left == 0) return;
        if (asked) {
            changes.push(uint64_t(top->map));
            --rows_left;
        }
        asked = rows_left != 0;
        if (asked) top->map_row = map_rows - rows_left;
    }

    void look_core() {
        if (top->statistics_done) statistics.push(top->statistics);
        look_words();
        if (top->change_done) {
            if (rows_left) throw std::runtime_error("a map is new before the last one was read");
            changes.push(uint64_t(top->wake));
            changes.push(uint64_t(top->change));
            rows_left = map_rows;
            asked = false;
        }
        if (!top->MEMBER(file, valid)) return;
        const uint64_t word = top->MEMBER(file, payload);
        const uint32_t count = word >> file_bits & 7;
        for (uint32_t i = 0; i < count; ++i) files.push_back(word >> 8 * i & 0xFF);
        if (!(word >> (file_bits + 3) & 1)) return;
        if (word >> (file_bits + 4) & 1) {
            files.resize(file_ends.empty() ? 0 : file_ends.back());
            ++bad_files;
        } else {
            file_ends.push_back(files.size());
        }
    }

    void look_words() {
        if (stall) {
            top->MEMBER(o, ready) = !coin();
            top->eval();
        }
        if (!top->MEMBER(o, valid) || !top->MEMBER(o, ready)) return;
        words.push(top->MEMBER(o, payload));
        tensors += top->ready;
    }

    // Marsaglia's xorshift with shifts 13, 7, 17.
    bool coin() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random >> 32 & 0xFF) < stall;
    }

    uint64_t random = 1;
    uint32_t stall = 0, map_rows = 0, rows_left = 0;
    bool asked = false;  // for the row that is read next
    uint64_t core_period = 1, pixel_period = 2, next_core = 0, next_pixel = 0;
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
REGISTER(jpeg)
REGISTER(tensor)

#define TABLE(name)                                                                       \
    int harness_##name(Harness* harness, const uint32_t* rows, size_t count) {            \
        return guarded(harness, [&] {                                                     \
            Vchip& top = *harness->top;                                                   \
            harness->write(top.MEMBER(name, enable), top.MEMBER(name, address),           \
                           top.MEMBER(name, data), rows, count);                          \
        });                                                                               \
    }
TABLE(header)
TABLE(quantisers)
TABLE(codes)

int harness_gamma(Harness* harness, const uint16_t* knots, size_t count) {
    return guarded(harness, [&] { harness->gamma(knots, count); });
}

int harness_run(Harness* harness, const uint16_t* pins, size_t count, uint32_t mode) {
    return guarded(harness, [&] { harness->run(pins, count, mode); });
}

int harness_restart(Harness* harness) {
    return guarded(harness, [&] { harness->restart(); });
}

void harness_map_rows(Harness* harness, uint32_t rows) { harness->set_map_rows(rows); }

void harness_periods(Harness* harness, uint64_t core, uint64_t pixel) {
    harness->set_periods(core, pixel);
}

void harness_stall(Harness* harness, uint32_t chance, uint64_t seed) {
    harness->set_stall(chance, seed);
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

#define RECORDS(name)                                                                            \
    const uint8_t* harness_##name(Harness* harness) { return harness->name.bytes.data(); }       \
    size_t harness_##name##_count(Harness* harness) { return harness->name.bytes.size(); }
RECORDS(statistics)
RECORDS(words)
RECORDS(changes)
size_t harness_statistics_bytes(Harness*) { return sizeof(Vchip::statistics); }
size_t harness_words_bytes(Harness*) { return sizeof(Vchip::MEMBER(o, payload)); }

uint64_t harness_tensors(Harness* harness) { return harness->tensors; }
uint32_t harness_good(Harness* harness) { return harness->top->good; }
uint32_t harness_dropped(Harness* harness) { return harness->top->dropped; }
uint32_t harness_wake(Harness* harness) { return harness->top->wake; }
uint32_t harness_status(Harness* harness) { return harness->top->status; }
const uint8_t* harness_files(Harness* harness) { return harness->files.data(); }
const uint64_t* harness_file_ends(Harness* harness) { return harness->file_ends.data(); }
size_t harness_file_count(Harness* harness) { return harness->file_ends.size(); }
uint64_t harness_bad_files(Harness* harness) { return harness->bad_files; }
uint64_t harness_clocks(Harness* harness) { return harness->clocks; }
uint64_t harness_busy_clocks(Harness* harness) { return harness->busy_clocks; }
const char* harness_message(Harness* harness) { return harness->message.c_str(); }

}  // extern "C"
