// Speculative entropy decoding: one scan, several threads.
//
// 1. The data is cut into chunks. Where there are restart markers, chunks begin at them, and each is decoded as it is.
// 2. Elsewhere a helper thread starts at a chunk's first bit as if an MCU began there. Its first MCUs are wrong, but
//    Huffman streams synchronize themselves: after some tens of MCUs they are the true ones (Weissenberger and Schmidt,
//    "Massively parallel Huffman decoding on GPUs", 2018). It notes the bit where each MCU began.
// 3. The owner, the thread that the image belongs to, takes the chunks in order. It decodes on from the end of the
//    chunk before until it stands at one of the noted bits. From there on the helper's MCUs are right; only the DC
//    coefficients of each component need a constant added. This is called joining the chunk.
// 4. Where the owner meets no noted bit, it decodes the chunk itself. So the result does not depend on speculation.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/buffer.h"
#include "core/helper_threads.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/mcu_rect.h"
#include "jpeg/mcu_store.h"

namespace fastpre {

// Positions before a speculative chunk's first MCU, for the true ones that the owner decodes until it meets that chunk.
inline constexpr int kHeadroom = 64;

class SpeculativeDecoder {
 public:
  // MCUs [begin, end) of a quad whose first lane would hold MCU `first`.
  struct Quad {
    const int16_t* coefficients;
    const uint8_t* last;  // of each group, as BlockTarget::last
    int64_t first, begin, end;
  };

  ~SpeculativeDecoder() { Close(); }

  // True if it is worth it: one scan of everything, long enough for several chunks.
  static bool Applies(const Frame& frame, Bytes stream);

  // Only `wanted` MCUs will be visited. What is passed by reference must outlive Close(). May throw Declined, as Visit
  // may.
  void Open(Bytes stream, const Frame& frame, const McuRect& wanted, HuffmanCache* cache, const JpegKernels& kernels,
            McuQuadLayout layout, HelperThreads* helpers);

  // Calls use(quad) for the MCUs [from, to), in order. MCUs before `from` are forgotten: ranges ascend.
  template <class Use>
  void Visit(int64_t from, int64_t to, Use use) {
    Recycle(from);
    while (true_mcu_ < to) Resolve();
    for (int64_t i = oldest_; i < resolved_; ++i) {
      Chunk& chunk = *chunks_[i];
      const int64_t origin = chunk.mcu - chunk.first;  // of position 0
      const int64_t begin = std::max(from, chunk.mcu), end = std::min(to, chunk.mcu + chunk.count);
      if (begin >= end) continue;
      for (int64_t quad = (begin - origin) / kGroupBlocks; quad * kGroupBlocks + origin < end; ++quad) {
        const int64_t first = quad * kGroupBlocks + origin;
        use(Quad{chunk.store.coefficients(quad), chunk.store.last(quad), first, std::max(begin, first),
                 std::min(end, first + kGroupBlocks)});
      }
    }
  }

  // The marker behind the scan's data; 0: none.
  int MarkerAfter() const { return marker_after_; }

  // Sends the helpers away. To be called after a failure as well, before `helpers` is destroyed.
  void Close();

  // After Close(): gives back memory of more than `keep_bytes`, of coefficients and of data alike.
  void Trim(size_t keep_bytes);

 private:
  enum class State : uint8_t { kIdle, kRunning, kDone };
  struct Chunk {
    State state = State::kIdle;
    McuStore store;
    int first = 0, count = 0;      // positions in use
    std::vector<uint64_t> starts;  // speculative: the bit where each of those MCUs begins
    uint64_t end = 0;              // the bit behind the last one
    std::array<int, 4> dc{};       // predictions there
    bool broken = false;           // of whole segments: not what an encoder writes
    int64_t mcu = 0;               // of position `first`; true once the chunk is resolved
  };

  void Unstuff(Bytes stream, const Scan& scan, const JpegKernels& kernels);
  void PlanChunks();
  void PlanSegments(int64_t mcus_a_chunk);
  bool IsWanted(int64_t mcu) const {
    const int64_t x = mcu % mcus_x_;
    return mcu / mcus_x_ >= wanted_.y0 && x >= wanted_.x0 && x < wanted_.x1;
  }
  void Prepare(int64_t index);
  void Recycle(int64_t mcu);

  // The helpers' side (speculative_helper.cpp).
  void Help();
  void Decode(int64_t index);
  void DecodeSpeculatively(int64_t index);
  void DecodeSegments(int64_t index);

  // The owner's side.
  void Resolve();
  void Obtain(int64_t index);
  bool Join(Chunk* chunk);
  void DecodeTrue(int64_t index);
  void Continue(int64_t index, McuCursor* cursor);
  McuCursor Cursor() const { return McuCursor(mcu_, layout_, data_.data()); }

  std::vector<BlockTables> mcu_;
  McuQuadLayout layout_;
  Buffer data_;  // the scan's data, unstuffed, one segment after the other
  uint64_t total_bits_ = 0;
  std::vector<uint64_t> segments_;  // where each begins
  int interval_ = 0;
  int64_t mcus_x_ = 1, mcus_ = 0;
  McuRect wanted_;
  int marker_after_ = 0;

  std::vector<uint64_t> begins_;  // where each chunk begins, and total_bits_: bits, or segments if there are any
  int most_speculative_mcus_ = 0;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::unique_ptr<Chunk>> spare_;
  McuStore bridge_;
  int64_t chunks_ahead_ = 0;  // chunks in store, at most, beyond the oldest one

  // The owner's: the next chunk to resolve, and the true state where it begins.
  int64_t oldest_ = 0, resolved_ = 0;
  int64_t true_mcu_ = 0;
  uint64_t true_bit_ = 0;
  std::array<int, 4> true_dc_{};

  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t claimed_ = 0, prepared_ = 0;  // guarded, as are the chunks' states
  std::atomic<bool> stop_{false};
  HelperThreads* helpers_ = nullptr;
};

}  // namespace fastpre
