// Ports of the verilated chip that a chip may lack, each as a function of the same name.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "Vchip.h"

// Verilator's spelling of Amaranth's `port__member`.
#define MEMBER(port, member) port##___05F##member

// Reads as 0 where there is none.
#define OPTIONAL_OUTPUT(function, port)                                  \
    template <typename Top>                                              \
    uint64_t function(const Top& top) {                                  \
        if constexpr (requires { top.port; }) return uint64_t(top.port); \
        else return 0;                                                   \
    }
// Writing does nothing where there is none.
#define OPTIONAL_INPUT(function, port)                      \
    template <typename Top>                                 \
    void function(Top& top, uint64_t value) {               \
        if constexpr (requires { top.port; }) top.port = value; \
        else (void)value;                                   \
    }
#define HAS_PORT(name, port) \
    template <typename Top>  \
    constexpr bool name = requires(Top & top) { top.port; };

OPTIONAL_OUTPUT(error_of, error)
OPTIONAL_OUTPUT(error_kind_of, error_kind)
OPTIONAL_OUTPUT(error_address_of, error_address)
OPTIONAL_OUTPUT(corrected_of, corrected)
OPTIONAL_OUTPUT(mram_active_of, mram_active)
OPTIONAL_OUTPUT(banks_powered_of, mram_banks_powered)
OPTIONAL_OUTPUT(mac_active_of, mac_active)
OPTIONAL_OUTPUT(wait_weights_of, wait_weights)
OPTIONAL_OUTPUT(wait_drain_of, wait_drain)
OPTIONAL_OUTPUT(core_clock_of, core_clock)
OPTIONAL_OUTPUT(mode_of, mode)
OPTIONAL_OUTPUT(mode_ready_of, mode_ready)
OPTIONAL_OUTPUT(wake_pending_of, wake_pending)
OPTIONAL_OUTPUT(audio_clock_of, audio_clock)
OPTIONAL_OUTPUT(file_valid, MEMBER(image, file___05Fvalid))
OPTIONAL_OUTPUT(file_word, MEMBER(image, file___05Fpayload))
OPTIONAL_OUTPUT(pixel_clock_of, pixel_clock)
OPTIONAL_OUTPUT(codec_clock_of, codec_clock)
OPTIONAL_OUTPUT(host_ready_of, MEMBER(host, ready))

OPTIONAL_INPUT(set_aon_clk, aon_clk)
OPTIONAL_INPUT(set_aon_rst, aon_rst)
OPTIONAL_INPUT(request_mode, mode_request)
OPTIONAL_INPUT(set_wake, wake)
OPTIONAL_INPUT(set_wake_mode, wake_mode)
OPTIONAL_INPUT(set_wake_clear, wake_clear)
OPTIONAL_INPUT(set_audio_clk, audio_clk)
OPTIONAL_INPUT(set_audio_rst, audio_rst)
OPTIONAL_INPUT(set_file_ready, MEMBER(image, file___05Fready))
OPTIONAL_INPUT(set_pixel_clk, pixel_clk)
OPTIONAL_INPUT(set_pixel_rst, pixel_rst)
OPTIONAL_INPUT(set_codec_clk, codec_clk)
OPTIONAL_INPUT(set_codec_rst, codec_rst)
OPTIONAL_INPUT(set_vsync, MEMBER(image_pins, vsync))
OPTIONAL_INPUT(set_href, MEMBER(image_pins, href))
OPTIONAL_INPUT(set_pixel, MEMBER(image_pins, data))
OPTIONAL_INPUT(set_i2s_data, MEMBER(audio_pins, i2s_data))
OPTIONAL_INPUT(set_i2s_word_select, MEMBER(audio_pins, i2s_word_select))
OPTIONAL_INPUT(set_gating, gating)
OPTIONAL_INPUT(set_footprint, footprint)
OPTIONAL_INPUT(set_held, held)
OPTIONAL_INPUT(open_host, MEMBER(host, open))
OPTIONAL_INPUT(set_mutant, mutant)

HAS_PORT(has_aon, aon_clk)
HAS_PORT(has_audio, audio_clk)
HAS_PORT(has_image, pixel_clk)
HAS_PORT(has_core_clock, core_clock)
HAS_PORT(has_modes, mode_ready)
HAS_PORT(has_host_ready, MEMBER(host, ready))
HAS_PORT(has_gating, gating)
HAS_PORT(has_banks, mram_banks_powered)

// `power_state`, two bits a domain; all zeros for a chip that has no such port.
using PowerWord = std::array<uint64_t, 2>;

template <typename Top>
PowerWord power_state_of(const Top& top) {
    PowerWord word = {};
    if constexpr (requires { top.power_state; }) {
        static_assert(sizeof(top.power_state) <= sizeof(word), "more than 64 power domains");
        std::memcpy(&word, &top.power_state, sizeof(top.power_state));
    }
    return word;
}

// Ports of up to 64 bits are integers, wider ones arrays of 32-bit words, least significant first.
// On the little-endian machines we run on, all of them are the bytes of the value in order.
template <typename Port>
void set_bytes(Port& port, const uint8_t* bytes, size_t count = sizeof(Port)) {
    std::memcpy(&port, bytes, count);
}

template <typename Port>
void get_bytes(const Port& port, uint8_t* bytes) {
    std::memcpy(bytes, &port, sizeof(port));
}
