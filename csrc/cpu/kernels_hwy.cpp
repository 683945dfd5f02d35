// The vector kernels compiled for every instruction set (Google Highway), and the ordered list of
// what there is. Contracts are in kernels.h, bodies in resample-inl.h and normalize-inl.h.
#include "cpu/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels_hwy.cpp"
#define HWY_WANT_AVX3_DL 1            // off by default before Highway 1.1
#define HWY_COMPILE_ALL_ATTAINABLE 1  // down to SSSE3 and the emulated 128-bit one, so tests cover them
// Blocks of 128 bits are the unit of the algorithm; scalable vectors would gain nothing over NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "cpu/normalize-inl.h"
#include "cpu/resample-inl.h"

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
#if defined(HWY_AVX10_2) && (HWY_TARGETS & HWY_AVX10_2)
  FASTPRE_TRY(AVX10_2);
#endif
#if defined(HWY_AVX3_SPR) && (HWY_TARGETS & HWY_AVX3_SPR)
  FASTPRE_TRY(AVX3_SPR);
#endif
#if defined(HWY_AVX3_ZEN4) && (HWY_TARGETS & HWY_AVX3_ZEN4)
  FASTPRE_TRY(AVX3_ZEN4);
#endif
#if HWY_TARGETS & HWY_AVX3_DL
  FASTPRE_TRY(AVX3_DL);
#endif
#if HWY_TARGETS & HWY_AVX3
  FASTPRE_TRY(AVX3);
#endif
#if HWY_TARGETS & HWY_AVX2
  FASTPRE_TRY(AVX2);
#endif
#if HWY_TARGETS & HWY_SSE4
  FASTPRE_TRY(SSE4);
#endif
#if HWY_TARGETS & HWY_SSSE3
  FASTPRE_TRY(SSSE3);
#endif
#if defined(HWY_SSE2) && (HWY_TARGETS & HWY_SSE2)
  FASTPRE_TRY(SSE2);
#endif
#if defined(HWY_NEON_BF16) && (HWY_TARGETS & HWY_NEON_BF16)
  FASTPRE_TRY(NEON_BF16);
#endif
#if HWY_TARGETS & HWY_NEON
  FASTPRE_TRY(NEON);
#endif
#if defined(HWY_NEON_WITHOUT_AES) && (HWY_TARGETS & HWY_NEON_WITHOUT_AES)
  FASTPRE_TRY(NEON_WITHOUT_AES);
#endif
#if HWY_TARGETS & HWY_EMU128
  FASTPRE_TRY(EMU128);
#endif
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
