// A batch of compressed images on the CPU: which thread does which image when, and what becomes of slots whose image
// failed.
#pragma once

#include <functional>
#include <vector>

#include "core/call_context.h"
#include "core/image.h"
#include "core/source.h"
#include "cpu/record.h"
#include "plan/affine.h"
#include "plan/spec.h"

namespace fastpre {

// One call's work. What it points to must outlive the call.
struct Batch {
  const std::vector<Source>* sources = nullptr;
  const Spec* spec = nullptr;
  const Affine* affine = nullptr;
  std::function<OutputView(size_t)> slot;  // where image i goes
  float fill = 0;                          // of slots whose image failed, in the output's scale
  int threads = 1;
  CallContext* context = nullptr;
};

// Images' faults, the deadline among them, go into their records. Throws Cancelled once no thread writes any more;
// what slots hold then is undefined.
std::vector<Record> Run(const Batch& batch);

// Fills a slot with one value, in the slot's dtype.
void FillSlot(const OutputView& out, float value);

}  // namespace fastpre
