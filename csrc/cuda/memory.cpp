#include "cuda/memory.h"

#include <algorithm>

namespace fastpre::cuda {

BoundedMemory::~BoundedMemory() {
  for (const auto& [memory, bytes] : sizes_) runtime_->Free(kind_, memory);
}

void* BoundedMemory::Allocate(size_t bytes) noexcept {
  try {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > bound_ || used_ > bound_ - bytes) return nullptr;
    sizes_.reserve(sizes_.size() + 1);
    void* memory = runtime_->Allocate(kind_, bytes);
    if (!memory) return nullptr;
    sizes_.emplace(memory, bytes);
    used_ += bytes;
    peak_ = std::max(peak_.load(), used_.load());
    return memory;
  } catch (...) {
    return nullptr;
  }
}

void BoundedMemory::Free(void* memory) noexcept {
  if (!memory) return;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = sizes_.find(memory);
  if (found == sizes_.end()) return;
  used_ -= found->second;
  sizes_.erase(found);
  runtime_->Free(kind_, memory);
}

}  // namespace fastpre::cuda
