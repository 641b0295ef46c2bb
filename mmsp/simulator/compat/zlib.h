// The one function of zlib that Verilator's FST writer calls, so that recording a waveform needs no
// library beyond the compiler's own.  It does not compress: the writer then stores the plain bytes.
#pragma once

#define Z_OK 0

using uLong = unsigned long;
using uLongf = unsigned long;
using Bytef = unsigned char;

inline uLong compressBound(uLong size) { return size; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    for (uLong i = 0; i < size; ++i) target[i] = source[i];
    *target_size = size;  // not smaller than the source: the writer keeps the source
    return Z_OK;
}
