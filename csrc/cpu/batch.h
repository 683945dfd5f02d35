// A batch of compressed images on the CPU: which thread does which image when, and what becomes of slots whose image
// failed.
#pragma once

#include <vector>

#include "core/batch.h"
#include "core/image.h"
#include "core/record.h"

namespace fastpre {

// Images' faults, the deadline among them, go into their records. Throws Cancelled once no thread writes any more;
// what slots hold then is undefined.
std::vector<Record> Run(const Batch& batch);

// Fills a slot with one value, in the slot's dtype.
void FillSlot(const OutputView& out, float value);

}  // namespace fastpre
