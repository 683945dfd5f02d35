// The vector kernels compiled for every instruction set (Google Highway), and the ordered list of
// what there is. Contracts are in kernels.h, bodies in resample-inl.h and normalize-inl.h.
#include "cpu/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/kernels_hwy.cpp"
// Before Highway's headers.
#include "core/highway_config.h"

#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "cpu/kernels/normalize-inl.h"
#include "cpu/kernels/resample-inl.h"

#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace fastpre {
namespace HWY_NAMESPACE {

constexpr KernelTable kTable = {nullptr,   HWY_TARGET, kLanes,    kSplit,    kCanPermute, Horizontal, Vertical,
                                PlanarF32, PackedF32,  PlanarU16, PackedU16, PlanarU8,    PackedU8,   Luma};

// Not a static initializer: nothing compiled for this target may run before the CPU is known to have it.
KernelTable Table() {
  KernelTable table = kTable;
  table.name = hwy::TargetName(HWY_TARGET);
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#if HWY_ONCE
#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace fastpre {
namespace {

std::vector<KernelTable> Compiled() {
  const int64_t supported = hwy::SupportedTargets();
  std::vector<KernelTable> list;
  (void)supported;
#define FASTPRE_TRY(TARGET) \
  if (supported & HWY_##TARGET) list.push_back(N_##TARGET::Table())
#include "core/highway_targets.inc"
#undef FASTPRE_TRY
  return list;
}

const std::vector<KernelTable>& Vectorized() {
  static const std::vector<KernelTable> list = Compiled();
  return list;
}

std::atomic<const KernelTable*> active{nullptr};

const KernelTable* Find(const std::string& name) {
  for (const KernelTable* table : AvailableKernels()) {
    if (name.empty() || name == table->name) return table;
  }
  return nullptr;
}

}  // namespace

std::vector<const KernelTable*> AvailableKernels() {
  std::vector<const KernelTable*> list;
  for (const KernelTable& table : Vectorized()) list.push_back(&table);
  list.push_back(ScalarKernels());
  return list;
}

bool SetTarget(const std::string& name) {
  const KernelTable* table = Find(name);
  if (table) active.store(table);
  return table != nullptr;
}

const KernelTable& ActiveKernels() {
  const KernelTable* table = active.load(std::memory_order_acquire);
  if (!table) {
    const char* forced = std::getenv("FASTPRE_TARGET");
    table = Find(forced ? forced : "");
    if (!table) {
      std::string names;
      for (const KernelTable* t : AvailableKernels()) names += std::string(names.empty() ? "" : ", ") + t->name;
      throw std::invalid_argument(std::string("FASTPRE_TARGET=") + forced +
                                  " is not available on this CPU, which has " + names);
    }
    active.store(table, std::memory_order_release);
  }
  return *table;
}

}  // namespace fastpre
#endif  // HWY_ONCE
