// How quantized coefficients are sent to a device: a block is its DC coefficient and an entry for each other one that
// is not zero. A photograph's take about 1.8 times its compressed bytes (benchmarks/upload.py), an eighth of the dense
// ones.
//
//   words[offset]: DC; then `count` entries
//   narrow entry: 6 bits of natural position, 10 bits of value        -512..511
//   wide entry:   two words, position and value; all of a block's entries are of one kind
//
// Entries have one size within a block, so eight threads read them side by side.
#pragma once

#include <cstdint>

namespace fastpre {

inline constexpr uint8_t kWideEntries = 0x80;  // of a block's head
inline constexpr uint8_t kEntryCount = 0x7F;
inline constexpr int kEntryValueBits = 10;
inline constexpr int kNarrowMost = (1 << (kEntryValueBits - 1)) - 1;  // 511; the least is one further

}  // namespace fastpre
