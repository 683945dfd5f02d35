// Transcoding without loss: streams drawn at random, whole and damaged; the same coefficients as progressive and
// arithmetic-coded streams; given files. `transcode_test [FILE or FOLDER]...`
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <jpeglib.h>

#include "check.h"
#include "core/call_context.h"
#include "jpeg_writer.h"
#include "transcode_check.h"

namespace fastpre::test {
namespace {

namespace fs = std::filesystem;

long streams = 0, accepted = 0;

TranscodeOptions DrawOptions(Choices& choose) {
  TranscodeOptions options;
  if (choose.OneIn(2)) options.crop_height = choose.Between(0, 200), options.crop_width = choose.Between(0, 200);
  options.optimize = !choose.OneIn(3);
  options.restart_rows = choose.OneIn(2) ? choose.Between(1, 4) : 0;
  options.metadata = static_cast<TranscodeOptions::Metadata>(choose.Below(3));
  return options;
}

Transcoded Run(Bytes given, const TranscodeOptions& options, const std::string& name) {
  const std::vector<uint8_t> bytes(given.begin(), given.end());  // of its own: a sanitizer sees the end
  ++streams;
  Transcoded done = CheckTranscode(bytes, options);
  CHECK(done.broken.empty(), name + ": " + done.broken);
  accepted += done.accepted;
  return done;
}

// One sequential scan has them all.
bool FitsOneScan(const JpegSpec& spec) {
  int blocks = 0;
  for (const auto& c : spec.components) blocks += c.h * c.v;
  return (spec.components.size() == 1 || blocks <= 10) &&
         std::none_of(spec.scans.begin(), spec.scans.end(), [](auto& scan) { return scan.new_quant; });
}

// Undamaged streams are transcoded, whatever else they vary in, unless one scan cannot hold what they have.
void TestDrawn() {
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    Choices choose(seed);
    const JpegSpec spec = DrawSpec(choose, 200);
    JpegStream stream = WriteJpeg(spec, choose);
    std::string name = "seed " + std::to_string(seed) + ": " + Describe(spec);
    const bool damaged = seed % 3 == 0;
    if (damaged) name += Damage(&stream, choose);
    const Transcoded done = Run(stream.bytes, DrawOptions(choose), name);
    const bool must = !damaged && InScope(spec) && FitsOneScan(spec) && spec.range == JpegSpec::Range::kPlausible;
    CHECK(done.accepted || !must || done.refusal.find("Adobe color transform") != std::string::npos,
          name + ": " + done.refusal);
  }
}

// The same coefficients in another way of coding, by libjpeg-turbo itself, which may exit on what it does not like.
std::vector<uint8_t> Recoded(Bytes bytes, bool progressive, bool arithmetic) {
  jpeg_error_mgr error;
  jpeg_decompress_struct from{};
  jpeg_compress_struct to{};
  from.err = to.err = jpeg_std_error(&error);
  jpeg_create_decompress(&from);
  jpeg_create_compress(&to);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_src(&from, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_mem_dest(&to, &data, &size);
  jpeg_read_header(&from, TRUE);
  jvirt_barray_ptr* const blocks = jpeg_read_coefficients(&from);
  jpeg_copy_critical_parameters(&from, &to);
  to.arith_code = arithmetic;
  to.restart_in_rows = 1;
  if (progressive) jpeg_simple_progression(&to);
  jpeg_write_coefficients(&to, blocks);
  jpeg_finish_compress(&to);
  jpeg_destroy_compress(&to);
  jpeg_destroy_decompress(&from);
  std::vector<uint8_t> recoded(data, data + size);
  std::free(data);
  return recoded;
}

void TestEveryCoding() {
  const std::vector<std::vector<std::array<int, 2>>> samplings = {
      {{1, 1}}, {{1, 1}, {1, 1}, {1, 1}}, {{2, 1}, {1, 1}, {1, 1}}, {{2, 2}, {1, 1}, {1, 1}}, {{2, 2}, {2, 1}, {1, 2}}};
  uint64_t seed = 0;
  for (const auto& sampling : samplings) {
    for (const auto& [width, height] : {std::pair{1, 1}, {8, 8}, {33, 17}, {130, 95}}) {
      Choices choose(++seed);
      const JpegSpec spec = MakeSpec(width, height, sampling);
      const std::string name = Describe(spec);
      const JpegStream stream = WriteJpeg(spec, choose);
      const TranscodeOptions options;
      const Transcoded plain = Run(stream.bytes, options, name);
      CHECK(plain.accepted, name + ": " + plain.refusal);
      for (const auto& [progressive, arithmetic] : {std::pair{true, false}, {false, true}, {true, true}}) {
        const Transcoded other = Run(Recoded(stream.bytes, progressive, arithmetic), options, name);
        CHECK(other.bytes == plain.bytes, name + (progressive ? " progressive" : "") +
                                              (arithmetic ? " arithmetic" : "") + ": other coefficients; " +
                                              other.refusal);
      }
    }
  }
}

void TestLimits() {
  Choices choose(1);
  const JpegStream stream = WriteJpeg(MakeSpec(200, 150, {{2, 2}, {1, 1}, {1, 1}}), choose);
  const auto refusal = [&](auto change) {
    TranscodeOptions options;
    change(options);
    return Run(stream.bytes, options, "limits").refusal;
  };
  CHECK(refusal([](auto& o) { o.limits.max_pixels = 200 * 150; }).empty(), "");
  CHECK(refusal([](auto& o) { o.limits.max_pixels = 200 * 150 - 1; }).find("max_pixels") != std::string::npos, "");
  CHECK(refusal([&](auto& o) { o.limits.max_bytes = stream.bytes.size() - 1; }).find("max_bytes") != std::string::npos,
        "");
  // The result is the larger one: no tables of its own, and markers at every row.
  const std::string larger = refusal([&](auto& o) {
    o.limits.max_bytes = static_cast<int64_t>(stream.bytes.size());
    o.optimize = false;
    o.restart_rows = 1;
  });
  CHECK(larger.empty() || larger.find("the result is over max_bytes") != std::string::npos, larger);
  CHECK(refusal([](auto& o) { o.limits.max_work = 1000; }).find("max_work") != std::string::npos, "");
}

// A call that has been cancelled ends with that, at its first row.
void TestCancelled() {
  Choices choose(2);
  const JpegStream stream = WriteJpeg(MakeSpec(64, 64, {{1, 1}}), choose);
  const CallContext::Flag flag = std::make_shared<std::atomic<bool>>(true);
  CallContext context(nullptr, flag);
  const CallContext::Scope scope(&context);
  bool cancelled = false;
  try {
    (void)Transcode(stream.bytes, TranscodeOptions{});
  } catch (const Cancelled&) {
    cancelled = true;
  }
  CHECK(cancelled, "");
  ++streams;
}

void TestFiles(const fs::path& given) {
  std::vector<fs::path> files{given};
  if (fs::is_directory(given)) {
    files.clear();
    for (const auto& entry : fs::recursive_directory_iterator(given)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
  }
  uint64_t seed = 0;
  for (const fs::path& file : files) {
    std::ifstream f(file, std::ios::binary);
    const std::vector<uint8_t> bytes(std::istreambuf_iterator<char>(f), {});
    Choices choose(++seed);
    TranscodeOptions options = DrawOptions(choose);
    options.limits.max_work = 100'000'000;
    Run(bytes, options, file.string());
  }
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre::test;
  if (argc == 1) {
    TestDrawn();
    TestEveryCoding();
    TestLimits();
    TestCancelled();
  }
  for (int i = 1; i < argc; ++i) TestFiles(argv[i]);
  std::printf("transcoded %ld of %ld\n", accepted, streams);
  return Summary("transcode", streams);
}
