// Compressed images from files, read whole.
#pragma once

#include <cstdint>
#include <string>

#include "core/buffer.h"
#include "core/image.h"
#include "core/source.h"

namespace fastpre {

// The whole file, in `buffer`. Pipes and FIFOs are read to their end; waiting for them ends when the call is
// cancelled, and signals do not disturb it. Not by mmap: a file that another process cuts meanwhile would kill this
// one. Throws Error(kIo), Error(kLimit) past `max_bytes`, Cancelled; Error(kDeadline) where it waits past that.
Bytes ReadFile(const std::string& path, int64_t max_bytes, Buffer* buffer);

// The source's bytes, in `buffer` if they come from a file. Throws as ReadFile; Error where there is no image.
Bytes ReadSource(const Source& source, int64_t max_bytes, Buffer* buffer);

}  // namespace fastpre
