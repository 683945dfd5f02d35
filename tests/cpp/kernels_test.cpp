// Every instruction set's kernels against the plain C++ ones, bit for bit, on random taps and rows.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <hwy/targets.h>

#include "check.h"
#include "cpu/kernels/kernels.h"
#include "jpeg/kernels/kernels.h"
#include "plan/affine.h"
#include "plan/filter.h"

namespace fastpre::test {
namespace {

std::mt19937 rng(20240521);
long cases = 0;

int Uniform(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }

std::vector<uint8_t> RandomBytes(size_t count) {
  std::vector<uint8_t> v(count);
  for (uint8_t& b : v) b = static_cast<uint8_t>(rng());
  return v;
}

bool SamePixels(const uint8_t* a, const uint8_t* b, int count) {  // the X byte is never looked at
  for (int i = 0; i < count; ++i) {
    if (std::memcmp(a + 4 * i, b + 4 * i, 3) != 0) return false;
  }
  return true;
}

struct Resampling {
  Filter filter;
  int in, out, begin, count;
  std::string text() const {
    return "filter " + std::to_string(static_cast<int>(filter)) + ", " + std::to_string(in) + " -> " +
           std::to_string(out) + " from " + std::to_string(begin) + ", " + std::to_string(count) + " positions";
  }
  Taps taps() const { return ComputeTaps(filter, in, out, begin, count); }
};

Resampling RandomResampling() {
  Resampling r;
  r.filter = static_cast<Filter>(Uniform(0, 5));
  r.in = Uniform(1, Uniform(0, 3) ? 120 : 900);
  r.out = Uniform(1, Uniform(0, 3) ? 70 : 400);
  r.begin = Uniform(0, r.out - 1);
  r.count = Uniform(1, r.out - r.begin);
  return r;
}

void TestHorizontal(const KernelTable& kernels, const Resampling& r) {
  Taps taps = r.taps();
  if (Uniform(0, 2) == 0) taps = Reversed(taps);
  if (&KernelsFor(kernels, taps) != &kernels) return;
  PackedTaps packed, plain;
  const int origin = taps.first();
  PackHorizontal(kernels, taps, origin, &packed);
  PackHorizontal(*ScalarKernels(), taps, origin, &plain);
  // Exactly as much memory as the contract asks for: a sanitizer sees one byte more.
  const size_t row_bytes = static_cast<size_t>(taps.last() - origin + packed.overread_pixels) * kPixelBytes;
  const int count = Uniform(1, kRowsAtOnce);
  std::vector<std::vector<uint8_t>> rows, outputs;
  const uint8_t* row_pointers[kRowsAtOnce];
  uint8_t* output_pointers[kRowsAtOnce];
  for (int i = 0; i < count; ++i) {
    row_pointers[i] = rows.emplace_back(RandomBytes(row_bytes)).data();
    output_pointers[i] = outputs.emplace_back(taps.count * kPixelBytes + kRowSlack).data();
  }
  kernels.horizontal(row_pointers, count, packed, output_pointers);
  for (int i = 0; i < count; ++i) {
    std::vector<uint8_t> want(taps.count * kPixelBytes + kRowSlack);
    uint8_t* const want_pointer = want.data();
    ScalarKernels()->horizontal(&row_pointers[i], 1, plain, &want_pointer);
    CHECK(SamePixels(output_pointers[i], want_pointer, taps.count), std::string(kernels.name) + " horizontal, row " +
                                                                        std::to_string(i) + " of " +
                                                                        std::to_string(count) + ", " + r.text());
  }
  ++cases;
}

void TestVertical(const KernelTable& kernels, const Resampling& r) {
  const Taps taps = r.taps();
  if (&KernelsFor(kernels, taps) != &kernels) return;
  PackedTaps packed, plain;
  PackVertical(kernels, taps, &packed);
  PackVertical(*ScalarKernels(), taps, &plain);
  const int bytes = 4 * Uniform(1, 90), index = Uniform(0, taps.count - 1);
  std::vector<std::vector<uint8_t>> rows;
  std::vector<const uint8_t*> pointers;
  for (int k = 0; k < taps.length[index]; ++k) rows.push_back(RandomBytes(bytes + kRowSlack));
  for (int k = 0; k < (taps.length[index] + kQuad - 1) / kQuad * kQuad; ++k) {
    pointers.push_back(rows[std::min<size_t>(k, rows.size() - 1)].data());
  }
  std::vector<uint8_t> got(bytes + kRowSlack), want(got.size());
  kernels.vertical(pointers.data(), packed, index, bytes, got.data());
  ScalarKernels()->vertical(pointers.data(), plain, index, bytes, want.data());
  CHECK(SamePixels(got.data(), want.data(), bytes / kPixelBytes),
        std::string(kernels.name) + " vertical, " + r.text() + ", index " + std::to_string(index));
  ++cases;
}

Affine RandomAffine(DType dtype) {
  Spec spec;
  spec.dtype = dtype;
  spec.normalize = Uniform(0, 3) != 0;
  spec.rescale = Uniform(0, 1) ? Rescale::kDivide : Rescale::kMultiply;
  if (Uniform(0, 1)) {
    for (int c = 0; c < 3; ++c) {
      spec.mean[c] = std::uniform_real_distribution<float>(-2, 2)(rng);
      spec.std[c] = std::uniform_real_distribution<float>(0.001f, 3)(rng);
    }
  }
  return ComputeAffine(spec);
}

void TestStores(const KernelTable& kernels) {
  const KernelTable& plain = *ScalarKernels();
  const int count = Uniform(1, 150);
  const std::string context = std::string(kernels.name) + ", " + std::to_string(count) + " pixels";
  const std::vector<uint8_t> row = RandomBytes(static_cast<size_t>(count) * kPixelBytes);
  const Affine affine = RandomAffine(DType::kF16);
  auto same = [](const auto& a, const auto& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
  };

  std::vector<float> f_got(3 * count), f_want(3 * count);
  float* const f_got_planes[] = {f_got.data(), f_got.data() + count, f_got.data() + 2 * count};
  float* const f_want_planes[] = {f_want.data(), f_want.data() + count, f_want.data() + 2 * count};
  kernels.planar_f32(row.data(), count, affine, f_got_planes);
  plain.planar_f32(row.data(), count, affine, f_want_planes);
  CHECK(same(f_got, f_want), "planar_f32 " + context);

  const int orders[2][3] = {{0, 1, 2}, {2, 1, 0}};
  for (const int* order : orders) {
    kernels.packed_f32(row.data(), count, affine, order, f_got.data());
    plain.packed_f32(row.data(), count, affine, order, f_want.data());
    CHECK(same(f_got, f_want), "packed_f32 " + context);
  }

  std::vector<uint8_t> u_got(3 * count), u_want(3 * count);
  uint8_t* const u_got_planes[] = {u_got.data(), u_got.data() + count, u_got.data() + 2 * count};
  uint8_t* const u_want_planes[] = {u_want.data(), u_want.data() + count, u_want.data() + 2 * count};
  kernels.planar_u8(row.data(), count, u_got_planes);
  plain.planar_u8(row.data(), count, u_want_planes);
  CHECK(same(u_got, u_want), "planar_u8 " + context);

  for (const int* order : orders) {
    kernels.packed_u8(row.data(), count, order, u_got.data());
    plain.packed_u8(row.data(), count, order, u_want.data());
    CHECK(same(u_got, u_want), "packed_u8 " + context);
  }

  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Affine half = RandomAffine(dtype);
    std::vector<uint16_t> h_got(3 * count), h_want(3 * count);
    uint16_t* const h_got_planes[] = {h_got.data(), h_got.data() + count, h_got.data() + 2 * count};
    uint16_t* const h_want_planes[] = {h_want.data(), h_want.data() + count, h_want.data() + 2 * count};
    kernels.planar_u16(row.data(), count, half, h_got_planes);
    plain.planar_u16(row.data(), count, half, h_want_planes);
    CHECK(same(h_got, h_want), "planar_u16 " + context);
    for (const int* order : orders) {
      kernels.packed_u16(row.data(), count, half, order, h_got.data());
      plain.packed_u16(row.data(), count, half, order, h_want.data());
      CHECK(same(h_got, h_want), "packed_u16 " + context);
    }
  }

  std::vector<uint8_t> l_got = row, l_want = row;
  kernels.luma(l_got.data(), count);
  plain.luma(l_want.data(), count);
  CHECK(SamePixels(l_got.data(), l_want.data(), count), "luma " + context);
  ++cases;
}

// All 256 values of every channel through the vector arithmetic, for divisors of every kind.
void TestNormalizeEverywhere(const KernelTable& kernels) {
  std::vector<uint8_t> row(256 * kPixelBytes);
  for (int v = 0; v < 256; ++v) std::fill_n(row.data() + 4 * v, 4, static_cast<uint8_t>(v));
  for (int trial = 0; trial < 300; ++trial) {
    const Affine affine = RandomAffine(DType::kF32);
    std::vector<float> got(3 * 256);
    float* const planes[] = {got.data(), got.data() + 256, got.data() + 512};
    kernels.planar_f32(row.data(), 256, affine, planes);
    for (int c = 0; c < 3; ++c) {
      CHECK(std::memcmp(planes[c], affine.f32[c].data(), sizeof(affine.f32[c])) == 0,
            std::string(kernels.name) + " normalize, std " + std::to_string(affine.std[c]));
    }
    ++cases;
  }
}

// A target that is not compiled only shows as a slower call: Highway leaves out those that are off by default.
void TestNoInstructionSetIsLost() {
  std::vector<std::string> resampling, decoding;
  for (const KernelTable* kernels : AvailableKernels()) resampling.emplace_back(kernels->name);
  for (const JpegKernels* kernels : AvailableJpegKernels()) decoding.emplace_back(kernels->name);
  CHECK(resampling == decoding, "one list of targets");
#if defined(__x86_64__)
  for (const auto& [bit, name] : {std::pair(HWY_AVX3_DL, "AVX3_DL"), std::pair(HWY_AVX3, "AVX3"),
                                  std::pair(HWY_AVX2, "AVX2"), std::pair(HWY_SSE4, "SSE4")}) {
    const bool there = std::count(resampling.begin(), resampling.end(), name) > 0;
    CHECK(there == ((hwy::SupportedTargets() & bit) != 0), name);
  }
#endif
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre;
  using namespace fastpre::test;
  TestNoInstructionSetIsLost();
  const std::vector<const KernelTable*> tables = AvailableKernels();
  CHECK(tables.back() == ScalarKernels(), "the plain kernels come last");
  for (const KernelTable* kernels : tables) {
    std::printf("%s: %d lanes\n", kernels->name, kernels->lanes);
    CHECK(SetTarget(kernels->name) && &ActiveKernels() == kernels, kernels->name);
    for (int i = 0; i < 1500; ++i) {
      const Resampling r = RandomResampling();
      TestHorizontal(*kernels, r);
      TestVertical(*kernels, r);
      TestStores(*kernels);
    }
    TestNormalizeEverywhere(*kernels);
  }
  CHECK(!SetTarget("NO_SUCH_TARGET"), "an unknown target is refused");
  return Summary("kernels", cases);
}
