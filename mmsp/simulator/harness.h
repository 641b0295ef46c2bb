// Drives one verilated chip: memory access and runs of whole programs, with no Python per cycle.
//
// Every input has a register in front (top.py): what is set here reaches the chip with the next
// `tick`, a rising edge, and outputs show the cycle that begins there.

#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "clocks.h"
#include "front_ports.h"
#include "guard.h"
#include "ports.h"
#include "power_log.h"

constexpr uint64_t shortest_period = 8;  // cycles between samples, doubled when they are
constexpr size_t most_samples = 2048;
constexpr int host_cycles = 100'000;    // until the activation memory has power
constexpr int abort_cycles = 10'000;    // from an error until the chip is idle
constexpr int settle_cycles = 100'000;  // until a new policy has switched all it switches

// Counts since start: at the end of a job, of a sampling period or of the run.  Mirrored by
// `Counters` in results.py.
struct Counters {
    uint64_t cycles, mram_reads, mram_active, mac_active, wait_weights, wait_drain;
    uint64_t mram_bank, mram_wakeups, corrected;
};

// What ended a run early.  Mirrored in binding.py.
struct ErrorReport {
    uint64_t cycle, kind, address;
};

class Harness : public Clocks {
public:
    explicit Harness(const char* waves) : Clocks(waves) {}

    // Before anything else: core cycles in a period of the always-on clock, power domains, and
    // cycles without a change after which a new policy counts as settled.
    void configure(uint32_t ratio, uint32_t domain_count, uint32_t quiet) {
        aon_ratio = ratio;
        domains = domain_count;
        quiet_cycles = quiet;
    }

    // What the next runs are told: a gating policy, and segments of the activation memory.
    void set_policy(uint32_t gating, uint32_t footprint, uint32_t held) {
        set_gating(*top, gating);
        set_footprint(*top, footprint);
        set_held(*top, held);
        if constexpr (!has_gating<Vchip>) return;
        PowerWord before = power_state_of(*top);
        uint32_t quiet = 0;
        for (int i = 0; i < settle_cycles && quiet < quiet_cycles; ++i) {
            tick();
            if (context.gotFinish()) return;
            const PowerWord now = power_state_of(*top);
            quiet = now == before ? quiet + 1 : 0;
            before = now;
        }
        if (quiet < quiet_cycles) throw std::runtime_error("power domains do not come to rest");
    }

    void program(uint32_t address, const uint8_t* words, size_t count) {
        top->MEMBER(mram_write, enable) = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            top->MEMBER(mram_write, address) = address + i;
            set_bytes(top->MEMBER(mram_write, data), words + i * word_bytes(), word_bytes());
            tick();
        }
        top->MEMBER(mram_write, enable) = 0;
        tick();
    }

    void write(const uint32_t* banks, const uint32_t* addresses, const uint8_t* data,
               size_t count) {
        open();
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
        close();
    }

    void read(const uint32_t* banks, const uint32_t* addresses, uint8_t* data, size_t count) {
        open();
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
        close();
    }

    void begin(uint32_t address) {
        counters = {};
        error = {};
        jobs.clear();
        samples.clear();
        sample_period = next_sample = shortest_period;
        top->program = address;
        top->start = 1;
        tick();
        top->start = 0;
        power.begin(power_state_of(*top), domains);
        banks_before = banks_powered();
        count_cycle();
        tick();
        if (!top->busy) throw std::runtime_error("the chip did not become busy after start");
    }

    // At most `budget` more cycles of a begun run.
    Status advance(uint64_t budget) {
        while (top->busy) {
            if (error_of(*top)) return abort();
            if (budget-- == 0) return RUNNING;
            if (!core_runs()) throw std::runtime_error("the core clock stopped in a run");
            count_cycle();
            tick();
            if (context.gotFinish()) return STOPPED;
        }
        finish();
        return error_of(*top) ? abort() : OK;
    }

    // Set a port of a front end, and let the core's clock take it.
    void poke(const std::string& name, const uint8_t* bytes) {
        const FrontPort port = front_port(*top, name);
        std::memcpy(port.at, bytes, port.size);
        tick();
        tick();
    }

    // For a cycle of the core's clock, or `cycles`.
    void pulse(const std::string& name, uint32_t cycles) {
        const FrontPort port = front_port(*top, name);
        *port.at = 1;
        for (uint32_t i = 0; i < cycles; ++i) tick();
        *port.at = 0;
        tick();
    }

    void peek(const std::string& name, uint8_t* bytes) {
        const FrontPort port = front_port(*top, name);
        std::memcpy(bytes, port.at, port.size);
    }

    // Words for a stream on the core's clock, `word_bytes` each.
    void send(const std::string& name, const uint8_t* words, size_t count, size_t word_bytes) {
        const FrontPort valid = front_port(*top, name + ".valid"),
                        ready = front_port(*top, name + ".ready"),
                        payload = front_port(*top, name + ".payload");
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            for (int waited = 0; !*ready.at; ++waited) {
                if (waited > host_cycles) throw std::runtime_error(name + " takes no word");
                tick();
            }
            std::memcpy(payload.at, words + i * word_bytes, std::min(word_bytes, payload.size));
            *valid.at = 1;
            tick();
            *valid.at = 0;
            tick();
            tick();
        }
    }

    // Rows of a table on a clock that runs with the core's, from address 0 on.
    void fill(const std::string& name, const uint8_t* rows, size_t count, size_t row_bytes) {
        const FrontPort enable = front_port(*top, name + ".enable"),
                        address = front_port(*top, name + ".address"),
                        data = front_port(*top, name + ".data");
        *enable.at = 1;
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            std::memcpy(address.at, &i, std::min(sizeof i, address.size));
            std::memcpy(data.at, rows + i * row_bytes, std::min(row_bytes, data.size));
            tick();
        }
        *enable.at = 0;
        tick();
    }

    // Forget all wake-ups; the always-on clock has to see it.
    void clear_wake() {
        set_wake_clear(*top, 15);
        wait(2);
        set_wake_clear(*top, 0);
        wait(1);
    }

    // Until a window is complete and, if it starts its network itself, that one has ended: OK.
    // SILENT `quiet` periods of the always-on clock after the microphone's last sample and the
    // camera's last pixel; RUNNING after `budget` periods.
    Status listen(uint64_t budget, uint64_t quiet) {
        const uint64_t end = elapsed.aon + budget;
        while (elapsed.aon < end) {
            if (microphone.left() || camera.left()) last_sound = elapsed.aon;
            if (elapsed.aon > last_sound + quiet) return SILENT;
            tick();
            if (context.gotFinish()) return STOPPED;
            if (error_of(*top)) return ERROR_PORT;
            if (window_full(*top) && !top->busy && (!window_automatic(*top) || window_started(*top)))
                return OK;
        }
        return RUNNING;
    }

    // Bytes of an MRAM word: 16 of data, or the 18 of a code word in a port of 144 bits.
    static constexpr size_t word_bytes() {
        return sizeof(Vchip::MEMBER(mram_write, data)) == 16 ? 16 : 18;
    }
    static constexpr size_t sizeof_row() { return sizeof(Vchip::MEMBER(host, data)); }

    Counters counters = {};
    ErrorReport error = {};
    PowerLog power;
    std::vector<Counters> jobs;
    std::vector<Counters> samples;  // one every `sample_period` cycles
    uint64_t sample_period = shortest_period;
    std::string message;

private:
    // The host's access to the activation memory, which may have to be switched on.
    void open() {
        if constexpr (!has_host_ready<Vchip>) return;
        open_host(*top, 1);
        for (int i = 0; i < host_cycles && !context.gotFinish(); ++i) {
            tick();
            if (host_ready_of(*top)) return;
        }
        throw std::runtime_error("the activation memory was not ready for the host after " +
                                 std::to_string(host_cycles) + " cycles");
    }

    void close() {
        open_host(*top, 0);
        tick();
    }

    // The chip has reported an error, and aborts the run.
    Status abort() {
        error = {counters.cycles, error_kind_of(*top), error_address_of(*top)};
        finish();
        for (int i = 0; top->busy; ++i) {
            if (i == abort_cycles) throw std::runtime_error("the chip stays busy after an error");
            tick();
            if (context.gotFinish()) return STOPPED;
        }
        return ERROR_PORT;
    }

    // Counts of which the chip keeps the totals itself.
    void read_totals() {
        counters.mram_reads = top->mram_reads;
        counters.corrected = corrected_of(*top);
    }

    void finish() {
        read_totals();
        power.finish(counters.cycles);
    }

    // MRAM banks that take current, a bit each; of a chip that does not tell them apart, one bit.
    uint64_t banks_powered() const {
        if constexpr (has_banks<Vchip>) return banks_powered_of(*top);
        else return mram_active_of(*top);
    }

    // The cycle that the outputs show now.
    void count_cycle() {
        power.observe(counters.cycles, power_state_of(*top));
        const uint64_t banks = banks_powered();
        ++counters.cycles;
        counters.mram_active += banks != 0;
        counters.mram_bank += std::popcount(banks);
        counters.mram_wakeups += std::popcount(banks & ~banks_before);
        banks_before = banks;
        counters.mac_active += mac_active_of(*top);
        counters.wait_weights += wait_weights_of(*top);
        counters.wait_drain += wait_drain_of(*top);
        if (top->layer_done) {
            read_totals();
            jobs.push_back(counters);
        }
        if (counters.cycles == next_sample) sample();
    }

    // When there are too many, every other one goes: counts are cumulative, so nothing is lost.
    void sample() {
        read_totals();
        samples.push_back(counters);
        if (samples.size() == most_samples) {
            for (size_t i = 0; i < most_samples / 2; ++i) samples[i] = samples[2 * i + 1];
            samples.resize(most_samples / 2);
            sample_period *= 2;
        }
        next_sample = samples.back().cycles + sample_period;
    }

    uint64_t next_sample = shortest_period;
    uint64_t banks_before = 0;
    uint64_t last_sound = 0;  // period of the always-on clock
    uint32_t domains = 0, quiet_cycles = 0;
};
