// libFuzzer target: transcoding. Byte 0 says what the rest is, as for fuzz_baseline: a JPEG, or (top bit) the decisions
// of tests/cpp/jpeg_writer.h; bytes 1 to 4 are options.
//
// What tests/cpp/transcode_check.h says of every stream: no InternalError, and what is accepted keeps its pixels.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../tests/cpp/jpeg_writer.h"
#include "../tests/cpp/transcode_check.h"

namespace {

using namespace fastpre;

constexpr uint8_t kStructured = 0x80, kDamaged = 0x40, kCropped = 0x20, kPlain = 0x10;  // bits of byte 0
constexpr int kPrefixBytes = 5;
constexpr int kMaxSide = 400;  // of structured images

TranscodeOptions ReadOptions(const uint8_t* b) {
  TranscodeOptions options;
  if (b[0] & kCropped) options.crop_height = b[1], options.crop_width = b[2];
  options.optimize = !(b[0] & kPlain);
  options.restart_rows = b[3] % 4;
  options.metadata = static_cast<TranscodeOptions::Metadata>(b[4] % 3);
  options.limits.max_pixels = 200'000;
  options.limits.max_bytes = 1 << 20;
  options.limits.max_work = 6'000'000;
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kPrefixBytes) return 0;
  std::vector<uint8_t> jpeg(data + kPrefixBytes, data + size);
  if (data[0] & kStructured) {
    test::Choices choose(Bytes(data + kPrefixBytes, size - kPrefixBytes));
    test::JpegStream stream = test::WriteJpeg(test::DrawSpec(choose, kMaxSide), choose);
    if (data[0] & kDamaged) {
      test::Choices breakage(Bytes(data + 1, size - 1));
      test::Damage(&stream, breakage);
    }
    jpeg = std::vector<uint8_t>(stream.bytes.begin(), stream.bytes.end());  // no spare capacity
  }
  const test::Transcoded done = test::CheckTranscode(jpeg, ReadOptions(data));
  if (!done.broken.empty()) {
    std::fprintf(stderr, "fuzz_transcode: %s\n", done.broken.c_str());
    std::abort();
  }
  return 0;
}
