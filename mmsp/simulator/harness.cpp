// Drives one verilated chip: memory access and runs of whole programs, with no Python per cycle.
//
// Every input has a register in front (top.py): what is set here reaches the chip with the next
// `tick`, a rising edge, and outputs show the cycle that begins there.  Functions return a Status;
// `harness_message` explains it.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vchip.h"
#include "output.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

enum Status : int { OK = 0, RUNNING = 1, STOPPED = 2, ERROR_PORT = 3 };

constexpr uint64_t shortest_period = 8;  // cycles between samples, doubled when they are
constexpr size_t most_samples = 2048;
constexpr uint64_t half_period_ns = 10;  // 50 MHz; only the time axis of waveforms sees it

thread_local std::string output;  // what the design printed since the current call began

// Verilator's spelling of Amaranth's `port__member`.
#define MEMBER(port, member) port##___05F##member

// Counts since start: at the end of a job, of a sampling period or of the run.  Mirrored by
// `Counters` in model.py.
struct Counters {
    uint64_t cycles, mram_reads, mram_active, mac_active, wait_weights, wait_drain;
};

// Ports that a chip may lack read as 0.
#define OPTIONAL_PORT(port)                                           \
    template <typename Top>                                           \
    uint64_t port##_of(const Top& top) {                              \
        if constexpr (requires { top.port; }) return uint64_t(top.port); \
        else return 0;                                                \
    }
OPTIONAL_PORT(error)
OPTIONAL_PORT(mram_active)
OPTIONAL_PORT(mac_active)
OPTIONAL_PORT(wait_weights)
OPTIONAL_PORT(wait_drain)

// Ports of up to 64 bits are integers, wider ones arrays of 32-bit words, least significant first.
// On the little-endian machines we run on, all of them are the bytes of the value in order.
template <typename Port>
void set_bytes(Port& port, const uint8_t* bytes) {
    std::memcpy(&port, bytes, sizeof(port));
}

template <typename Port>
void get_bytes(const Port& port, uint8_t* bytes) {
    std::memcpy(bytes, &port, sizeof(port));
}

class Harness {
public:
    explicit Harness(const char* waves) {
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

    ~Harness() {
        Verilated::threadContextp(&context);
#if VM_TRACE
        if (trace) trace->close();
#endif
        top->final();
    }

    void reset() {
        top->start = 0;
        top->rst = 1;
        tick();
        top->rst = 0;
        tick();
    }

    void program(uint32_t address, const uint8_t* words, size_t count) {
        top->MEMBER(mram_write, enable) = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->MEMBER(mram_write, address) = address + i;
            set_bytes(top->MEMBER(mram_write, data), words + i * sizeof_word());
            tick();
        }
        top->MEMBER(mram_write, enable) = 0;
        tick();
    }

    void write(const uint32_t* banks, const uint32_t* addresses, const uint8_t* data,
               size_t count) {
        top->MEMBER(host, enable) = 1;
        top->MEMBER(host, write) = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->MEMBER(host, bank) = banks[i];
            top->MEMBER(host, address) = addresses[i];
            set_bytes(top->MEMBER(host, data), data + i * sizeof_row());
            tick();
        }
        top->MEMBER(host, enable) = 0;
        top->MEMBER(host, write) = 0;
        tick();
    }

    void read(const uint32_t* banks, const uint32_t* addresses, uint8_t* data, size_t count) {
        top->MEMBER(host, enable) = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->MEMBER(host, bank) = banks[i];
            top->MEMBER(host, address) = addresses[i];
            tick();
            if (i > 0) get_bytes(top->MEMBER(host, q), data + (i - 1) * sizeof_row());
        }
        top->MEMBER(host, enable) = 0;
        tick();
        if (count > 0) get_bytes(top->MEMBER(host, q), data + (count - 1) * sizeof_row());
    }

    void begin(uint32_t address) {
        counters = {};
        jobs.clear();
        samples.clear();
        sample_period = next_sample = shortest_period;
        top->program = address;
        top->start = 1;
        tick();
        top->start = 0;
        count_cycle();
        tick();
        if (!top->busy) throw std::runtime_error("the chip did not become busy after start");
    }

    // At most `budget` more cycles of a begun run.
    Status advance(uint64_t budget) {
        while (top->busy) {
            if (budget-- == 0) return RUNNING;
            if (error_of(*top)) return ERROR_PORT;
            count_cycle();
            tick();
            if (context.gotFinish()) return STOPPED;
        }
        counters.mram_reads = top->mram_reads;
        return OK;
    }

    static constexpr size_t sizeof_word() { return sizeof(Vchip::MEMBER(mram_write, data)); }
    static constexpr size_t sizeof_row() { return sizeof(Vchip::MEMBER(host, data)); }

    VerilatedContext context;
    Counters counters = {};
    std::vector<Counters> jobs;
    std::vector<Counters> samples;  // one every `sample_period` cycles
    uint64_t sample_period = shortest_period;
    std::string message;
    std::unique_ptr<Vchip> top;

private:
    // The cycle that the outputs show now.
    void count_cycle() {
        ++counters.cycles;
        counters.mram_active += mram_active_of(*top);
        counters.mac_active += mac_active_of(*top);
        counters.wait_weights += wait_weights_of(*top);
        counters.wait_drain += wait_drain_of(*top);
        if (top->layer_done) {
            counters.mram_reads = top->mram_reads;
            jobs.push_back(counters);
        }
        if (counters.cycles == next_sample) sample();
    }

    // When there are too many, every other one goes: counts are cumulative, so nothing is lost.
    void sample() {
        counters.mram_reads = top->mram_reads;
        samples.push_back(counters);
        if (samples.size() == most_samples) {
            for (size_t i = 0; i < most_samples / 2; ++i) samples[i] = samples[2 * i + 1];
            samples.resize(most_samples / 2);
            sample_period *= 2;
        }
        next_sample = samples.back().cycles + sample_period;
    }

    uint64_t next_sample = shortest_period;

    // One rising edge.  In waveforms, inputs change with the falling edge before it.
    void tick() {
#if VM_TRACE
        record();
#endif
        top->clk = 1;
        top->eval();
#if VM_TRACE
        record();
#endif
        top->clk = 0;
        top->eval();
    }

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

// Runs `body` on `harness`; whatever stops the design becomes STOPPED and a message.
template <typename Body>
int guarded(Harness* harness, Body body) {
    Verilated::threadContextp(&harness->context);
    output.clear();
    int status = STOPPED;
    try {
        status = body();
        if (harness->context.gotFinish()) status = STOPPED;
    } catch (const std::exception& error) {
        output += error.what();
    }
    harness->message = output;
    return status;
}

}  // namespace

// Replaces Verilator's own, which ends the process (VL_USER_FATAL).
void vl_fatal(const char*, int, const char*, const char* message) {
    throw std::runtime_error(message);
}

extern "C" {

int harness_printf(const char* format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    output += text;
    return length;
}

// `waves` is a file to record, or null.  Null is returned when that file cannot be written.
Harness* harness_open(const char* waves) {
    try {
        return new Harness(waves);
    } catch (const std::exception&) {
        return nullptr;
    }
}

void harness_close(Harness* harness) { delete harness; }

// Bytes of an activation word.
int harness_row_bytes(Harness*) { return Harness::sizeof_row(); }

int harness_reset(Harness* harness) {
    return guarded(harness, [&] { return harness->reset(), OK; });
}

int harness_program(Harness* harness, uint32_t address, const uint8_t* words, size_t count) {
    return guarded(harness, [&] { return harness->program(address, words, count), OK; });
}

int harness_write(Harness* harness, const uint32_t* banks, const uint32_t* addresses,
                  const uint8_t* data, size_t count) {
    return guarded(harness, [&] { return harness->write(banks, addresses, data, count), OK; });
}

int harness_read(Harness* harness, const uint32_t* banks, const uint32_t* addresses,
                 uint8_t* data, size_t count) {
    return guarded(harness, [&] { return harness->read(banks, addresses, data, count), OK; });
}

int harness_begin(Harness* harness, uint32_t address) {
    return guarded(harness, [&] { return harness->begin(address), OK; });
}

int harness_advance(Harness* harness, uint64_t budget) {
    return guarded(harness, [&] { return harness->advance(budget); });
}

const Counters* harness_counters(Harness* harness) { return &harness->counters; }
const Counters* harness_jobs(Harness* harness) { return harness->jobs.data(); }
size_t harness_job_count(Harness* harness) { return harness->jobs.size(); }
const Counters* harness_samples(Harness* harness) { return harness->samples.data(); }
size_t harness_sample_count(Harness* harness) { return harness->samples.size(); }
const char* harness_message(Harness* harness) { return harness->message.c_str(); }

}  // extern "C"
