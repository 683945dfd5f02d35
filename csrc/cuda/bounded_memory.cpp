#include "cuda/bounded_memory.h"

#include <algorithm>

namespace fastpre::cuda {

BoundedMemory::~BoundedMemory() {
  for (const auto& [memory, bytes] : sizes_) runtime_->Free(kind_, memory);
}

void* BoundedMemory::Allocate(size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > bound_ || used_ > bound_ - bytes) return nullptr;
  void* memory = runtime_->Allocate(kind_, bytes);
  if (!memory) return nullptr;
  try {
    sizes_.emplace(memory, bytes);
  } catch (...) {
    runtime_->Free(kind_, memory);
    throw;
  }
  used_ += bytes;
  peak_ = std::max(peak_.load(), used_.load());
  return memory;
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
