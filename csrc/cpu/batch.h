// A batch of compressed images on the CPU: which thread does which image when, and what becomes of slots whose image
// failed.
#pragma once

#include <optional>
#include <vector>

#include "core/batch.h"
#include "core/image.h"
#include "core/record.h"
#include "cpu/pixels.h"

namespace fastpre {

// Images' faults, the deadline among them, go into their records. Throws Cancelled once no thread writes any more;
// what slots hold then is undefined.
std::vector<Record> Run(const Batch& batch);

// The same for one image that is decoded already: 8-bit, `view` in RGB (or one channel for "L").
Record RunPixels(const PixelView& view, const Spec& spec, const Affine& affine, const Draw* draw,
                 const OutputView& out);

struct Size {
  int height, width;
};
using Sizes = std::vector<std::optional<Size>>;
// Of each image's output, by its header; none for an image that fails, which Run reports with its reason. Throws
// Cancelled.
Sizes OutputSizes(const std::vector<Source>& sources, const Spec& spec, CallContext* context);
// Of each image itself, oriented if the spec says so.
Sizes ImageSizes(const std::vector<Source>& sources, const Spec& spec, CallContext* context);

// Fills a slot with one value, in the slot's dtype.
void FillSlot(const OutputView& out, float value);

}  // namespace fastpre
