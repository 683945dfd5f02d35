// A stream of pixel rows, whoever decodes them: the project's own baseline decoder, or libjpeg-turbo
// for everything that it declines.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/crew.h"
#include "core/image.h"
#include "jpeg/header.h"

namespace fastpre {

// One image at a time, top to bottom. Rows are RGBX; gray is replicated and CMYK / YCCK is converted
// to RGB as Pillow does. Owners are reused for many images and used by one thread at a time.
class RowSource {
 public:
  virtual ~RowSource() = default;

  // Prepares to deliver the pixels of `source` (in stored coordinates). `bytes` must outlive the
  // image. Throws Error for what Pillow would refuse.
  // A `crew`, which may be null, must outlive the image too, that is, until Release.
  virtual void Open(Bytes bytes, const Header& header, const Rect& source, Crew* crew = nullptr) = 0;

  // The next `count` rows of the rectangle: pixel column source.x0 of row k is written at
  // rows + k * stride_bytes + left_bytes() and source.width() pixels follow. Columns around them
  // may be written too: each row needs row_bytes() bytes.
  virtual void Read(int count, uint8_t* rows, size_t stride_bytes) = 0;
  virtual size_t left_bytes() const = 0;
  virtual size_t row_bytes() const = 0;

  // After the last row. `whole`: go on to the end of the stream, because Pillow does and would
  // report what is broken there; otherwise nothing below the rectangle is looked at.
  virtual void Close(bool whole) = 0;

  // Gives back what the image took; also right after a failure, at any point.
  virtual void Release() = 0;

  virtual const char* name() const = 0;
};

std::unique_ptr<RowSource> MakeTurboSource();

// Thrown by the baseline decoder, from Open, Read or Close: this stream is not for it, or holds
// something that an undamaged one does not. The image is to start over with libjpeg-turbo, which
// then says what it is worth.
class Declined : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The reason where a block's coefficients are so large that libjpeg-turbo's pixels may be others (JpegKernels::idct).
inline constexpr const char* kExtreme = "coefficients that no photograph has";

// Sequential Huffman streams of 8 bits (SOF0, SOF1), with pixels equal to libjpeg-turbo's; every
// other stream is Declined. `target` chooses the kernels (JpegKernelsFor).
std::unique_ptr<RowSource> MakeBaselineSource(int64_t target);

// Why the baseline decoder would decline this image as soon as it is opened; empty: it would not.
std::string WhyDeclined(Bytes bytes, const Header& header);

// "2.1.5", of the headers that this was compiled against.
const char* TurboVersion();

}  // namespace fastpre
