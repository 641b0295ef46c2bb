// Drives one verilated chip: memory access and runs of whole programs, with no Python per cycle.
//
// Every input has a register in front (top.py): what is set here reaches the chip with the next
// `tick`, a rising edge, and outputs show the cycle that begins there.

#pragma once

#include <bit>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "audio_port.h"
#include "clocks.h"
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

    // Tell the audio front end, and let it take a core cycle to be there.
    void set_audio(uint32_t field, const uint8_t* bytes) {
        if (!set_audio_field(*top, field, bytes)) throw std::runtime_error("no such register");
        tick();
        tick();
    }

    // Rows for the front end's tables, `row_bytes` each.
    void write_tables(const uint8_t* rows, size_t count, size_t row_bytes) {
        for (size_t i = 0; i < count && !context.gotFinish(); ++i) {
            for (int waited = 0; !audio_tables_ready(*top); ++waited) {
                if (waited > host_cycles) throw std::runtime_error("no row for a table is taken");
                tick();
            }
            set_audio_row(*top, rows + i * row_bytes, row_bytes);
            set_audio_tables_valid(*top, 1);
            tick();
            set_audio_tables_valid(*top, 0);
            tick();
            tick();
        }
    }

    // A pulse of one core cycle on `clear`, `resume` or `release`.
    void pulse_audio(uint32_t pulses) {
        set_audio_pulses(*top, pulses);
        tick();
        set_audio_pulses(*top, 0);
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
    // SILENT `quiet` periods of the always-on clock after the microphone's last sample; RUNNING
    // after `budget` periods.
    Status listen(uint64_t budget, uint64_t quiet) {
        const uint64_t end = elapsed.aon + budget;
        while (elapsed.aon < end) {
            if (microphone.left()) last_sound = elapsed.aon;
            if (elapsed.aon > last_sound + quiet) return SILENT;
            tick();
            if (context.gotFinish()) return STOPPED;
            if (error_of(*top)) return ERROR_PORT;
            if (audio_full(*top) && !top->busy && (!audio_automatic(*top) || audio_started(*top)))
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
