// A microphone on the chip's I2S pins: one word a frame of 64 bits, in the left slot.
//
// Standard alignment: the word select is low for the left slot, and a word begins, most significant
// bit first, a bit after it has changed.  `hdl.audio.i2s` is the other end.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

class Microphone {
public:
    static constexpr int slot_bits = 32, word_bits = 16;

    // Samples to say after those that are left; then it is silent.  Before the first ones its pins
    // stand still.
    void hear(const int16_t* words, size_t count) {
        running = true;
        samples.erase(samples.begin(), samples.begin() + next);
        next = 0;
        samples.insert(samples.end(), words, words + count);
    }

    bool data() const {
        const int place = word_bits - bit;  // of the word, from bit 1 of the slot on
        return place >= 0 && place < word_bits && (word >> place & 1);
    }
    bool word_select() const { return !running || bit >= slot_bits; }

    // The next bit; a frame takes the next sample.
    void step() {
        if (!running) return;
        bit = (bit + 1) % (2 * slot_bits);
        if (bit != 0) return;
        word = 0;
        if (next < samples.size()) word = uint16_t(samples[next++]);
    }

    // Nothing more, and still pins.
    void stop() { *this = {}; }

    size_t left() const { return samples.size() - next; }

private:
    std::vector<int16_t> samples;
    size_t next = 0;
    uint16_t word = 0;
    int bit = 2 * slot_bits - 1;
    bool running = false;
};
