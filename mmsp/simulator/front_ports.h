// Ports of the front ends and of what takes their words, by name, of a chip that has them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "Vchip.h"
#include "ports.h"

OPTIONAL_OUTPUT(window_full, MEMBER(window, full))
OPTIONAL_OUTPUT(window_started, MEMBER(window, started))
OPTIONAL_OUTPUT(window_automatic, MEMBER(window, automatic))

#define FRONT_PORTS \
    PORT(audio, mode) PORT(audio, microphone) PORT(audio, vad) PORT(audio, constants)    \
    PORT(audio, place) PORT(audio, clear) PORT(audio, resume) PORT(audio, status)        \
    PORT(image, mode) PORT(image, config) PORT(image, size) PORT(image, raw)             \
    PORT(image, matrix) PORT(image, tensor) PORT(image, hold) PORT(image, map_row)       \
    PORT(image, clear) PORT(image, restart) PORT(image, resume) PORT(image, status)      \
    PORT(image, change) PORT(image, map) PORT(image, statistics) PORT(image, jpeg)       \
    PORT(image, jpeg_idle) PORT(window, source) PORT(window, automatic)                  \
    PORT(window, release) PORT(window, full) PORT(window, started)                       \
    PART(audio, tables, valid) PART(audio, tables, ready) PART(audio, tables, payload)   \
    PART(image, knots, valid) PART(image, knots, ready) PART(image, knots, payload)      \
    PART(image, header, enable) PART(image, header, address) PART(image, header, data)   \
    PART(image, quantisers, enable) PART(image, quantisers, address)                     \
    PART(image, quantisers, data) PART(image, codes, enable) PART(image, codes, address) \
    PART(image, codes, data)

struct FrontPort {
    uint8_t* at;
    size_t size;
};

// Where the port `name`, such as "audio.tables.valid", is.
template <typename Top>
FrontPort front_port(Top& top, const std::string& name) {
    if constexpr (has_audio<Top> && has_image<Top>) {
#define FOUND(text, port) \
    if (name == text) return FrontPort{reinterpret_cast<uint8_t*>(&top.port), sizeof(top.port)};
#define PORT(group, member) FOUND(#group "." #member, group##___05F##member)
#define PART(group, port, member) \
    FOUND(#group "." #port "." #member, group##___05F##port##___05F##member)
        FRONT_PORTS
#undef PART
#undef PORT
#undef FOUND
    }
    throw std::runtime_error("the chip has no port " + name);
}
