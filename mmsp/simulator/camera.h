// A camera on the chip's DVP pins: what they are in each of its clocks, told before.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

class Camera {
public:
    // Pins of clocks that follow: 12 bits of data, VSYNC, HREF.  Behind the last they stand still.
    void film(const uint16_t* words, size_t count) {
        pins.erase(pins.begin(), pins.begin() + next);
        next = 0;
        pins.insert(pins.end(), words, words + count);
    }

    uint32_t data() const { return now & 0xFFF; }
    bool vsync() const { return now >> 12 & 1; }
    bool href() const { return now >> 13 & 1; }

    void step() {
        if (next < pins.size()) now = pins[next++];
    }

    size_t left() const { return pins.size() - next; }

private:
    std::vector<uint16_t> pins;
    size_t next = 0;
    uint16_t now = 0;
};
