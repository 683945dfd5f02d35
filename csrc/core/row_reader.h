// Pixels of one image, row by row, from a decoder or from memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastpre {

// Opening is each reader's own matter; it names the rectangle of stored pixels that is then read from top to bottom.
// Rows are RGBX; gray is replicated, and CMYK and YCCK are converted to RGB as Pillow does. One
// thread uses a reader at a time.
class RowReader {
 public:
  virtual ~RowReader() = default;

  // The next `count` rows of the rectangle: its first pixel column of row k is written at
  // rows + k * stride_bytes + left_bytes(), and the others follow. Columns around them may be written too: each row
  // needs row_bytes() bytes.
  virtual void Read(int count, uint8_t* rows, size_t stride_bytes) = 0;
  virtual size_t left_bytes() const = 0;
  virtual size_t row_bytes() const = 0;
};

}  // namespace fastpre
