#include "core/batch_memory.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace fastpre {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

struct Block {
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

Block Map(size_t bytes) {
  const bool large = bytes >= 2 * kHugePage;
  const size_t step = large ? kHugePage : 64;
  Block block;
  if (bytes > SIZE_MAX - step) throw std::bad_alloc();
  block.bytes = (bytes + step - 1) / step * step;
  block.data = static_cast<uint8_t*>(std::aligned_alloc(step, block.bytes));
  if (!block.data) throw std::bad_alloc();
#ifdef __linux__
  if (large) (void)madvise(block.data, block.bytes, MADV_HUGEPAGE);  // 512 times fewer page faults
#endif
  return block;
}

// The lock is only ever tried: after a fork() it may stay locked for ever in the child, which then
// does without the cache.
class Cache {
 public:
  static Cache& Get() {
    static Cache* cache = new Cache;  // leaked: tensors may outlive every static destructor
    return *cache;
  }

  // An empty block if nothing kept is large enough and not twice too large.
  Block Take(size_t bytes) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return {};
    for (size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i].bytes < bytes || kept_[i].bytes / 2 > bytes) continue;
      const Block block = kept_[i];
      kept_.erase(kept_.begin() + static_cast<ptrdiff_t>(i));
      return block;
    }
    return {};
  }

  void Keep(Block block) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock || block.bytes > kKeptBatchBytes) return std::free(block.data);
    kept_.push_back(block);
    size_t total = 0;
    for (const Block& b : kept_) total += b.bytes;
    while (kept_.size() > kKeptBatches || total > kKeptBatchBytes) {  // the oldest goes
      total -= kept_.front().bytes;
      std::free(kept_.front().data);
      kept_.erase(kept_.begin());
    }
  }

 private:
  std::mutex mutex_;
  std::vector<Block> kept_;
};

}  // namespace

std::shared_ptr<uint8_t> TakeBatchMemory(size_t bytes) {
  Block block = Cache::Get().Take(bytes);
  if (!block.data) block = Map(bytes);
  return {block.data, [block](uint8_t*) { Cache::Get().Keep(block); }};
}

}  // namespace fastpre
