// The project's baseline decoder against libjpeg-turbo, pixel by pixel, on every kernel target: all
// sampling factors at all small sizes, streams drawn at random, whole and damaged, and given files.
// `baseline_test [--full] [FILE or FOLDER]...`, `baseline_test --seed N [FILE to write]`
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "check.h"
#include "core/error.h"
#include "jpeg/declined.h"
#include "jpeg/decoder.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

namespace fs = std::filesystem;

enum class Expect {
  kEqual,  // legal and in scope: nothing is declined, and libjpeg-turbo accepts it
  kAny,    // what is not declined is accepted by libjpeg-turbo too, with equal pixels
};

struct Decoded {
  enum { kAccepted, kDeclined, kRefused } end = kRefused;
  std::string reason;
  std::vector<uint8_t> pixels;  // RGB0, of the rectangle
};

// The rectangle, in as many rows at a time as chance wants. `abandon`: leaves off somewhere.
Decoded Decode(JpegDecoder& decoder, Bytes bytes, const Header& header, const Rect& rect, bool whole, Choices& choose,
               const std::string& name, bool abandon = false) {
  constexpr uint8_t kUntouched = 0xA5;
  Decoded d;
  try {
    decoder.Open(bytes, header, rect);
    const size_t kept = static_cast<size_t>(rect.width()) * 4, row = decoder.row_bytes();
    const size_t stride = row + 4 * choose.Below(40);
    CHECK(decoder.left_bytes() + kept <= row, name);
    d.pixels.resize(kept * rect.height());
    uint8_t* to = d.pixels.data();
    for (int y = rect.y0; y < rect.y1;) {
      const int count = std::min(rect.y1 - y, choose.OneIn(4) ? 1 << 20 : choose.Between(1, 20));
      std::vector<uint8_t> rows((count - 1) * stride + row, kUntouched);  // no more: a sanitizer sees what is beyond
      decoder.Read(count, rows.data(), stride);
      for (int k = 0; k < count; ++k, to += kept) {
        const uint8_t* from = rows.data() + k * stride;
        std::memcpy(to, from + decoder.left_bytes(), kept);
        const uint8_t* next = k + 1 < count ? from + stride : from + row;
        CHECK(std::all_of(from + row, next, [](uint8_t b) { return b == kUntouched; }), name + ": past row_bytes()");
      }
      y += count;
      if (abandon) break;
    }
    if (!abandon && whole) decoder.CheckTail();
    d.end = Decoded::kAccepted;
  } catch (const Declined& e) {
    d.end = Decoded::kDeclined;
    d.reason = e.what();
  } catch (const Error& e) {
    d.reason = e.what();
  }
  decoder.Close();
  for (size_t i = 3; i < d.pixels.size(); i += 4) d.pixels[i] = 0;
  return d;
}

std::string Text(const Rect& r) {
  return std::to_string(r.x0) + ".." + std::to_string(r.x1) + " x " + std::to_string(r.y0) + ".." +
         std::to_string(r.y1);
}

Rect DrawRect(Choices& choose, const Header& h) {
  Rect r;
  r.x0 = choose.Between(0, h.width - 1), r.y0 = choose.Between(0, h.height - 1);
  r.x1 = choose.Between(r.x0 + 1, h.width), r.y1 = choose.Between(r.y0 + 1, h.height);
  return r;
}

// Empty, or the first pixel of `rect` that is not the whole image's.
std::string Difference(const Decoded& image, const Header& h, const Decoded& part, const Rect& rect) {
  const size_t kept = static_cast<size_t>(rect.width()) * 4;
  for (int y = rect.y0; y < rect.y1; ++y) {
    const uint8_t* want = image.pixels.data() + (static_cast<size_t>(y) * h.width + rect.x0) * 4;
    const uint8_t* got = part.pixels.data() + (y - rect.y0) * kept;
    if (std::memcmp(want, got, kept) == 0) continue;
    const size_t i = static_cast<size_t>(std::mismatch(want, want + kept, got).first - want);
    return "pixel (" + std::to_string(rect.x0 + static_cast<int>(i) / 4) + ", " + std::to_string(y) + ") channel " +
           std::to_string(i % 4) + ": " + std::to_string(got[i]) + ", not " + std::to_string(want[i]);
  }
  return "";
}

// Its words; numbers differ from stream to stream.
std::string Kind(const std::string& reason) {
  std::string kind;
  for (char c : reason) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || kind.empty() || kind.back() != '#') kind += digit ? '#' : c;
  }
  return kind;
}

class Comparison {
 public:
  Comparison() : turbo_(MakeTurboDecoder()) {
    for (const JpegKernels* kernels : AvailableJpegKernels()) {
      targets_.push_back({kernels->name, MakeBaselineDecoder(kernels->target)});
    }
  }

  void Run(Bytes given, const std::string& name, Expect expect, Choices& choose, int rectangles = 2) {
    const std::vector<uint8_t> bytes(given.begin(), given.end());  // of its own: a sanitizer sees the end
    const int failures_before = failures;
    ++streams_;
    Header header;
    try {
      header = ParseHeader(bytes, limits_, false);
    } catch (const Error& e) {
      CHECK(expect == Expect::kAny, name + ": " + e.what());
      ++refused_;
      return;
    }
    const Rect all{0, 0, header.width, header.height};
    const Decoded image = Decode(*turbo_, bytes, header, all, true, choose, name);
    const bool accepted = image.end == Decoded::kAccepted;
    refused_ += !accepted;
    CHECK(accepted || expect != Expect::kEqual, name + ": libjpeg-turbo: " + image.reason);
    bool declined = false;
    for (const Target& target : targets_) {
      const std::string where = name + ", " + target.name;
      if (choose.OneIn(8)) Decode(*target.source, bytes, header, DrawRect(choose, header), true, choose, where, true);
      for (int k = 0; k <= rectangles; ++k) {
        const Rect rect = k == 0 ? all : DrawRect(choose, header);
        const bool whole = k == 0 || choose.OneIn(2);
        const std::string context = where + ", " + Text(rect) + (whole ? ", whole: " : ": ");
        const Decoded part = Decode(*target.source, bytes, header, rect, whole, choose, context);
        if (part.end == Decoded::kDeclined) {
          CHECK(expect != Expect::kEqual, context + "declined: " + part.reason);
          if (!std::exchange(declined, true)) ++reasons_[Kind(part.reason)];
          continue;
        }
        CHECK(part.end == Decoded::kAccepted, context + "not Declined but " + part.reason);
        if (part.end != Decoded::kAccepted) continue;
        if (accepted) {
          const std::string difference = Difference(image, header, part, rect);
          CHECK(difference.empty(), context + difference);
        } else if (whole) {
          CHECK(false, context + "libjpeg-turbo refuses it: " + image.reason);
        } else {  // how far below the rectangle each looks is its own business
          const Decoded same = Decode(*turbo_, bytes, header, rect, false, choose, context);
          CHECK(same.end != Decoded::kAccepted || same.pixels == part.pixels, context + "differs");
        }
      }
    }
    declined_ += declined;
    equal_ += accepted && !declined;
    if (failures != failures_before) Keep(bytes);
  }

  // Since the last call.
  void Print(const char* part) {
    std::printf("%s: %ld streams on %zu targets: %ld equal, %ld declined, %ld refused by libjpeg-turbo\n", part,
                streams_, targets_.size(), equal_, declined_, refused_);
    for (const auto& [reason, count] : reasons_) std::printf("  declined %ld: %s\n", count, reason.c_str());
    std::fflush(stdout);
    total_ += streams_;
    streams_ = equal_ = declined_ = refused_ = 0;
    reasons_.clear();
  }
  long total() const { return total_; }

 private:
  struct Target {
    std::string name;
    std::unique_ptr<JpegDecoder> source;
  };

  void Keep(const std::vector<uint8_t>& bytes) {
    if (kept_ == 10) return;
    const fs::path path = fs::temp_directory_path() / ("baseline_failure_" + std::to_string(kept_++) + ".jpg");
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
    std::fprintf(stderr, "  the stream is in %s\n", path.c_str());
  }

  std::unique_ptr<JpegDecoder> turbo_;
  std::vector<Target> targets_;
  Limits limits_;
  long total_ = 0, streams_ = 0, equal_ = 0, declined_ = 0, refused_ = 0;
  std::map<std::string, long> reasons_;
  int kept_ = 0;
};

using Sampling = std::vector<std::array<int, 2>>;

// Luma of every shape over chroma of one sample; then chroma above luma, two kinds of chroma, factors
// with a common divisor, four components, and one with factors that do not matter.
std::vector<Sampling> Samplings() {
  std::vector<Sampling> all;
  for (int h = 1; h <= 4; ++h) {
    for (int v = 1; v <= 4; ++v) all.push_back({{h, v}, {1, 1}, {1, 1}});
  }
  const Sampling more[] = {{{1, 1}, {2, 1}, {2, 1}},
                           {{1, 1}, {1, 2}, {1, 2}},
                           {{1, 1}, {2, 2}, {2, 2}},
                           {{1, 2}, {2, 1}, {2, 2}},
                           {{2, 2}, {2, 1}, {1, 2}},
                           {{2, 2}, {1, 1}, {2, 2}},
                           {{2, 1}, {2, 1}, {1, 1}},
                           {{2, 2}, {2, 2}, {2, 2}},
                           {{2, 2}, {2, 1}, {2, 1}},
                           {{2, 2}, {1, 2}, {1, 2}},
                           {{4, 2}, {2, 1}, {2, 2}},
                           {{4, 4}, {2, 2}, {1, 1}},
                           {{4, 1}, {2, 1}, {1, 1}},
                           {{1, 4}, {1, 2}, {1, 1}},
                           {{3, 2}, {1, 2}, {3, 1}},
                           {{3, 3}, {3, 3}, {1, 3}},
                           {{1, 1}},
                           {{2, 2}},
                           {{3, 1}},
                           {{1, 4}},
                           {{1, 1}, {1, 1}, {1, 1}, {1, 1}},
                           {{2, 2}, {1, 1}, {1, 1}, {2, 2}},
                           {{2, 1}, {1, 1}, {1, 1}, {2, 1}},
                           {{1, 2}, {1, 1}, {1, 2}, {1, 1}},
                           {{4, 1}, {1, 1}, {2, 1}, {1, 1}},
                           {{1, 1}, {2, 2}, {2, 1}, {1, 2}}};
  all.insert(all.end(), std::begin(more), std::end(more));
  return all;
}

void TestSweep(Comparison* comparison, bool full) {
  constexpr int kLargest = 40;
  uint64_t seed = 0;
  for (const Sampling& sampling : Samplings()) {
    for (int width = 1; width <= kLargest; ++width) {
      for (int height = 1; height <= kLargest; ++height) {
        if (!full && (width * 7 + height * 3 + static_cast<int>(seed / kLargest)) % 16 != 0) continue;
        for (int restart : {0, 1, 3, JpegSpec::kRow}) {
          Choices choose(++seed);
          JpegSpec spec = MakeSpec(width, height, sampling);
          for (JpegSpec::Scan& scan : spec.scans) scan.restart = restart;
          spec.codes = static_cast<JpegSpec::Codes>(choose.Below(3));
          spec.adobe = sampling.size() == 4 ? static_cast<int>(choose.Below(2)) * 2 : -1;  // CMYK or YCCK
          comparison->Run(WriteJpeg(spec, choose).bytes, "sweep " + Describe(spec), Expect::kEqual, choose, 1);
        }
      }
    }
  }
  comparison->Print("sweep");
}

// One random stream; every second seed's is damaged.
struct Drawn {
  JpegStream stream;
  std::string name;
  Expect expect;
};

Drawn Draw(uint64_t seed, Choices& choose) {
  constexpr int kMaxSide = 300;
  const JpegSpec spec = DrawSpec(choose, kMaxSide);
  Drawn d{WriteJpeg(spec, choose), "seed " + std::to_string(seed) + ": " + Describe(spec), Expect::kAny};
  if (seed % 2 == 0) {
    d.name += Damage(&d.stream, choose);
  } else if (InScope(spec)) {
    d.expect = Expect::kEqual;
  }
  return d;
}

void TestRandom(Comparison* comparison, bool full) {
  const uint64_t count = full ? 100'000 : 3'000;
  for (uint64_t damaged : {1, 0}) {
    for (uint64_t seed = damaged; seed < 2 * count; seed += 2) {
      Choices choose(seed);
      const Drawn d = Draw(seed, choose);
      comparison->Run(d.stream.bytes, d.name, d.expect, choose);
    }
    comparison->Print(damaged ? "random" : "damaged");
  }
}

void TestFiles(Comparison* comparison, const fs::path& given) {
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
    comparison->Run(bytes, file.string(), Expect::kAny, choose);
  }
  comparison->Print(given.c_str());
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre::test;
  Comparison comparison;
  const std::string option = argc > 1 ? argv[1] : "";
  if (option == "--seed" && argc > 2) {
    const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
    Choices choose(seed);
    const Drawn d = Draw(seed, choose);
    std::printf("%s\n", d.name.c_str());
    if (argc > 3) {
      std::ofstream(argv[3], std::ios::binary)
          .write(reinterpret_cast<const char*>(d.stream.bytes.data()), std::ssize(d.stream.bytes));
    }
    comparison.Run(d.stream.bytes, d.name, d.expect, choose);
    comparison.Print("seed");
    return Summary("baseline", comparison.total());
  }
  const bool full = option == "--full";
  if (argc == 1 || full) {
    TestSweep(&comparison, full);
    TestRandom(&comparison, full);
  }
  for (int i = full ? 2 : 1; i < argc; ++i) TestFiles(&comparison, argv[i]);
  return Summary("baseline", comparison.total());
}
