// The chip's port `audio`, of a chip that has one.

#pragma once

#include <algorithm>
#include <cstdint>

#include "Vchip.h"
#include "ports.h"

OPTIONAL_OUTPUT(audio_full, MEMBER(audio, full))
OPTIONAL_OUTPUT(audio_started, MEMBER(audio, started))
OPTIONAL_OUTPUT(audio_automatic, MEMBER(audio, automatic))
OPTIONAL_INPUT(set_audio_clear, MEMBER(audio, clear))
OPTIONAL_INPUT(set_audio_resume, MEMBER(audio, resume))
OPTIONAL_INPUT(set_audio_release, MEMBER(audio, release))

OPTIONAL_OUTPUT(audio_tables_ready, MEMBER(audio, tables___05Fready))
OPTIONAL_INPUT(set_audio_tables_valid, MEMBER(audio, tables___05Fvalid))

template <typename Top>
void set_audio_row(Top& top, const uint8_t* row, size_t bytes) {
    if constexpr (has_audio<Top>) {
        auto& port = top.MEMBER(audio, tables___05Fpayload);
        set_bytes(port, row, std::min(bytes, sizeof port));
    }
}

// Bits of `AudioPulse` in audio.py.
template <typename Top>
void set_audio_pulses(Top& top, uint32_t pulses) {
    set_audio_clear(top, pulses & 1);
    set_audio_resume(top, pulses >> 1 & 1);
    set_audio_release(top, pulses >> 2 & 1);
}

// Fields in the order of `REGISTERS` in audio.py; false for any other.
template <typename Top>
bool set_audio_field(Top& top, uint32_t field, const uint8_t* bytes) {
    if constexpr (has_audio<Top>) switch (field) {
        case 0: return set_bytes(top.MEMBER(audio, mode), bytes), true;
        case 1: return set_bytes(top.MEMBER(audio, microphone), bytes), true;
        case 2: return set_bytes(top.MEMBER(audio, vad), bytes), true;
        case 3: return set_bytes(top.MEMBER(audio, constants), bytes), true;
        case 4: return set_bytes(top.MEMBER(audio, place), bytes), true;
        case 5: return set_bytes(top.MEMBER(audio, automatic), bytes), true;
    }
    return false;
}
