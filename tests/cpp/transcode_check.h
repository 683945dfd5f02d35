// What Transcode promises of one stream, for the test and the fuzzer: the same pixels, nothing lost by doing it twice,
// and no error but an image's.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "jpeg/decoder.h"
#include "jpeg/transcode.h"

namespace fastpre::test {

// The whole image as RGB0; nothing if libjpeg-turbo refuses it.
inline std::optional<std::vector<uint8_t>> TurboPixels(Bytes bytes, const Limits& limits, Header* header) {
  static const std::unique_ptr<JpegDecoder> turbo = MakeTurboDecoder();
  std::optional<std::vector<uint8_t>> pixels;
  try {
    *header = ParseHeader(bytes, limits, true);
    turbo->Open(bytes, *header, {0, 0, header->width, header->height});
    std::vector<uint8_t> rows(turbo->row_bytes() * header->height);
    turbo->Read(header->height, rows.data(), turbo->row_bytes());
    turbo->CheckTail();
    for (size_t i = 3; i < rows.size(); i += 4) rows[i] = 0;
    pixels = std::move(rows);
  } catch (const Error&) {
  }
  turbo->Close();
  return pixels;
}

struct Transcoded {
  bool accepted = false;
  std::string refusal;  // if not
  std::string broken;   // promise; empty: none
  std::vector<uint8_t> bytes;
};

inline Transcoded CheckTranscode(Bytes jpeg, const TranscodeOptions& options) {
  Transcoded done;
  try {
    const WrittenStream written = Transcode(jpeg, options);
    done.bytes.assign(written.bytes().begin(), written.bytes().end());
  } catch (const Error& e) {
    done.refusal = e.what();
    if (e.kind() == ErrorKind::kInternal) done.broken = "InternalError: " + done.refusal;
    return done;
  }
  done.accepted = true;
  Header before, after;
  const auto want = TurboPixels(jpeg, options.limits, &before), got = TurboPixels(done.bytes, options.limits, &after);
  if (!want) return done;  // by sampling factors that decoders do not upsample
  const auto broken = [&](const std::string& what) {
    done.broken = what;
    return done;
  };
  if (!got) return broken("the result is refused");
  if (after.progressive() || after.arithmetic() || after.scans != 1) return broken("not one sequential scan");
  if (after.orientation != before.orientation) return broken("another orientation");
  if ((after.restart_interval > 0) != (options.restart_rows > 0)) return broken("restart markers");
  if (after.components != before.components) return broken("another number of components");
  const auto side = [](int crop, int whole) { return crop > 0 ? std::min(crop, whole) : whole; };
  if (after.width != side(options.crop_width, before.width) || after.height != side(options.crop_height, before.height))
    return broken("the size");
  // What the crop's edge lacks reaches one sample of chroma in: four pixels at most.
  const bool cut = after.width != before.width || after.height != before.height;
  constexpr int kReach = 4;
  int h = 1, v = 1;
  for (int c = 0; c < before.components && before.components > 1; ++c) {
    h = std::max(h, before.sampling[c].h), v = std::max(v, before.sampling[c].v);
  }
  const auto equal_at = [&](int x0, int y0) {
    const int margin_x = cut ? std::min(kReach, after.width) : 0, margin_y = cut ? std::min(kReach, after.height) : 0;
    for (int y = margin_y; y < after.height - margin_y; ++y) {
      const uint8_t* const a = want->data() + (static_cast<size_t>(y0 + y) * before.width + x0 + margin_x) * 4;
      const uint8_t* const b = got->data() + (static_cast<size_t>(y) * after.width + margin_x) * 4;
      const int count = after.width - 2 * margin_x;
      if (count > 0 && std::memcmp(a, b, static_cast<size_t>(count) * 4) != 0) return false;
    }
    return true;
  };
  // The multiple of an MCU's side that is nearest to the centred crop.
  const auto nearest = [](int whole, int kept, int unit) { return (whole - kept + unit) / (2 * unit) * unit; };
  const int x0 = nearest(before.width, after.width, 8 * h), y0 = nearest(before.height, after.height, 8 * v);
  if (!equal_at(x0, y0)) return broken("other pixels");
  TranscodeOptions again = options;
  again.crop_height = again.crop_width = 0;
  const WrittenStream twice = Transcode(done.bytes, again);
  if (!std::equal(done.bytes.begin(), done.bytes.end(), twice.bytes().begin(), twice.bytes().end())) {
    return broken("the second time is not like the first");
  }
  return done;
}

}  // namespace fastpre::test
