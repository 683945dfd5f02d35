// One image decoded by several threads gives what one thread gives, whatever they speculate and whichever
// comes first: streams written at random, with and without restart markers, whole and damaged, and given files.
// `speculative_test [FILE or FOLDER]...`
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "check.h"
#include "core/error.h"
#include "core/helper_threads.h"
#include "jpeg/declined.h"
#include "jpeg/decoder.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

namespace fs = std::filesystem;

long cases = 0, declined = 0;

// Threads of its own, which come late or not at all.
class TestHelpers final : public HelperThreads {
 public:
  TestHelpers(int size, int coming, int late_us) : size_(size), coming_(coming), late_us_(late_us) {}
  ~TestHelpers() override { Stop(); }
  int size() const override { return size_; }
  void Start(const std::function<void()>& body) override {
    for (int i = 0; i < coming_; ++i) {
      threads_.emplace_back([body, late = late_us_ * i] {
        std::this_thread::sleep_for(std::chrono::microseconds(late));
        body();
      });
    }
  }
  void Stop() override {
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

 private:
  int size_, coming_, late_us_;
  std::vector<std::thread> threads_;
};

struct Decoded {
  std::vector<uint8_t> pixels;
  std::string declined;
};

Decoded Decode(JpegDecoder& decoder, Bytes bytes, const Header& header, const Rect& rect, HelperThreads* helpers) {
  Decoded d;
  try {
    decoder.Open(bytes, header, rect, helpers);
    const size_t stride = decoder.row_bytes(), kept = static_cast<size_t>(rect.width()) * 4;
    std::vector<uint8_t> row(stride);
    d.pixels.resize(kept * rect.height());
    for (int y = 0; y < rect.height(); ++y) {
      decoder.Read(1, row.data(), stride);
      std::memcpy(d.pixels.data() + y * kept, row.data() + decoder.left_bytes(), kept);
    }
    decoder.CheckTail();
  } catch (const Declined& e) {
    d.declined = e.what();
    d.pixels.clear();
  }
  decoder.Close();
  for (size_t i = 3; i < d.pixels.size(); i += 4) d.pixels[i] = 0;
  return d;
}

Rect DrawRect(Choices& choose, const Header& h) {
  Rect r;
  r.x0 = choose.Between(0, h.width - 1), r.y0 = choose.Between(0, h.height - 1);
  r.x1 = choose.Between(r.x0 + 1, h.width), r.y1 = choose.Between(r.y0 + 1, h.height);
  return r;
}

// `may_differ`: a damaged stream, which one of the two may decline before the other sees the damage.
void Compare(JpegDecoder& one, JpegDecoder& many, Bytes bytes, const std::string& name, Choices& choose, bool damaged) {
  Header header;
  try {
    header = ParseHeader(bytes, Limits(), false);
  } catch (const Error&) {
    return;
  }
  for (int k = 0; k < 3; ++k) {
    const Rect rect = k == 0 ? Rect{0, 0, header.width, header.height} : DrawRect(choose, header);
    const int size = choose.Between(1, 4);
    TestHelpers helpers(size, choose.Between(0, size), choose.Between(0, 2) * 300);
    const Decoded want = Decode(one, bytes, header, rect, nullptr), got = Decode(many, bytes, header, rect, &helpers);
    ++cases;
    declined += !got.declined.empty();
    if (!damaged) CHECK(want.declined.empty() && got.declined.empty(), name + ": " + want.declined + got.declined);
    if (want.declined.empty() && got.declined.empty()) CHECK(want.pixels == got.pixels, name + ": pixels differ");
  }
}

JpegSpec DrawLarge(Choices& choose) {
  static const std::vector<std::vector<std::array<int, 2>>> kSamplings = {{{{2, 2}}, {{1, 1}}, {{1, 1}}},
                                                                          {{{2, 1}}, {{1, 1}}, {{1, 1}}},
                                                                          {{{1, 1}}, {{1, 1}}, {{1, 1}}},
                                                                          {{{1, 2}}, {{1, 1}}, {{1, 1}}},
                                                                          {{{1, 1}}},
                                                                          {{{4, 1}}, {{1, 1}}, {{1, 1}}},
                                                                          {{{2, 2}}, {{1, 1}}, {{1, 1}}, {{2, 2}}}};
  const auto& sampling = kSamplings[choose.Below(static_cast<uint32_t>(kSamplings.size()))];
  JpegSpec spec = MakeSpec(choose.Between(600, 1500), choose.Between(500, 1100), sampling);
  static constexpr int kRestarts[] = {0, 0, 0, JpegSpec::kRow, 1, 7, 500};
  spec.scans[0].restart = kRestarts[choose.Below(7)];
  spec.codes = static_cast<JpegSpec::Codes>(choose.Below(3));
  if (choose.OneIn(4)) {  // one table for all: nothing tells a helper which block of an MCU it is in
    for (auto& c : spec.components) c.dc = c.ac = 0;
  }
  spec.density = choose.OneIn(3) ? 2 : choose.Between(3, 63);
  spec.layout = choose.Below(3);
  return spec;
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre;
  using namespace fastpre::test;
  const int64_t target = AvailableJpegKernels().front()->target;
  const auto one = MakeBaselineDecoder(target), many = MakeBaselineDecoder(target);
  Choices choose(7);
  for (int i = 0; i < 60 && argc < 2; ++i) {
    const JpegSpec spec = DrawLarge(choose);
    JpegStream stream = WriteJpeg(spec, choose);
    Compare(*one, *many, {stream.bytes.data(), stream.bytes.size()}, Describe(spec), choose, false);
    const std::string damage = Damage(&stream, choose);
    Compare(*one, *many, {stream.bytes.data(), stream.bytes.size()}, Describe(spec) + damage, choose, true);
  }
  for (int i = 1; i < argc; ++i) {
    std::vector<fs::path> files;
    if (fs::is_directory(argv[i])) {
      for (const auto& entry : fs::directory_iterator(argv[i])) files.push_back(entry.path());
    } else {
      files.emplace_back(argv[i]);
    }
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      const std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(in)), {});
      Compare(*one, *many, {bytes.data(), bytes.size()}, file.string(), choose, true);
    }
  }
  std::printf("%ld declined\n", declined);
  return Summary("speculative", cases);
}
