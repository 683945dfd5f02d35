// Which instruction sets Google Highway compiles kernels for. To be included before Highway's headers.
#pragma once

#ifdef HWY_TARGETS
#error "core/highway_config.h has no effect after Highway's headers"
#endif

#define HWY_WANT_AVX3_DL 1            // off by default before Highway 1.1
#define HWY_COMPILE_ALL_ATTAINABLE 1  // down to SSSE3 and the emulated 128-bit one, so tests cover them
// Blocks of 128 bits are the unit of all kernels; scalable vectors would gain nothing over NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
