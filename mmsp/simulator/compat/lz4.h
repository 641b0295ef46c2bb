// The two functions of LZ4 that Verilator's FST writer calls, so that recording a waveform needs no
// library beyond the compiler's own.  Output is the LZ4 block format, found by a greedy search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace lz4 {

constexpr int min_match = 4;
constexpr int tail_literals = 12;  // the format wants the last match to start before these bytes
constexpr int last_literals = 5;   // and to end before these
constexpr int max_distance = 65535;
constexpr int hash_bits = 14;

inline uint32_t word_at(const uint8_t* p) {
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

inline uint8_t* put_length(uint8_t* out, int length) {
    for (; length >= 255; length -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(length);
    return out;
}

// One sequence: literals, then a match; the last sequence of a block has no match (length 0).
inline uint8_t* put_sequence(uint8_t* out, const uint8_t* literals, int count, int distance,
                             int length) {
    const int extra = length ? length - min_match : 0;
    *out++ = static_cast<uint8_t>(std::min(count, 15) << 4 | std::min(extra, 15));
    if (count >= 15) out = put_length(out, count - 15);
    out = std::copy(literals, literals + count, out);
    if (length) {
        *out++ = static_cast<uint8_t>(distance);
        *out++ = static_cast<uint8_t>(distance >> 8);
        if (extra >= 15) out = put_length(out, extra - 15);
    }
    return out;
}

}  // namespace lz4

// `capacity` is LZ4_compressBound(size), which is never exceeded.
inline int LZ4_compress_default(const char* source, char* target, int size, int /*capacity*/) {
    using namespace lz4;
    const auto* in = reinterpret_cast<const uint8_t*>(source);
    auto* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> seen(1 << hash_bits, -1);
    int done = 0;  // everything before is in the output
    for (int at = 0; at + tail_literals < size;) {
        int& last = seen[word_at(in + at) * 2654435761u >> (32 - hash_bits)];
        const int candidate = last;
        last = at;
        if (candidate < 0 || at - candidate > max_distance ||
            word_at(in + candidate) != word_at(in + at)) {
            ++at;
            continue;
        }
        int length = min_match;
        while (at + length < size - last_literals && in[candidate + length] == in[at + length])
            ++length;
        out = put_sequence(out, in + done, at - done, at - candidate, length);
        at += length;
        done = at;
    }
    out = put_sequence(out, in + done, size - done, 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
