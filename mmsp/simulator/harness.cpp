// The functions that Python calls, around one `Harness`.  They return a Status; `harness_message`
// explains it.

#include "harness.h"

#include <cstdint>
#include <exception>

#include "guard.h"

extern "C" {

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

// Bytes of a word that `harness_program` takes.
int harness_word_bytes(Harness*) { return Harness::word_bytes(); }

void harness_configure(Harness* harness, uint32_t aon_ratio, uint32_t domains, uint32_t quiet) {
    harness->configure(aon_ratio, domains, quiet);
}

int harness_enter(Harness* harness, uint32_t mode) {
    return guarded(harness, [&] { harness->enter(mode); });
}

int harness_wake(Harness* harness, uint32_t sources) {
    return guarded(harness, [&] { set_wake(*harness->top, sources); });
}

// Of a chip with faults to order: which one.
int harness_mutant(Harness* harness, uint32_t mutant) {
    return guarded(harness, [&] { set_mutant(*harness->top, mutant); });
}

int harness_wake_mode(Harness* harness, uint32_t mode) {
    return guarded(harness, [&] { set_wake_mode(*harness->top, mode); });
}

int harness_clear_wake(Harness* harness) {
    return guarded(harness, [&] { harness->clear_wake(); });
}

// Ask for a mode and do not wait: a chip that is awake stays so until its wake-ups are cleared.
int harness_request(Harness* harness, uint32_t mode) {
    return guarded(harness, [&] { request_mode(*harness->top, mode); });
}

// The program that a window starts.
int harness_start_at(Harness* harness, uint32_t address) {
    return guarded(harness, [&] { harness->top->program = address; });
}

int harness_poke(Harness* harness, const char* name, const uint8_t* bytes) {
    return guarded(harness, [&] { harness->poke(name, bytes); });
}

int harness_pulse(Harness* harness, const char* name, uint32_t cycles) {
    return guarded(harness, [&] { harness->pulse(name, cycles); });
}

int harness_peek(Harness* harness, const char* name, uint8_t* bytes) {
    return guarded(harness, [&] { harness->peek(name, bytes); });
}

int harness_send(Harness* harness, const char* name, const uint8_t* words, size_t count,
                 size_t word_bytes) {
    return guarded(harness, [&] { harness->send(name, words, count, word_bytes); });
}

int harness_fill(Harness* harness, const char* name, const uint8_t* rows, size_t count,
                 size_t row_bytes) {
    return guarded(harness, [&] { harness->fill(name, rows, count, row_bytes); });
}

void harness_film(Harness* harness, const uint16_t* pins, size_t count) {
    harness->camera.film(pins, count);
}

const uint64_t* harness_files(Harness* harness) { return harness->files.data(); }
size_t harness_file_words(Harness* harness) { return harness->files.size(); }
void harness_forget_files(Harness* harness) { harness->files.clear(); }

size_t harness_unseen(Harness* harness) { return harness->camera.left(); }

void harness_hear(Harness* harness, const int16_t* samples, size_t count) {
    harness->microphone.hear(samples, count);
}

void harness_hush(Harness* harness) { harness->microphone.stop(); }

int harness_listen(Harness* harness, uint64_t budget, uint64_t quiet) {
    return guarded(harness, [&] { return harness->listen(budget, quiet); });
}

uint64_t harness_wake_pending(Harness* harness) { return wake_pending_of(*harness->top); }
size_t harness_unheard(Harness* harness) { return harness->microphone.left(); }
const Elapsed* harness_elapsed(Harness* harness) { return &harness->elapsed; }

int harness_wait(Harness* harness, uint32_t periods) {
    return guarded(harness, [&] { harness->wait(periods); });
}

int harness_policy(Harness* harness, uint32_t gating, uint32_t footprint, uint32_t held) {
    return guarded(harness, [&] { harness->set_policy(gating, footprint, held); });
}

int harness_reset(Harness* harness) {
    return guarded(harness, [&] { harness->reset(); });
}

int harness_program(Harness* harness, uint32_t address, const uint8_t* words, size_t count) {
    return guarded(harness, [&] { harness->program(address, words, count); });
}

int harness_write(Harness* harness, const uint32_t* banks, const uint32_t* addresses,
                  const uint8_t* data, size_t count) {
    return guarded(harness, [&] { harness->write(banks, addresses, data, count); });
}

int harness_read(Harness* harness, const uint32_t* banks, const uint32_t* addresses,
                 uint8_t* data, size_t count) {
    return guarded(harness, [&] { harness->read(banks, addresses, data, count); });
}

int harness_begin(Harness* harness, uint32_t address) {
    return guarded(harness, [&] { harness->begin(address); });
}

int harness_advance(Harness* harness, uint64_t budget) {
    return guarded(harness, [&] { return harness->advance(budget); });
}

const Counters* harness_counters(Harness* harness) { return &harness->counters; }
const Counters* harness_jobs(Harness* harness) { return harness->jobs.data(); }
size_t harness_job_count(Harness* harness) { return harness->jobs.size(); }
const Counters* harness_samples(Harness* harness) { return harness->samples.data(); }
const ErrorReport* harness_error(Harness* harness) { return &harness->error; }
const PowerEvent* harness_power_events(Harness* harness) { return harness->power.events.data(); }
size_t harness_power_event_count(Harness* harness) { return harness->power.events.size(); }
uint64_t harness_power_dropped(Harness* harness) { return harness->power.dropped; }
const DomainCounts* harness_domains(Harness* harness) { return harness->power.counts.data(); }
uint64_t harness_corrected(Harness* harness) { return corrected_of(*harness->top); }
int harness_mode(Harness* harness) { return mode_of(*harness->top); }
size_t harness_sample_count(Harness* harness) { return harness->samples.size(); }
const char* harness_message(Harness* harness) { return harness->message.c_str(); }

}  // extern "C"
