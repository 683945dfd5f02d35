#include "jpeg/scan.h"

#include <algorithm>

#include "jpeg/block.h"
#include "jpeg/decoder.h"

namespace fastpre {
namespace {

constexpr const char* kEndsEarly = "the scan's data ends before the image does";
constexpr const char* kNoRestart = "a restart marker is not where it belongs";

}  // namespace

std::vector<BlockTables> McuTables(const Frame& frame, const Scan& scan, HuffmanCache* cache) {
  std::vector<BlockTables> mcu;
  for (int i = 0; i < scan.count; ++i) {
    const ScanComponent& c = scan.component[i];
    const FrameComponent& f = frame.component[c.index];
    const BlockTables block{cache->Dc(frame.dc_code[c.dc]), cache->Ac(frame.ac_code[c.ac]), i};
    mcu.insert(mcu.end(), scan.count == 1 ? 1 : f.h * f.v, block);
  }
  return mcu;
}

void ScanDecoder::Open(Bytes stream, const Frame& frame, const Scan& scan, HuffmanCache* cache,
                       const JpegKernels& kernels) {
  mcu_ = McuTables(frame, scan, cache);
  interval_ = until_restart_ = scan.restart_interval;
  next_restart_ = 0;
  dc_.fill(0);
  reader_.Open(stream, scan.begin, kernels);
  reader_.Start(&bits_);
}

void ScanDecoder::Restart(Bits* bits) {
  if (!reader_.NextSegment(next_restart_, bits)) throw Declined(kNoRestart);
  next_restart_ = (next_restart_ + 1) % 8;
  until_restart_ = interval_;
  dc_.fill(0);
}

template <bool kStore>
void ScanDecoder::Run(int count, const BlockTarget* targets) {
  Bits bits = bits_;
  const BlockTables* const mcu = mcu_.data();
  const int blocks = this->blocks();
  for (int m = 0; m < count; ++m) {
    if (interval_ > 0) {
      if (until_restart_ == 0) Restart(&bits);
      --until_restart_;
    }
    if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
    for (int i = 0; i < blocks; ++i) {
      const BlockTables& block = mcu[i];
      bits.Refill();
      int difference, last;
      if (!TakeDc(&bits, *block.dc, &difference)) throw Declined("a code that no Huffman table has");
      int& dc = dc_[block.component];
      dc += difference;
      if constexpr (kStore) {
        const BlockTarget& target = targets[i];
        target.coefficients[0] = static_cast<int16_t>(dc);
        last = TakeAc<true>(&bits, *block.ac, target.coefficients);
        *target.last = std::max(*target.last, static_cast<uint8_t>(last));
      } else {
        last = TakeAc<false>(&bits, *block.ac, nullptr);
      }
      if (last < 0) throw Declined("a broken block");
    }
    targets += kStore ? blocks : 0;
  }
  if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
  bits_ = bits;
  // libjpeg-turbo gives up where predictions overflow; those of a photograph stay within 12 bits.
  for (const int dc : dc_) {
    if (dc < -(1 << 20) || dc > 1 << 20) throw Declined("DC coefficients out of range");
  }
}

void ScanDecoder::Decode(int count, const BlockTarget* targets) { Run<true>(count, targets); }

void ScanDecoder::Skip(int64_t count) {
  constexpr int kAtOnce = 256;  // so that predictions cannot overflow before they are looked at
  for (; count > kAtOnce; count -= kAtOnce) Run<false>(kAtOnce, nullptr);
  if (count > 0) Run<false>(static_cast<int>(count), nullptr);
}

// What a damaged interval holds would not have mattered: libjpeg, too, starts afresh behind the marker.
int64_t ScanDecoder::SkipSegments(int64_t count) {
  const int64_t segments = interval_ > 0 ? count / interval_ : 0;
  if (segments == 0) return count;
  if (!reader_.SkipSegments(0, segments, &bits_)) throw Declined(kNoRestart);
  next_restart_ = static_cast<int>(segments % 8);
  return count - segments * interval_;
}

}  // namespace fastpre
