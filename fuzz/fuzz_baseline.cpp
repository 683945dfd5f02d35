// libFuzzer target: the baseline decoder against libjpeg-turbo. Byte 0 says what the rest is: a JPEG,
// or (top bit) the decisions of tests/cpp/jpeg_writer.h, so that mutations become coefficients, codes,
// sampling factors, restarts and damage instead of broken headers.
//
// What the baseline decoder does not decline, libjpeg-turbo accepts, with equal pixels: of the whole
// image and of a rectangle, on any instruction set.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../tests/cpp/jpeg_writer.h"
#include "core/error.h"
#include "jpeg/declined.h"
#include "jpeg/decoder.h"
#include "jpeg/kernels/kernels.h"

namespace {

using namespace fastpre;
using test::Choices;

// Bits of byte 0; the lowest three choose the kernels.
constexpr uint8_t kStructured = 0x80, kDamaged = 0x40, kNarrow = 0x20;
constexpr int kPrefixBytes = 5;  // byte 0, and the rectangle
constexpr int kMaxSide = 400;    // of structured images

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "fuzz_baseline: %s\n", what.c_str());
  std::abort();
}

enum class End { kAccepted, kDeclined, kRefused };

// RGB0 pixels of the rectangle; `step` rows at a time.
End Decode(JpegDecoder& decoder, Bytes bytes, const Header& header, const Rect& rect, bool whole, int step,
           std::vector<uint8_t>* pixels, std::string* reason) {
  End end = End::kAccepted;
  try {
    decoder.Open(bytes, header, rect);
    const size_t kept = static_cast<size_t>(rect.width()) * 4, row = decoder.row_bytes();
    pixels->resize(kept * rect.height());
    std::vector<uint8_t> rows(row * step);
    for (int y = rect.y0; y < rect.y1; y += step) {
      const int count = std::min(step, rect.y1 - y);
      decoder.Read(count, rows.data() + (step - count) * row, row);  // up to the end of what is allocated
      for (int k = 0; k < count; ++k) {
        const uint8_t* from = rows.data() + (step - count + k) * row + decoder.left_bytes();
        std::memcpy(pixels->data() + (y - rect.y0 + k) * kept, from, kept);
      }
    }
    if (whole) decoder.CheckTail();
  } catch (const Declined& e) {
    end = End::kDeclined;
    *reason = e.what();
  } catch (const Error& e) {
    end = End::kRefused;
    *reason = e.what();
  }
  decoder.Close();
  for (size_t i = 3; i < pixels->size(); i += 4) (*pixels)[i] = 0;
  return end;
}

void Check(JpegDecoder& baseline, Bytes jpeg, const Header& header, const uint8_t* prefix) {
  static const std::unique_ptr<JpegDecoder> turbo = MakeTurboDecoder();
  const Rect all{0, 0, header.width, header.height};
  Rect part = all;
  part.x0 = prefix[1] * header.width / 256, part.y0 = prefix[2] * header.height / 256;
  part.x1 = part.x0 + 1 + prefix[3] * (header.width - part.x0 - 1) / 255;
  part.y1 = part.y0 + 1 + prefix[4] * (header.height - part.y0 - 1) / 255;
  std::vector<uint8_t> got, got_part, want;
  std::string reason, turbo_reason;
  const End end = Decode(baseline, jpeg, header, all, true, 1 + prefix[1] % 40, &got, &reason);
  if (end == End::kRefused) Fail("an error that is not Declined: " + reason);
  const bool whole = prefix[0] & 8;
  const End end_part = Decode(baseline, jpeg, header, part, whole, 1 + prefix[2] % 40, &got_part, &reason);
  if (end_part == End::kRefused) Fail("an error that is not Declined: " + reason);
  if (end == End::kAccepted) {
    if (end_part != End::kAccepted) Fail("the whole is decoded, a part is declined: " + reason);
    if (Decode(*turbo, jpeg, header, all, true, 16, &want, &turbo_reason) != End::kAccepted) {
      Fail("libjpeg-turbo refuses it: " + turbo_reason);
    }
    const auto [at, other] = std::mismatch(got.begin(), got.end(), want.begin());
    if (at != got.end()) {
      const int i = static_cast<int>(at - got.begin()) / 4;
      Fail("pixel (" + std::to_string(i % header.width) + ", " + std::to_string(i / header.width) + ") is " +
           std::to_string(*at) + ", not " + std::to_string(*other));
    }
  }
  if (end_part != End::kAccepted) return;
  if (Decode(*turbo, jpeg, header, part, whole, 16, &want, &turbo_reason) != End::kAccepted) {
    if (!whole) return;  // how far below the rectangle each looks is its own business
    Fail("libjpeg-turbo refuses a part: " + turbo_reason);
  }
  if (got_part != want) Fail("a part's pixels differ");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kPrefixBytes) return 0;
  static const std::vector<std::unique_ptr<JpegDecoder>> baselines = [] {
    std::vector<std::unique_ptr<JpegDecoder>> made;
    for (const JpegKernels* kernels : AvailableJpegKernels()) made.push_back(MakeBaselineDecoder(kernels->target));
    return made;
  }();
  Limits limits;
  limits.max_pixels = 200'000;
  limits.max_bytes = 1 << 22;
  limits.max_work = 6'000'000;
  std::vector<uint8_t> jpeg(data + kPrefixBytes, data + size);
  bool legal = false;
  if (data[0] & kStructured) {
    Choices choose(Bytes(data + kPrefixBytes, size - kPrefixBytes));
    const test::JpegSpec spec = test::DrawSpec(choose, data[0] & kNarrow ? 32 : kMaxSide);
    test::JpegStream stream = test::WriteJpeg(spec, choose);
    legal = test::InScope(spec) && !(data[0] & kDamaged);
    if (data[0] & kDamaged) {
      // From the front again: what the blocks have not used up would be too far back to be found.
      Choices breakage(Bytes(data + 1, size - 1));
      test::Damage(&stream, breakage);
    }
    jpeg = std::vector<uint8_t>(stream.bytes.begin(), stream.bytes.end());  // no spare capacity
  }
  Header header;
  try {
    header = ParseHeader(jpeg, limits, false);
  } catch (const Error& e) {
    if (legal) Fail(std::string("the header of a legal stream is refused: ") + e.what());
    return 0;
  }
  Check(*baselines[(data[0] & 7) % baselines.size()], jpeg, header, data);
  return 0;
}
