// JPEG streams to rows of pixels: the project's own baseline decoder, and libjpeg-turbo for everything that it
// declines.
#pragma once

#include <cstdint>
#include <memory>

#include "core/helper_threads.h"
#include "core/image.h"
#include "core/row_reader.h"
#include "jpeg/header.h"

namespace fastpre {

// Used for many images.
class JpegDecoder : public RowReader {
 public:
  // Prepares to deliver the pixels of `source` (in stored coordinates). `bytes`, and `helpers`, which may be null, must
  // outlive the image, that is, until Close. Throws Error for what Pillow would refuse; with `partial`, what arrived of
  // a stream is an image, as under Pillow's LOAD_TRUNCATED_IMAGES, and truncated() says that it is not all.
  virtual void Open(Bytes bytes, const Header& header, const Rect& source, HelperThreads* helpers = nullptr,
                    bool partial = false) = 0;

  // After the last row, for exact fidelity: looks at what follows in the stream, because Pillow does and would report
  // what is broken there.
  virtual void CheckTail() = 0;

  // With `partial`: true if the same calls without it would have thrown so far.
  virtual bool truncated() const = 0;

  // Gives back what the image took; also right after a failure, at any point.
  virtual void Close() = 0;
};

// Every stream that Pillow takes.
std::unique_ptr<JpegDecoder> MakeTurboDecoder();
// "2.1.5", of the headers that this was compiled against.
const char* TurboVersion();

// Sequential Huffman streams of 8 bits (SOF0, SOF1), with pixels equal to libjpeg-turbo's; Open, Read and CheckTail
// throw Declined for every other stream. `target` chooses the kernels (JpegKernelsFor).
std::unique_ptr<JpegDecoder> MakeBaselineDecoder(int64_t target);

}  // namespace fastpre
