// What the parsers of sequential and of progressive streams share: segments, tables, the frame header. Stricter than
// libjpeg: anything unusual is Declined.
#pragma once

#include <array>
#include <optional>

#include "core/image.h"
#include "jpeg/frame.h"
#include "jpeg/huffman.h"

namespace fastpre {

inline constexpr int kMaxMcuBlocks = 10;  // T.81 B.2.3

// Position of the 0xFF of the marker behind a scan's data. Throws Declined if the stream ends before.
size_t EndOfScan(Bytes stream, const Scan& scan);

class StreamParser {
 protected:
  explicit StreamParser(Bytes stream) : stream_(stream) {}

  void Begin();  // at the first marker behind SOI
  int NextMarker();
  Bytes Segment();
  void ReadFrame(Bytes s);
  // Tables, restart intervals, what the application markers say of colours. False for other markers.
  bool ReadTables(int code, Bytes s);

  Bytes stream_;
  size_t at_ = 0;
  Frame frame_;
  std::array<int, 4> quant_index_{};
  std::array<std::optional<HuffmanCode>, 4> dc_, ac_;
  std::array<std::optional<std::array<int16_t, 64>>, 4> quant_;
  int restart_interval_ = 0;
  bool jfif_ = false;
  int adobe_ = -1;  // the marker's transform; -1: none

 private:
  void ReadHuffman(Bytes s);
  void ReadQuant(Bytes s);
  void ReadApp(Bytes s, int code);
};

}  // namespace fastpre
