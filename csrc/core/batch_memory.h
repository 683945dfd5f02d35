// Memory for result batches, recycled.
//
// A batch of 128 images of 224 x 224 x 3 floats is 77 MB. New memory from the operating system is
// slow at its first use, because each page is mapped and zeroed then: 0.04 to 0.4 ms per image here, more with more
// threads (docs/performance.md), against 0.02 ms for memory that was used before. So the memory of the last batches
// that were freed is kept and used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fastpre {

inline constexpr int kKeptBatches = 2;                        // a loop holds one and makes the next
inline constexpr size_t kKeptBatchBytes = size_t{512} << 20;  // of all kept ones together

// At least `bytes` bytes, aligned to a cache line; contents are whatever was there. Given back when the
// last owner lets go, on any thread. Throws std::bad_alloc.
std::shared_ptr<uint8_t> TakeBatchMemory(size_t bytes);

}  // namespace fastpre
