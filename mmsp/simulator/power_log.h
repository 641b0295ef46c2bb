// What the power domains did in a run: every change up to a limit, and totals of all of it.

#pragma once

#include <cstdint>
#include <vector>

#include "ports.h"

enum PowerState : int { OFF = 0, RETAIN = 1, ON = 2 };

constexpr size_t most_power_events = 1 << 20;

// From cycle `cycle` on the domains are in the states of `word`.  Mirrored in binding.py.
struct PowerEvent {
    uint64_t cycle;
    PowerWord word;
};

// Of one domain, since start.  `wakeups`: how often it came ON.  Mirrored in binding.py.
struct DomainCounts {
    uint64_t on, retain, wakeups;
};

class PowerLog {
public:
    void begin(const PowerWord& word, size_t domain_count) {
        events.clear();
        counts.assign(domain_count, {});
        since.assign(domain_count, 0);
        dropped = 0;
        now = word;
        events.push_back({0, word});
    }

    // The states in cycle `cycle`.
    void observe(uint64_t cycle, const PowerWord& word) {
        if (word == now) return;
        for (size_t i = 0; i < counts.size(); ++i) {
            const int before = state(now, i), after = state(word, i);
            if (before == after) continue;
            add(i, before, cycle);
            counts[i].wakeups += after == ON;
        }
        now = word;
        if (events.size() < most_power_events) events.push_back({cycle, word});
        else ++dropped;
    }

    // The run had `cycles` cycles.  May be called again when there are more.
    void finish(uint64_t cycles) {
        for (size_t i = 0; i < counts.size(); ++i) add(i, state(now, i), cycles);
    }

    std::vector<PowerEvent> events;
    std::vector<DomainCounts> counts;
    uint64_t dropped = 0;  // changes beyond the limit

private:
    static int state(const PowerWord& word, size_t i) { return word[i / 32] >> i % 32 * 2 & 3; }

    void add(size_t i, int state, uint64_t cycle) {
        if (state == ON) counts[i].on += cycle - since[i];
        if (state == RETAIN) counts[i].retain += cycle - since[i];
        since[i] = cycle;
    }

    PowerWord now = {};
    std::vector<uint64_t> since;  // cycle up to which each domain has been counted
};
