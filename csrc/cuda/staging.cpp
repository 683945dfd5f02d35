#include "cuda/staging.h"

#include <algorithm>

namespace fastpre::cuda {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

}  // namespace

StagingBuffers::StagingBuffers(Runtime* runtime, MemoryBounds bounds)
    : runtime_(runtime),
      device_memory_(runtime, Memory::kDevice, bounds.device_bytes),
      pinned_memory_(runtime, Memory::kPinned, bounds.pinned_bytes) {
  for (StagingBuffer& buffer : buffers_) {
    for (Stream* stream : {&buffer.copies, &buffer.engines, &buffer.decoders}) *stream = runtime_->CreateStream();
    for (Event* event : {&buffer.uploaded, &buffer.drained}) *event = runtime_->CreateEvent();
  }
}

StagingBuffers::~StagingBuffers() {
  for (StagingBuffer& buffer : buffers_) {
    try {
      runtime_->Synchronize(buffer.drained);
    } catch (const CudaError&) {
      // A broken context has nothing left to wait for.
    }
    device_memory_.Free(buffer.device);
    pinned_memory_.Free(buffer.pinned);
    for (const Stream stream : {buffer.copies, buffer.engines, buffer.decoders}) runtime_->DestroyStream(stream);
    for (const Event event : {buffer.uploaded, buffer.drained}) runtime_->DestroyEvent(event);
  }
}

StagingBuffer* StagingBuffers::Take(size_t device_bytes, size_t pinned_bytes) {
  StagingBuffer* buffer = nullptr;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto fits = [&](const StagingBuffer& s) {
      return s.device_bytes >= device_bytes && s.pinned_bytes >= pinned_bytes;
    };
    // One that no kernel reads any more, so that a caller does not wait for its own last batch; of those the smallest
    // that is large enough, else the largest: growing is expensive.
    const auto better = [&](const StagingBuffer& s, const StagingBuffer& than) {
      const bool drained = Drained(s);
      if (drained != Drained(than)) return drained;
      if (fits(s) != fits(than)) return fits(s);
      return fits(s) ? s.device_bytes < than.device_bytes : s.device_bytes > than.device_bytes;
    };
    const auto free = [&] {
      buffer = nullptr;
      for (StagingBuffer& s : buffers_) {
        if (!s.taken && (!buffer || better(s, *buffer))) buffer = &s;
      }
      return buffer != nullptr;
    };
    returned_.wait(lock, free);
    buffer->taken = true;
  }
  try {
    runtime_->Synchronize(buffer->drained);
    if (Grow(buffer, device_bytes, pinned_bytes)) return buffer;
    EmptyOthers();
    if (Grow(buffer, device_bytes, pinned_bytes)) return buffer;
  } catch (...) {
    Return(buffer);
    throw;
  }
  Return(buffer);
  return nullptr;
}

// A device in trouble says so where it is waited for, not where a buffer is looked for.
bool StagingBuffers::Drained(const StagingBuffer& buffer) {
  try {
    return runtime_->Done(buffer.drained);
  } catch (const CudaError&) {
    return true;
  }
}

// Takes the memory of buffers that no call has, once they are drained.
void StagingBuffers::EmptyOthers() {
  for (StagingBuffer& buffer : buffers_) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (buffer.taken) continue;
      buffer.taken = true;
    }
    try {
      runtime_->Synchronize(buffer.drained);
    } catch (...) {
      Return(&buffer);
      throw;
    }
    device_memory_.Free(buffer.device);
    pinned_memory_.Free(buffer.pinned);
    buffer.device = buffer.pinned = nullptr;
    buffer.device_bytes = buffer.pinned_bytes = 0;
    Return(&buffer);
  }
}

bool StagingBuffers::Grow(StagingBuffer* buffer, size_t device_bytes, size_t pinned_bytes) {
  const auto grow = [](BoundedMemory* memory, size_t most, size_t bytes, uint8_t** data, size_t* have) {
    if (bytes <= *have) return true;
    memory->Free(*data);
    *data = nullptr;
    *have = 0;
    const size_t rounded = std::max(std::min(SizeClass(bytes, 4 * kMiB), most), bytes);
    *data = static_cast<uint8_t*>(memory->Allocate(rounded));
    if (*data) *have = rounded;
    return *data != nullptr;
  };
  return grow(&device_memory_, most_device_bytes(), device_bytes, &buffer->device, &buffer->device_bytes) &&
         grow(&pinned_memory_, most_pinned_bytes(), pinned_bytes, &buffer->pinned, &buffer->pinned_bytes);
}

void StagingBuffers::Return(StagingBuffer* buffer) noexcept {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    buffer->taken = false;
  }
  returned_.notify_one();
}

}  // namespace fastpre::cuda
