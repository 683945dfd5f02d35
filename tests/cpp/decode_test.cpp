// Whole images through one reused Worker, for sanitizers: nothing may crash, hang or read stale
// memory, whatever the stream. `decode_test [FILE or FOLDER]...`
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "check.h"
#include "cpu/worker.h"

namespace fastpre::test {
namespace {

// 8 x 8 gray, baseline: one block whose only coefficient is DC = 0.
constexpr uint8_t kGrayBlock[] = {
    0xFF, 0xD8, 0xFF, 0xDB, 0x00, 0x43, 0x00, 16, 11,  10,  16,   24,   40,  51, 61,   12, 12,
    14,   19,   26,   58,   60,   55,   14,   13, 16,  24,  40,   57,   69,  56, 14,   17, 22,
    29,   51,   87,   80,   62,   18,   22,   37, 56,  68,  109,  103,  77,  24, 35,   55, 64,
    81,   104,  113,  92,   49,   64,   78,   87, 103, 121, 120,  101,  72,  92, 95,   98, 112,
    100,  103,  99,   0xFF, 0xC0, 0x00, 0x0B, 8,  0,   8,   0,    8,    1,   1,  0x11, 0,  // 8 x 8, one component
    0xFF, 0xC4, 0x00, 0x14, 0x00, 1,    0,    0,  0,   0,   0,    0,    0,   0,  0,    0,  0,
    0,    0,    0,    0,    0,  // DC: code 0 is "no bits"
    0xFF, 0xC4, 0x00, 0x14, 0x10, 1,    0,    0,  0,   0,   0,    0,    0,   0,  0,    0,  0,
    0,    0,    0,    0,    0,  // AC: code 0 is end of block
    0xFF, 0xDA, 0x00, 0x08, 1,    1,    0x00, 0,  63,  0,   0x3F, 0xFF, 0xD9};

struct Slot {
  std::vector<uint8_t> bytes;
  OutputView view;
};

Slot MakeSlot(const Spec& spec, const Geometry& g) {
  Slot s;
  const size_t count = static_cast<size_t>(spec.channels()) * g.out_width * g.out_height;
  s.bytes.assign(count * ElementSize(spec.dtype), 0xA5);
  s.view = {s.bytes.data(),  spec.dtype,
            spec.channels(), g.out_height,
            g.out_width,     static_cast<ptrdiff_t>(g.out_width) * g.out_height,
            g.out_width,     1};
  return s;
}

std::vector<Spec> Specs() {
  std::vector<Spec> specs(5);
  specs[0].limits.max_pixels = 1 << 25;
  specs[1] = specs[0];
  specs[1].resize = Spec::Resize::kExact;
  specs[1].resize_height = 48, specs[1].resize_width = 160;
  specs[1].crop_height = specs[1].crop_width = 40;
  specs[1].filter = Filter::kLanczos;
  specs[1].exif_orientation = true;
  specs[1].dtype = DType::kBF16;
  specs[2] = specs[0];
  specs[2].resize = Spec::Resize::kNone;
  specs[2].crop_height = 60, specs[2].crop_width = 90;
  specs[2].dtype = DType::kU8;
  specs[2].color = Color::kL;
  specs[3] = specs[0];
  specs[3].filter = Filter::kNearest;
  specs[3].dtype = DType::kF16;
  specs[3].color = Color::kBGR;
  specs[3].exact = false;
  specs[4] = specs[2];
  specs[4].partial = true;
  return specs;
}

struct Tally {
  long ok = 0, failed = 0;
};

void TestStream(Bytes bytes, const std::string& name, Worker& reused, Tally* tally) {
  for (const Spec& spec : Specs()) {
    Geometry g;
    try {
      g = ComputeGeometry(ParseHeader(bytes, spec.limits, spec.exif_orientation), spec);
    } catch (const Error& e) {
      CHECK(e.kind() != ErrorKind::kInternal, name + ": " + e.what());
      ++tally->failed;
      continue;
    }
    const Affine affine = ComputeAffine(spec);
    Slot first = MakeSlot(spec, g), second = MakeSlot(spec, g);
    Record a, b;
    ImageTask one{spec, affine, first.view, &a}, other{spec, affine, second.view, &b};
    reused.Run(bytes, &one);
    Worker fresh;
    fresh.Run(bytes, &other);
    CHECK(a.ok == b.ok && a.reason == b.reason && a.truncated == b.truncated,
          name + ": " + a.reason + " | " + b.reason);
    CHECK(a.ok || a.error_kind != ErrorKind::kInternal, name + ": " + a.reason);
    // A worker's earlier images must not show: stale tables or rows would.
    if (a.ok && b.ok) CHECK(first.bytes == second.bytes, name + ": differs between a used and a new worker");
    ++(a.ok ? tally->ok : tally->failed);
  }
}

std::vector<uint8_t> ReadAll(const std::filesystem::path& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}

// The embedded block is middle gray; every shorter prefix of it is refused.
void TestEmbedded(Worker& worker, Tally* tally) {
  const Bytes whole(kGrayBlock);
  TestStream(whole, "gray block", worker, tally);
  Spec spec;
  spec.resize = Spec::Resize::kNone;
  spec.crop_height = spec.crop_width = 8;
  spec.dtype = DType::kU8;
  std::vector<uint8_t> pixels(3 * 64);
  const OutputView out{pixels.data(), DType::kU8, 3, 8, 8, 64, 8, 1};
  Record record;
  const Affine affine = ComputeAffine(spec);
  ImageTask task{spec, affine, out, &record};
  worker.Run(whole, &task);
  CHECK(record.ok, record.reason);
  CHECK(std::all_of(pixels.begin(), pixels.end(), [](uint8_t v) { return v == 128; }), "middle gray");
  for (size_t length = 0; length < whole.size() - 3; ++length) {
    // Copied to the heap, so that a sanitizer sees a read past the end.
    const std::vector<uint8_t> prefix(whole.begin(), whole.begin() + length);
    Record r;
    ImageTask cut{spec, affine, out, &r};
    worker.Run(Bytes(prefix), &cut);
    CHECK(!r.ok && r.error_kind == ErrorKind::kCorrupt, "prefix of " + std::to_string(length) + " bytes");
    ++tally->failed;
  }
  // What arrived of it: gray, if the scan has begun at least.
  spec.partial = true;
  const size_t begun = ParseHeader(whole, spec.limits, false).scan_offset;
  for (size_t length = 0; length <= whole.size(); ++length) {
    const std::vector<uint8_t> prefix(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    std::fill(pixels.begin(), pixels.end(), uint8_t{1});
    Record r;
    ImageTask cut{spec, affine, out, &r};
    worker.Run(Bytes(prefix), &cut);
    const std::string name = "partial, " + std::to_string(length) + " bytes: " + r.reason;
    CHECK(r.ok == (length >= begun), name);
    CHECK(!r.ok || std::all_of(pixels.begin(), pixels.end(), [](uint8_t v) { return v == 128; }), name);
    CHECK(r.truncated == (r.ok && length < whole.size()), name);
    ++(r.ok ? tally->ok : tally->failed);
  }
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre;
  using namespace fastpre::test;
  namespace fs = std::filesystem;
  Worker worker;
  Tally tally;
  TestEmbedded(worker, &tally);
  for (int i = 1; i < argc; ++i) {
    std::vector<fs::path> files;
    if (fs::is_directory(argv[i])) {
      for (const auto& entry : fs::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
      std::sort(files.begin(), files.end());
    } else {
      files.emplace_back(argv[i]);
    }
    for (const fs::path& file : files) TestStream(ReadAll(file), file.string(), worker, &tally);
  }
  std::printf("%ld decoded, %ld refused\n", tally.ok, tally.failed);
  return Summary("decode", tally.ok + tally.failed);
}
