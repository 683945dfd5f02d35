// Parts of the two decoders, each alone: what the benchmarks time side by side.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/image.h"

namespace fastpre {

// Does one part of decoding a whole image, with decoders that the calling thread keeps, as a Worker's are:
//
//   coefficients/libjpeg-turbo  header and jpeg_read_coefficients: every coefficient, kept for the whole image
//   coefficients/fastpre        ParseFrame, tables, and every MCU into groups that are cleared four MCUs later, as
//                               PlaneDecoder's are, without the inverse DCT
//   skip/fastpre                the same with symbols' lengths only
//   rgb/libjpeg-turbo           both headers and every row as RGBX, through a buffer as small as the pipeline's
//   rgb/fastpre                 the same
//
// `target` chooses the kernels (JpegKernelsFor). Returns how many blocks hold samples, or how many pixels
// there are; with `checksum`, for comparing results and not for timing, the sum of value * weight over
// all coefficients, or all R, G and B, with a weight of its own for every position.
//
// Throws Declined, Error, and std::invalid_argument for another name.
uint64_t Probe(std::string_view what, Bytes bytes, int64_t target, bool checksum);

}  // namespace fastpre
