// The decoder's kernels: every instruction set against the plain C++ ones, bit for bit; the plain
// ones against their definitions, and the inverse DCT against the libjpeg-turbo at hand.
#include "jpeg/kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <random>
#include <vector>

#include "check.h"

#if __has_include(<jpeglib.h>) && __has_include(<jconfig.h>)
#define FASTPRE_TEST_LIBJPEG 1
#include <cstdio>
// After <cstdio>.
#include <jpeglib.h>
#endif

namespace fastpre::test {
namespace {

std::mt19937 rng(20240522);
long cases = 0;

int Uniform(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }

// Random bytes, or long runs of the extremes: sums that saturate.
std::vector<uint8_t> RandomBytes(size_t count) {
  std::vector<uint8_t> v(count);
  const bool extreme = Uniform(0, 3) == 0;
  for (uint8_t& b : v) b = static_cast<uint8_t>(extreme ? (rng() & 1 ? 255 : 0) : rng());
  return v;
}

const int kZigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                         41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                         30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

struct Group {
  alignas(64) int16_t coefficients[kGroupCoefficients] = {};
  int last = 0;

  int16_t& at(int block, int natural) { return coefficients[natural / 8 * kGroupColumns + block * 8 + natural % 8]; }
};

struct Quant {
  alignas(64) int16_t natural[64];
};

// limit: of the coefficients' magnitudes.
Group RandomGroup(int limit) {
  Group g;
  const int kinds[] = {0, 0, Uniform(1, 9), Uniform(1, 9), Uniform(10, 63), 63};
  g.last = kinds[Uniform(0, 5)];
  const int density = Uniform(1, 4);
  for (int b = 0; b < kGroupBlocks; ++b) {
    for (int k = 0; k <= g.last; ++k) {
      if (k != 0 && Uniform(0, density) != 0) continue;
      const int kind = Uniform(0, 3);
      g.at(b, kZigzag[k]) = static_cast<int16_t>(kind == 0   ? (rng() & 1 ? limit : -limit)
                                                 : kind == 1 ? Uniform(-limit, limit)
                                                             : Uniform(-std::min(limit, 40), std::min(limit, 40)));
    }
  }
  return g;
}

// limit: of the divisors, which a stream gives 16 bits; those of the first row are kept small enough,
// most of the time, for its values to stay within +-8191.
Quant RandomQuant(int limit) {
  Quant q;
  const int first_row = Uniform(0, 7) == 0 ? limit : std::min(limit, 8);
  for (int i = 0; i < 64; ++i) q.natural[i] = static_cast<int16_t>(Uniform(1, i < 8 ? first_row : limit));
  return q;
}

constexpr uint8_t kUntouched = 0xA5;

void TestIdct(const JpegKernels& kernels, int limit, int quant_limit) {
  const Group g = RandomGroup(limit);
  const Quant q = RandomQuant(quant_limit);
  const ptrdiff_t stride = Uniform(kGroupColumns, kGroupColumns + 40);
  std::vector<uint8_t> got(8 * stride, kUntouched), want(got);
  const bool got_outside = kernels.idct(g.coefficients, q.natural, g.last, got.data(), stride);
  const bool want_outside = AvailableJpegKernels().back()->idct(g.coefficients, q.natural, g.last, want.data(), stride);
  const std::string context = std::string(kernels.name) + ", last " + std::to_string(g.last);
  CHECK(got_outside == want_outside, "idct flag, " + context);
  CHECK(got == want, "idct, " + context);
  ++cases;
}

// The real-valued transform that scaled[n] rounds.
double ExactScaled(Group* g, const Quant& q, int n, int block, int x, int y) {
  auto basis = [&](int position, int u) {
    return u == 0 ? 1.0 : std::sqrt(2.0) * std::cos((2 * position + 1) * u * std::numbers::pi / (2 * n));
  };
  double sum = 0;
  for (int v = 0; v < n; ++v) {
    for (int u = 0; u < n; ++u) sum += basis(x, u) * basis(y, v) * g->at(block, 8 * v + u) * q.natural[8 * v + u];
  }
  return std::clamp(sum / 8 + 128, 0.0, 255.0);
}

void TestScaled(const JpegKernels& kernels, int n, int limit, int quant_limit) {
  Group g = RandomGroup(limit);
  const Quant q = RandomQuant(quant_limit);
  const ptrdiff_t stride = Uniform(4 * n, 4 * n + 40) + static_cast<ptrdiff_t>(kJpegSlack);
  std::vector<uint8_t> got(n * stride), want(got);
  const bool extreme = kernels.scaled[n](g.coefficients, q.natural, got.data(), stride);
  AvailableJpegKernels().back()->scaled[n](g.coefficients, q.natural, want.data(), stride);
  bool outside = false;
  for (int block = 0; block < kGroupBlocks; ++block) {
    for (int u = 0; u < 8; ++u) outside |= std::abs(static_cast<int16_t>(g.at(block, u) * q.natural[u])) > 8191;
  }
  CHECK(extreme == outside, "scaled, coefficients out of range, " + std::string(kernels.name));
  const bool moderate = limit * quant_limit <= 1000;  // sums that no pass saturates
  for (int y = 0; y < n; ++y) {
    const std::string context = std::string(kernels.name) + ", n " + std::to_string(n) + ", row " + std::to_string(y);
    CHECK(std::memcmp(got.data() + y * stride, want.data() + y * stride, 4 * n) == 0, "scaled, " + context);
    for (int x = 0; moderate && x < 4 * n; ++x) {
      const double exact = ExactScaled(&g, q, n, x / n, x % n, y);
      CHECK(std::abs(got[y * stride + x] - exact) <= 1, "scaled, far from exact, " + context);
    }
  }
  ++cases;
}

// Exactly as much memory as the contract asks for: a sanitizer sees one byte more.
struct Row {
  std::vector<uint8_t> bytes;
  const uint8_t* samples() const { return bytes.data() + 1; }
};

Row RandomRow(int count) { return Row{RandomBytes(1 + count + 1 + kJpegSlack)}; }

void TestUpsampling(const JpegKernels& kernels) {
  const JpegKernels& plain = *AvailableJpegKernels().back();
  const int count = Uniform(1, 300), bias = Uniform(1, 2);
  const Row near = RandomRow(count), far = RandomRow(count);
  const std::string context = std::string(kernels.name) + ", " + std::to_string(count) + " samples";
  std::vector<uint8_t> got(2 * count + kJpegSlack), want(got);
  auto same = [&](int samples) { return std::memcmp(got.data(), want.data(), samples) == 0; };
  kernels.h2v1(near.samples(), count, got.data());
  plain.h2v1(near.samples(), count, want.data());
  CHECK(same(2 * count), "h2v1, " + context);
  kernels.h2v2(near.samples(), far.samples(), count, got.data());
  plain.h2v2(near.samples(), far.samples(), count, want.data());
  CHECK(same(2 * count), "h2v2, " + context);
  kernels.h1v2(near.samples(), far.samples(), bias, count, got.data());
  plain.h1v2(near.samples(), far.samples(), bias, count, want.data());
  CHECK(same(count), "h1v2, " + context);
  ++cases;
}

void TestPixels(const JpegKernels& kernels) {
  const JpegKernels& plain = *AvailableJpegKernels().back();
  const int count = Uniform(1, 300);
  std::vector<std::vector<uint8_t>> rows;
  const uint8_t* in[4];
  for (const uint8_t*& row : in) row = rows.emplace_back(RandomBytes(count + kJpegSlack)).data();
  const std::string context = std::string(kernels.name) + ", " + std::to_string(count) + " pixels";
  std::vector<uint8_t> got(4 * count + kJpegSlack), want(got);
  auto same = [&] { return std::memcmp(got.data(), want.data(), 4 * count) == 0; };
  kernels.ycc_to_rgbx(in[0], in[1], in[2], count, got.data());
  plain.ycc_to_rgbx(in[0], in[1], in[2], count, want.data());
  CHECK(same(), "ycc_to_rgbx, " + context);
  kernels.gray_to_rgbx(in[0], count, got.data());
  plain.gray_to_rgbx(in[0], count, want.data());
  CHECK(same(), "gray_to_rgbx, " + context);
  kernels.interleave4(in, count, got.data());
  plain.interleave4(in, count, want.data());
  CHECK(same(), "interleave4, " + context);
  std::vector<std::vector<uint8_t>> back(4, std::vector<uint8_t>(count + kJpegSlack));
  uint8_t* const out[4] = {back[0].data(), back[1].data(), back[2].data(), back[3].data()};
  kernels.deinterleave4(got.data(), count, out);
  for (int c = 0; c < 4; ++c) CHECK(std::memcmp(out[c], in[c], count) == 0, "deinterleave4, " + context);
  ++cases;
}

// All 65536 chromas with the lumas that clamp and some that do not.
void TestColors(const JpegKernels& kernels) {
  auto clamp = [](int v) { return static_cast<uint8_t>(std::clamp(v, 0, 255)); };
  std::vector<uint8_t> y(256 + kJpegSlack), cb(y), cr(y), out(4 * 256 + kJpegSlack);
  for (int i = 0; i < 256; ++i) cr[i] = static_cast<uint8_t>(i);
  for (const int luma : {0, 1, 127, 128, 200, 255}) {
    std::fill(y.begin(), y.end(), static_cast<uint8_t>(luma));
    for (int blue = 0; blue < 256; ++blue) {
      std::fill(cb.begin(), cb.end(), static_cast<uint8_t>(blue));
      kernels.ycc_to_rgbx(y.data(), cb.data(), cr.data(), 256, out.data());
      const int u = blue - 128;
      for (int red = 0; red < 256; ++red) {
        const int v = red - 128;
        const uint8_t want[4] = {clamp(luma + ((91881 * v + 32768) >> 16)),
                                 clamp(luma + ((-22554 * u - 46802 * v + 32768) >> 16)),
                                 clamp(luma + ((116130 * u + 32768) >> 16)), 255};
        CHECK(std::memcmp(out.data() + 4 * red, want, 4) == 0, std::string(kernels.name) + ", color of " +
                                                                   std::to_string(luma) + " " + std::to_string(blue) +
                                                                   " " + std::to_string(red));
      }
      ++cases;
    }
  }
}

struct Unstuffed {
  std::vector<uint8_t> bytes;
  size_t used = 0;
  bool operator==(const Unstuffed&) const = default;
};

Unstuffed Unstuff(const JpegKernels& kernels, const std::vector<uint8_t>& from) {
  Unstuffed result;
  result.bytes.resize(from.size() + kJpegSlack);
  result.bytes.resize(kernels.unstuff(from.data(), from.size(), result.bytes.data(), &result.used));
  return result;
}

void TestUnstuff(const JpegKernels& kernels) {
  std::vector<uint8_t> from = RandomBytes(Uniform(0, 400));
  const int rarity = Uniform(1, 100);
  for (size_t i = 0; i + 1 < from.size(); ++i) {
    if (Uniform(0, rarity) == 0) from[i] = 0xFF;
    if (from[i] == 0xFF && Uniform(0, 300) != 0) from[i + 1] = Uniform(0, 9) == 0 ? 0xFF : 0;
  }
  CHECK(Unstuff(kernels, from) == Unstuff(*AvailableJpegKernels().back(), from),
        std::string(kernels.name) + " unstuff, " + std::to_string(from.size()) + " bytes");
  ++cases;
}

// At every offset into a vector, and at the very end.
void TestEscapes(const JpegKernels& kernels) {
  struct Case {
    std::vector<uint8_t> from, to;
    size_t used;
  };
  const Case list[] = {{{0xFF, 0, 7}, {0xFF, 7}, 3},
                       {{0xFF, 0xFF, 0xFF, 0, 7}, {}, 0},
                       {{0xFF, 0, 0xFF, 0}, {0xFF, 0xFF}, 4},
                       {{0xFF, 0, 0}, {0xFF, 0}, 3},
                       {{0xFF, 0xD0, 7}, {}, 0},
                       {{0xFF, 0xFF, 0xD9}, {}, 0},
                       {{0xFF}, {}, 0},
                       {{0xFF, 0xFF}, {}, 0},
                       {{0xFF, 0, 0xFF}, {0xFF}, 2}};
  for (const Case& c : list) {
    for (size_t before = 0; before < 150; ++before) {
      std::vector<uint8_t> from(before, 1), to(before, 1);
      from.insert(from.end(), c.from.begin(), c.from.end());
      to.insert(to.end(), c.to.begin(), c.to.end());
      CHECK((Unstuff(kernels, from) == Unstuffed{to, before + c.used}),
            std::string(kernels.name) + " escape " + std::to_string(&c - list) + " at " + std::to_string(before));
      ++cases;
    }
  }
}

#if FASTPRE_TEST_LIBJPEG
constexpr int kGroupsAcross = 6, kGroupsDown = 12;

struct Image {
  std::vector<Group> groups;
  Quant quant;
  std::vector<uint8_t> pixels;
};

constexpr int kImageWidth = kGroupsAcross * kGroupColumns, kImageHeight = kGroupsDown * 8;

std::vector<uint8_t> Encoded(Image* image) {
  jpeg_compress_struct c;
  jpeg_error_mgr errors;
  c.err = jpeg_std_error(&errors);
  jpeg_create_compress(&c);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&c, &data, &size);
  c.image_width = kImageWidth;
  c.image_height = kImageHeight;
  c.input_components = 1;
  c.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&c);
  c.optimize_coding = TRUE;
  // Not by jpeg_add_quant_table, which clamps to 15 bits.
  for (int i = 0; i < 64; ++i) c.quant_tbl_ptrs[0]->quantval[i] = static_cast<uint16_t>(image->quant.natural[i]);
  jvirt_barray_ptr blocks = c.mem->request_virt_barray(reinterpret_cast<j_common_ptr>(&c), JPOOL_IMAGE, TRUE,
                                                       kGroupsAcross * kGroupBlocks, kGroupsDown, 1);
  jpeg_write_coefficients(&c, &blocks);
  for (int y = 0; y < kGroupsDown; ++y) {
    JBLOCKARRAY row = c.mem->access_virt_barray(reinterpret_cast<j_common_ptr>(&c), blocks, y, 1, TRUE);
    for (int x = 0; x < kGroupsAcross * kGroupBlocks; ++x) {
      Group& g = image->groups[y * kGroupsAcross + x / kGroupBlocks];
      for (int i = 0; i < 64; ++i) row[0][x][i] = g.at(x % kGroupBlocks, i);
    }
  }
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  std::vector<uint8_t> bytes(data, data + size);
  std::free(data);
  return bytes;
}

std::vector<uint8_t> Decoded(const std::vector<uint8_t>& bytes) {
  jpeg_decompress_struct d;
  jpeg_error_mgr errors;
  d.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&d);
  jpeg_mem_src(&d, bytes.data(), bytes.size());
  jpeg_read_header(&d, TRUE);
  d.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&d);
  std::vector<uint8_t> pixels(kImageWidth * kImageHeight);
  while (d.output_scanline < d.output_height) {
    uint8_t* row = pixels.data() + static_cast<size_t>(d.output_scanline) * kImageWidth;
    jpeg_read_scanlines(&d, &row, 1);
  }
  jpeg_finish_decompress(&d);
  jpeg_destroy_decompress(&d);
  return pixels;
}

// A Huffman-coded coefficient has ten bits at most; the divisors take the products through all 16.
Image RandomImage(int limit, int quant_limit) {
  Image image;
  image.quant = RandomQuant(quant_limit);
  for (int i = 0; i < kGroupsAcross * kGroupsDown; ++i) image.groups.push_back(RandomGroup(limit));
  image.pixels = Decoded(Encoded(&image));
  return image;
}

std::vector<Image> RandomImages() {
  std::vector<Image> list;
  for (int i = 0; i < 12; ++i) {
    list.push_back(RandomImage(8, 16));
    list.push_back(RandomImage(60, 8));
#if defined(__x86_64__) || defined(__aarch64__)
    // The C code has a range-limit table that wraps.
    list.push_back(RandomImage(1023, 255));
    list.push_back(RandomImage(1023, 65535));
    list.push_back(RandomImage(100, 65535));
#endif
  }
  return list;
}

void TestAgainstLibjpeg(const JpegKernels& kernels, const std::vector<Image>& images, long* compared) {
  for (const Image& image : images) {
    for (int i = 0; i < kGroupsAcross * kGroupsDown; ++i) {
      const Group& g = image.groups[i];
      std::vector<uint8_t> got(8 * kGroupColumns);
      ++cases;
      if (kernels.idct(g.coefficients, image.quant.natural, g.last, got.data(), kGroupColumns)) continue;
      ++*compared;
      const uint8_t* want =
          image.pixels.data() + i / kGroupsAcross * 8 * kImageWidth + i % kGroupsAcross * kGroupColumns;
      for (int y = 0; y < 8; ++y) {
        CHECK(std::memcmp(got.data() + y * kGroupColumns, want + y * kImageWidth, kGroupColumns) == 0,
              std::string(kernels.name) + " idct and libjpeg-turbo, last " + std::to_string(g.last));
      }
    }
  }
}
#endif

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre;
  using namespace fastpre::test;
  const std::vector<const JpegKernels*> tables = AvailableJpegKernels();
  CHECK(tables.back()->target == 0, "the plain kernels come last");
  CHECK(&JpegKernelsFor(0) == tables.back(), "the plain kernels for the plain target");
#if FASTPRE_TEST_LIBJPEG
  const std::vector<Image> images = RandomImages();
#endif
  for (const JpegKernels* kernels : tables) {
    CHECK(&JpegKernelsFor(kernels->target) == kernels, kernels->name);
    for (int i = 0; i < 1500; ++i) {
      TestIdct(*kernels, 50, 20);
      TestIdct(*kernels, 1023, 255);
      TestIdct(*kernels, 32767, 32767);
      TestScaled(*kernels, Uniform(1, 7), 50, 20);
      TestScaled(*kernels, Uniform(1, 7), 1023, 255);
      TestScaled(*kernels, Uniform(1, 7), 40, 210);  // around +-8191
      TestScaled(*kernels, Uniform(1, 7), 32767, 32767);
      TestUpsampling(*kernels);
      TestPixels(*kernels);
      TestUnstuff(*kernels);
    }
    TestColors(*kernels);
    TestEscapes(*kernels);
    long compared = 0;
#if FASTPRE_TEST_LIBJPEG
    TestAgainstLibjpeg(*kernels, images, &compared);
    CHECK(compared > 1000, "groups compared with libjpeg-turbo");
#endif
    std::printf("%s: %ld groups compared with libjpeg-turbo\n", kernels->name, compared);
  }
  return Summary("jpeg kernels", cases);
}
