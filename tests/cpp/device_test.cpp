// The CUDA backend on the emulator against the CPU backend, bit for bit: ragged batches of drawn streams, whole and
// damaged, of every filter, dtype, layout, orientation, and any order of a block's threads.
// `device_test [--full] [FILE or FOLDER]...`
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "check.h"
#include "device_batch.h"
#include "jpeg_writer.h"
#include "random_draw.h"

namespace fastpre::test {
namespace {

namespace fs = std::filesystem;

long cases = 0;

// An APP1 segment with the orientation tag, behind SOI.
Stream WithOrientation(const Stream& jpeg, int orientation) {
  const uint8_t exif[] = {0xFF, 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0,
                          'M',  'M',  0, 42, 0,   0,   0,   8,   0, 1,
                          0x01, 0x12, 0, 3,  0,   0,   0,   1,   0, static_cast<uint8_t>(orientation),
                          0,    0,    0, 0,  0,   0};
  Stream out(jpeg.begin(), jpeg.begin() + 2);
  out.insert(out.end(), std::begin(exif), std::end(exif));
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

Spec DrawPreprocessing(Choices& choose, int most) {
  Spec s;
  s.filter = static_cast<Filter>(choose.Below(6));
  s.color = static_cast<Color>(choose.OneIn(2) ? choose.Below(3) : 0);
  s.dtype = static_cast<DType>(choose.Below(4));
  s.resize = choose.OneIn(3) ? Spec::Resize::kExact : Spec::Resize::kShorterSide;
  s.resize_height = s.resize_width = choose.Between(1, most);
  if (s.resize == Spec::Resize::kExact) s.resize_width = choose.Between(1, most);
  s.crop_height = choose.Between(1, most), s.crop_width = choose.Between(1, most);
  s.normalize = s.dtype != DType::kU8 && !choose.OneIn(4);
  s.rescale = static_cast<Rescale>(choose.Below(2));
  s.pass_order = static_cast<PassOrder>(choose.Below(2));
  s.exif_orientation = !choose.OneIn(3);
  s.partial = choose.OneIn(3);
  if (choose.OneIn(3)) {  // odd values, for which divisions are looked up
    for (int c = 0; c < 3; ++c)
      s.mean[c] = 0.1f * choose.Between(-9, 9), s.std[c] = 0.01f + 0.37f * choose.Between(1, 9);
  }
  if (s.color == Color::kL) s.mean[1] = s.mean[2] = 0.0f, s.std[1] = s.std[2] = 1.0f;
  return s;
}

Layout DrawLayout(Choices& choose, int images, int channels, int height, int width) {
  Layout l{};
  const ptrdiff_t c = channels, h = height, w = width;
  switch (choose.Below(4)) {
    case 0:
    case 1: l = {{c * h * w, h * w, w, 1}, 0}; break;
    case 2: l = {{c * h * w, 1, w * c, c}, 0}; break;
    default: {
      const ptrdiff_t x = choose.Between(1, 3), y = x * w + choose.Between(0, 5), p = y * h + choose.Between(0, 5);
      l = {{p * c + choose.Between(0, 9), p, y, x}, 0};
    }
  }
  l.elements = static_cast<size_t>((images - 1) * l.stride[0] + (c - 1) * l.stride[1] + (h - 1) * l.stride[2] +
                                   (w - 1) * l.stride[3] + 1);
  return l;
}

std::string Text(const Spec& s) {
  return "filter " + std::to_string(static_cast<int>(s.filter)) + " dtype " +
         std::to_string(static_cast<int>(s.dtype)) + " color " + std::to_string(static_cast<int>(s.color)) +
         " resize " + std::to_string(s.resize_height) + "x" + std::to_string(s.resize_width) +
         (s.resize == Spec::Resize::kExact ? "" : " shorter") + " crop " + std::to_string(s.crop_height) + "x" +
         std::to_string(s.crop_width) + (s.exact ? "" : " fast") + (s.partial ? " partial" : "");
}

std::map<std::string, long> decoders;

void Compare(cuda::Device& device, const std::vector<Stream>& streams, const Spec& spec, Choices& choose,
             const std::string& name, const Draws& draws = {}) {
  const Affine affine = ComputeAffine(spec);
  const Layout layout =
      DrawLayout(choose, static_cast<int>(streams.size()), spec.channels(), spec.crop_height, spec.crop_width);
  const Outputs cpu = OnCpu(streams, spec, affine, layout, draws);
  const Outputs gpu = OnDevice(device, streams, spec, affine, layout, choose.Between(1, 3), "auto", draws);
  for (size_t i = 0; i < streams.size(); ++i) {
    const Record &a = cpu.records[i], &b = gpu.records[i];
    const std::string context = name + " image " + std::to_string(i) + ", " + Text(spec);
    CHECK(a.ok == b.ok, context + ": " + a.reason + " / " + b.reason);
    CHECK(a.reason == b.reason, context + ": " + a.reason + " / " + b.reason);
    CHECK(a.truncated == b.truncated, context + ": " + a.declined + " / " + b.declined);
    CHECK(a.width == b.width && a.height == b.height, context);
    CHECK(!a.ok || std::string(a.decoder) == b.decoder,
          context + ": " + a.decoder + " / " + b.decoder + " " + b.declined);
    ++decoders[b.ok ? std::string(b.decoder) + " " + b.target : "refused"];
    ++cases;
  }
  CHECK(cpu.memory == gpu.memory, name + ", " + Text(spec));
}

std::vector<Stream> DrawBatch(Choices& choose, int images, bool damaged) {
  std::vector<Stream> streams;
  for (int i = 0; i < images; ++i) {
    JpegSpec spec = DrawSpec(choose, choose.OneIn(5) ? 300 : 90);
    JpegStream stream = WriteJpeg(spec, choose);
    if (damaged && choose.OneIn(2)) Damage(&stream, choose);
    streams.push_back(choose.OneIn(2) ? WithOrientation(stream.bytes, choose.Between(1, 8)) : stream.bytes);
  }
  return streams;
}

void TestDrawn(cuda::Device& device, uint64_t seed, bool damaged) {
  Choices choose(seed);
  const std::vector<Stream> streams = DrawBatch(choose, choose.Between(1, 6), damaged);
  Spec spec = DrawPreprocessing(choose, choose.OneIn(4) ? 150 : 50);
  const std::string name = "seed " + std::to_string(seed) + (damaged ? " damaged" : "");
  Compare(device, streams, spec, choose, name);
  std::vector<std::optional<Draw>> own;
  for (const Stream& stream : streams) own.push_back(RandomDraw(choose, stream, spec));
  Draws draws;
  for (const auto& draw : own) draws.push_back(choose.OneIn(5) ? nullptr : Pointer(draw));
  Compare(device, streams, spec, choose, name + ", draws", draws);
}

// One large image and idle threads, which decode ahead into dense blocks.
void TestHelpers(cuda::Device& device, uint64_t seed) {
  Choices choose(seed);
  JpegSpec jpeg = MakeSpec(2000, 1500, {{2, seed % 2 ? 2 : 1}, {1, 1}, {1, 1}});
  jpeg.density = 25;
  const Stream stream = WriteJpeg(jpeg, choose).bytes;
  Spec spec;
  spec.resize_height = spec.resize_width = 200;
  spec.crop_height = spec.crop_width = 150;
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(1, spec);
  const Outputs cpu = OnCpu({stream}, spec, affine, layout);
  for (const int threads : {1, 4}) {
    const Outputs gpu = OnDevice(device, {stream}, spec, affine, layout, threads);
    CHECK(gpu.records[0].ok && std::string(gpu.records[0].target) == "CUDA", gpu.records[0].declined);
    CHECK(cpu.memory == gpu.memory, "helpers, " + std::to_string(threads) + " threads");
    ++cases;
  }
}

// Ratios up to 100 and past what shared memory holds.
void TestRatio(cuda::Device& device, int width, int height, int to, Filter filter) {
  Choices choose(static_cast<uint64_t>(width) * 7919 + height);
  JpegSpec jpeg = MakeSpec(width, height, {{2, 2}, {1, 1}, {1, 1}});
  jpeg.density = 20;
  const Stream stream = WriteJpeg(jpeg, choose).bytes;
  Spec spec;
  spec.filter = filter;
  spec.resize = Spec::Resize::kExact;
  spec.resize_width = spec.resize_height = spec.crop_width = spec.crop_height = to;
  Compare(device, {stream, stream}, spec, choose, std::to_string(width) + "x" + std::to_string(height));
}

void TestFiles(cuda::Device& device, const fs::path& path, size_t most) {
  std::vector<fs::path> files;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  } else {
    files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  const size_t step = std::max<size_t>(files.size() / most, 1);
  Choices choose(files.size());
  std::vector<Stream> batch;
  for (size_t i = 0; i < files.size(); i += step) {
    std::ifstream f(files[i], std::ios::binary);
    batch.emplace_back(std::istreambuf_iterator<char>(f), std::istreambuf_iterator<char>());
    if (batch.size() < 8 && i + step < files.size()) continue;
    Spec spec;
    spec.resize_height = spec.resize_width = 64;
    spec.crop_height = spec.crop_width = 56;
    spec.filter = choose.OneIn(2) ? Filter::kBilinear : Filter::kBicubic;
    spec.exif_orientation = true;
    Compare(device, batch, spec, choose, path.string());
    batch.clear();
  }
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre;
  using namespace fastpre::test;
  const bool full = argc > 1 && std::string(argv[1]) == "--full";
  const cuda::MemoryBounds roomy{size_t{1} << 30, size_t{1} << 30};
  cuda::Device ascending(cuda::MakeEmulator(), roomy);
  if (argc > (full ? 2 : 1)) {
    for (int i = full ? 2 : 1; i < argc; ++i) TestFiles(ascending, argv[i], full ? SIZE_MAX : 24);
    return Summary("device", cases);
  }
  cuda::Device descending(cuda::MakeEmulator(cuda::ThreadOrder::kDescending), roomy);
  cuda::Device shuffled(cuda::MakeEmulator(cuda::ThreadOrder::kShuffled), roomy);
  // So little memory that batches fall into micro-batches, and large images to the CPU.
  cuda::Device tight(cuda::MakeEmulator(), {size_t{1} << 20, size_t{1} << 20});
  cuda::Device* const devices[] = {&ascending, &descending, &shuffled};
  const int count = full ? 6000 : 400;
  for (int i = 0; i < count; ++i) TestDrawn(*devices[i % 3], static_cast<uint64_t>(i), i % 4 == 3);
  for (int i = 0; i < count / 4; ++i) TestDrawn(tight, static_cast<uint64_t>(100000 + i), i % 4 == 3);
  for (const Filter filter : {Filter::kBilinear, Filter::kLanczos, Filter::kNearest}) {
    TestRatio(ascending, 1500, 100, 15, filter);
    TestRatio(descending, 100, 1500, 15, filter);
    TestRatio(shuffled, 1000, 1000, 10, filter);
    TestRatio(ascending, 9000, 16, 3, filter);
    TestRatio(ascending, 16, 9000, 3, filter);
  }
  for (uint64_t seed = 0; seed < 4; ++seed) TestHelpers(ascending, seed);
  for (const auto& [name, number] : decoders) std::printf("%s: %ld images\n", name.c_str(), number);
  return Summary("device", cases);
}
