// Entropy decoding of one sequential Huffman scan: MCUs into groups of quantized coefficients.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jpeg/bits.h"
#include "jpeg/block.h"
#include "jpeg/frame.h"
#include "jpeg/huffman.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/sparse.h"

namespace fastpre {

// Where one block of an MCU goes.
struct BlockTarget {
  int16_t* coefficients;  // of block b: group + 8 * b; all zero before
  uint8_t* last;          // becomes at least the zigzag position of its last nonzero coefficient
};

// What decodes a block.
struct BlockTables {
  const DcTable* dc;
  const AcTable* ac;
  int component;  // in the scan
};
// Of an MCU's blocks, in order. They live as long as the cache is not asked for other images' tables.
std::vector<BlockTables> McuTables(const Frame& frame, const Scan& scan, HuffmanCache* cache);

class ScanDecoder {
 public:
  // `scan` and the tables' cache stay alive while the image is decoded.
  void Open(Bytes stream, const Frame& frame, const Scan& scan, HuffmanCache* cache, const JpegKernels& kernels);

  // The next `count` MCUs; targets[m * blocks() + i] is block i of MCU m. Throws Declined where the
  // data is not what an encoder writes; the targets are then garbage.
  void Decode(int count, const BlockTarget* targets);
  // The same into sparse blocks: targets[i] is for block i of every MCU, the first of which has number `first` there.
  void DecodeSparse(int count, const SparseTarget* targets, int first, SparseWriter* writer);
  // The same without keeping coefficients.
  void Skip(int64_t count);
  // Before the first MCU: passes over as many of the next `count` MCUs as whole restart intervals hold, without
  // decoding them, and returns how many are left.
  int64_t SkipSegments(int64_t count);

  int blocks() const { return static_cast<int>(mcu_.size()); }
  // The marker that follows the scan's data; 0: none.
  int MarkerAfter() const { return reader_.MarkerAfter(interval_ > 0); }

 private:
  template <class Block>
  void Run(int count, const Block& block);
  void RunSparse(int count, const SparseTarget* targets, int first, SparseWriter* writer);
  void Restart(Bits* bits);

  BitReader reader_;
  Bits bits_;
  std::vector<BlockTables> mcu_;
  std::array<int, 4> dc_{};  // predictions
  int interval_ = 0, until_restart_ = 0, next_restart_ = 0;
};

}  // namespace fastpre
