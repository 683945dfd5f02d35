// Loading nvJPEG and driving its two decoders, with tests/cpp/fake_nvjpeg.cpp in its place: what is asked of it, what
// is made of its refusals, and what it may allocate. `nvjpeg_test libfake_nvjpeg.so`; FASTPRE_REAL_NVJPEG: the path of
// a real library, of which is tried what goes without a GPU.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/nvjpeg/api.h"
#include "cuda/nvjpeg/decoders.h"
#include "host_runtime.h"
#include "jpeg_writer.h"
#include "raw_planes.h"

namespace fastpre::test {
namespace {

using cuda::BoundedMemory;
using cuda::CudaError;
using cuda::HardwareDecoder;
using cuda::HybridDecoder;
using cuda::NvjpegLibrary;
using cuda::NvjpegTask;

constexpr size_t kPlenty = size_t{1} << 30;
constexpr uint8_t kUntouched = 0xA5;

long cases = 0;

// The fake's controls, by way of the library that the decoders use.
struct Fake {
  void (*set)(const char*, int) = nullptr;
  int (*get)(const char*) = nullptr;
};

// A fault for as long as the object lives.
class Faulty {
 public:
  Faulty(const Fake& fake, const char* what, int value, int normal = -1) : fake_(fake), what_(what), normal_(normal) {
    fake_.set(what, value);
  }
  ~Faulty() { fake_.set(what_, normal_); }

 private:
  const Fake& fake_;
  const char* what_;
  int normal_;
};

// What `call` throws as CudaError; empty if it does not.
template <class Call>
std::string Caught(const Call& call) {
  try {
    call();
  } catch (const CudaError& e) {
    return e.what();
  }
  return {};
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A decoder's surroundings.
struct Bench {
  explicit Bench(size_t device_bound = kPlenty, size_t pinned_bound = kPlenty)
      : device(&runtime, cuda::Memory::kDevice, device_bound),
        pinned(&runtime, cuda::Memory::kPinned, pinned_bound),
        stream(runtime.CreateStream()) {}
  ~Bench() {
    CHECK(device.used() == 0 && pinned.used() == 0, "nothing is left on the device or pinned");
    runtime.DestroyStream(stream);
  }

  HostRuntime runtime;
  BoundedMemory device, pinned;
  cuda::Stream stream;
};

int Scaled(int samples, int scale) { return CeilDiv(samples * scale, 8); }

// A stream, libjpeg's planes of it, and where a decoder is to put them, with margins that must not be written.
class Picture {
 public:
  static constexpr int kMargin = 3;

  explicit Picture(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {
    CHECK(ReadRawPlanes(bytes_.data(), bytes_.size(), &layout_, nullptr), "the test's own stream");
    expected_.resize(layout_.bytes);
    CHECK(ReadRawPlanes(bytes_.data(), bytes_.size(), &layout_, expected_.data()), "the test's own stream");
  }

  NvjpegTask ImageJob(int scale = 8) {
    NvjpegTask job;
    job.bytes = bytes_;
    job.frame_width = layout_.width;
    job.frame_height = layout_.height;
    job.components = layout_.components;
    for (int c = 0; c < layout_.components; ++c) {
      job.width[c] = layout_.planes[c].width;
      job.height[c] = layout_.planes[c].height;
    }
    for (int c = 0; c < layout_.components; ++c) {
      const RawPlane& p = layout_.planes[c];
      const size_t pitch = Scaled(p.width, scale) + kMargin;
      planes_[c].assign(pitch * (Scaled(p.height, scale) + 1), kUntouched);
      job.plane[c] = planes_[c].data();
      job.pitch[c] = pitch;
    }
    return job;
  }

  // Whether rows up to `end` (of the pixels) are as they should be and all the rest is untouched.
  bool Written(const NvjpegTask& job, int scale = 8, Rect region = {}, double part = 1) const {
    if (region.x1 == 0) region = {0, 0, layout_.width, layout_.height};
    const int factor = 8 / scale;
    for (int c = 0; c < layout_.components; ++c) {
      const RawPlane& p = layout_.planes[c];
      const int x0 = region.x0 * p.h / layout_.max_h, y0 = region.y0 * p.v / layout_.max_v;
      const int width = Scaled(CeilDiv(region.x1 * p.h, layout_.max_h) - x0, scale);
      const int height = static_cast<int>(Scaled(CeilDiv(region.y1 * p.v, layout_.max_v) - y0, scale) * part);
      for (size_t i = 0; i < planes_[c].size(); ++i) {
        const int x = static_cast<int>(i % job.pitch[c]), y = static_cast<int>(i / job.pitch[c]);
        int value = kUntouched;
        if (x < width && y < height) {
          int sum = factor * factor / 2;
          for (int dy = 0; dy < factor; ++dy) {
            for (int dx = 0; dx < factor; ++dx) {
              sum +=
                  expected_[p.offset + static_cast<size_t>((y0 + y) * factor + dy) * p.pitch + (x0 + x) * factor + dx];
            }
          }
          value = sum / (factor * factor);
        }
        if (planes_[c][i] != value) return false;
      }
    }
    return true;
  }
  bool Untouched() const {
    for (int c = 0; c < layout_.components; ++c) {
      for (const uint8_t v : planes_[c]) {
        if (v != kUntouched) return false;
      }
    }
    return true;
  }

  std::vector<uint8_t>* bytes() { return &bytes_; }
  const PlanesLayout& layout() const { return layout_; }

 private:
  std::vector<uint8_t> bytes_, expected_;
  std::array<std::vector<uint8_t>, 4> planes_;
  PlanesLayout layout_;
};

using Sampling = std::vector<std::array<int, 2>>;

Picture Draw(int width, int height, const Sampling& sampling, uint64_t seed) {
  Choices choose(seed);
  return Picture(WriteJpeg(MakeSpec(width, height, sampling), choose).bytes);
}

// `count` small ones, of every sampling that the engines take.
std::vector<Picture> Album(int count) {
  static const Sampling kSamplings[] = {
      {{2, 2}, {1, 1}, {1, 1}}, {{2, 1}, {1, 1}, {1, 1}}, {{1, 1}, {1, 1}, {1, 1}}, {{1, 2}, {1, 1}, {1, 1}}, {{1, 1}}};
  std::vector<Picture> album;
  for (int i = 0; i < count; ++i) {
    album.push_back(Draw(17 + 13 * (i % 7), 40 - 5 * (i % 6), kSamplings[i % 5], static_cast<uint64_t>(i)));
  }
  return album;
}

std::vector<NvjpegTask> JobsOf(std::vector<Picture>* album, int scale = 8) {
  std::vector<NvjpegTask> jobs;
  for (Picture& picture : *album) jobs.push_back(picture.ImageJob(scale));
  return jobs;
}

void DecodeAll(HardwareDecoder* decoder, std::vector<NvjpegTask>* jobs, int scale, const Bench& bench) {
  std::vector<NvjpegTask*> pointers;
  for (NvjpegTask& job : *jobs) pointers.push_back(&job);
  decoder->Decode(pointers, scale, bench.stream);
}

void CheckLoading(const std::string& path, Fake* fake) {
  const std::string nothing = Caught([] { NvjpegLibrary::Load({}); });
  CHECK(Has(nothing, "pip install nvidia-nvjpeg"), nothing);
  const std::string missing =
      Caught([] { NvjpegLibrary::Load({"/no/such/libnvjpeg.so.13", "libm.so.6", "/etc/passwd"}); });
  CHECK(Has(missing, "/no/such/libnvjpeg.so.13: cannot open shared object file"), missing);
  CHECK(Has(missing, "libm.so.6: has no nvjpegGetProperty"), missing);
  CHECK(Has(missing, "/etc/passwd: "), missing);
  CHECK(Has(missing, "FASTPRE_NVJPEG="), missing);

  // Later candidates are tried.
  const auto library = NvjpegLibrary::Load({"/no/such/libnvjpeg.so.13", path});
  CHECK(library->version() == "13.0.0", library->version());
  CHECK(library->path() == std::filesystem::canonical(path), library->path());
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  fake->set = reinterpret_cast<decltype(fake->set)>(dlsym(handle, "fake_nvjpeg_set"));
  fake->get = reinterpret_cast<decltype(fake->get)>(dlsym(handle, "fake_nvjpeg_get"));
  if (!fake->set || !fake->get) std::abort();

  for (const int version : {11900, 12000, 12009, 14000}) {
    const Faulty other(*fake, "version", version, 13000);
    const std::string refused = Caught([&] { NvjpegLibrary::Load({path}); });
    CHECK(Has(refused, "not 12.1 to 13.x"), refused);
  }
  for (const int version : {12010, 12999, 13999}) {
    const Faulty other(*fake, "version", version, 13000);
    CHECK(NvjpegLibrary::Load({path})->major() == version / 1000, std::to_string(version));
  }
  cases += 10;
}

void CheckHardware(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  Bench bench;
  HardwareDecoder decoder(library, &bench.runtime, &bench.device, &bench.pinned);
  CHECK(decoder.engines() == 2 && decoder.cores_per_engine() == 1, "the fake's engines");
  for (const int scale : {8, 4, 2, 1}) {
    for (const int count : {1, 7, 7, 20, 3}) {
      std::vector<Picture> album = Album(count);
      std::vector<NvjpegTask> jobs = JobsOf(&album, scale);
      DecodeAll(&decoder, &jobs, scale, bench);
      for (int i = 0; i < count; ++i, ++cases) {
        const std::string name = "image " + std::to_string(i) + " scale " + std::to_string(scale);
        CHECK(jobs[i].failure.empty(), name + ": " + jobs[i].failure);
        CHECK(album[i].Written(jobs[i], scale), name);
        CHECK(decoder.WhyNot(jobs[i], scale).empty(), name);
        NvjpegTask other = jobs[i];
        ++other.frame_height;
        CHECK(!decoder.WhyNot(other, scale).empty(), name + ": another frame");
        other = jobs[i];
        other.height[0] -= 16;
        CHECK(!decoder.WhyNot(other, scale).empty(), name + ": a larger component");
      }
    }
  }
  CHECK(bench.runtime.event_waits() >= 20, "every batch waits for the one before");
  CHECK(!decoder.WhyNot(Draw(30, 20, {{4, 1}, {1, 1}, {1, 1}}, 1).ImageJob(), 8).empty(), "4:1:1");
  CHECK(!decoder.WhyNot(Draw(30, 20, {{1, 1}, {1, 1}, {1, 1}, {1, 1}}, 1).ImageJob(), 8).empty(), "four components");
  CHECK(!decoder.WhyNot({}, 8).empty(), "no bytes");
  const int batches = fake.get("batches");
  decoder.Decode({}, 8, bench.stream);
  CHECK(fake.get("batches") == batches, "no images, no call");
}

void CheckSilentFaults(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  Bench bench;
  HardwareDecoder decoder(library, &bench.runtime, &bench.device, &bench.pinned);
  std::vector<Picture> album = Album(6);
  std::vector<NvjpegTask> jobs = JobsOf(&album);
  const Faulty skip(fake, "skip_image", 2), half(fake, "half_image", 4);
  DecodeAll(&decoder, &jobs, 8, bench);
  for (int i = 0; i < 6; ++i, ++cases) {
    CHECK(jobs[i].failure.empty(), jobs[i].failure);
    CHECK(i == 2 ? album[i].Untouched() : album[i].Written(jobs[i], 8, {}, i == 4 ? 0.5 : 1), std::to_string(i));
  }
}

void CheckHalving(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  Bench bench;
  HardwareDecoder decoder(library, &bench.runtime, &bench.device, &bench.pinned);
  const auto check = [&](int count, const std::vector<int>& truncated, int victim, int most_batches) {
    std::vector<Picture> album = Album(count);
    for (const int i : truncated) album[i].bytes()->resize(album[i].bytes()->size() / 2);
    std::vector<NvjpegTask> jobs = JobsOf(&album);
    const Faulty fail(fake, "fail_batch", victim);
    const int before = fake.get("batches");
    DecodeAll(&decoder, &jobs, 8, bench);
    const int batches = fake.get("batches") - before;
    CHECK(batches <= most_batches, std::to_string(batches) + " calls for " + std::to_string(count) + " images");
    int refused = 0;
    for (int i = 0; i < count; ++i, ++cases) {
      const bool broken = std::find(truncated.begin(), truncated.end(), i) != truncated.end();
      const bool bad = broken || i == victim;
      refused += !jobs[i].failure.empty();
      CHECK(!bad || !jobs[i].failure.empty(), std::to_string(i));
      if (broken) CHECK(Has(jobs[i].failure, "nvjpegDecodeBatched: bad JPEG"), jobs[i].failure);
      if (i == victim) CHECK(Has(jobs[i].failure, "execution failed"), jobs[i].failure);
      if (jobs[i].failure.empty()) CHECK(album[i].Written(jobs[i]), std::to_string(i));
    }
    return refused;
  };
  CHECK(check(16, {5}, -1, 9) == 1, "one of sixteen");
  CHECK(check(16, {}, 15, 9) == 1, "the engines' own refusal");
  CHECK(check(30, {0, 29}, 13, 49) == 3, "three of thirty");
  CHECK(check(1, {0}, -1, 1) == 1, "alone");
  std::vector<int> all;
  for (int i = 0; i < 256; ++i) all.push_back(i);
  CHECK(check(256, all, -1, 49) == 256, "all of them: the calls end before the images do");
  CHECK(check(16, {}, -1, 1) == 0, "as before, afterwards");
}

constexpr size_t kTight = size_t{64} << 10;  // enough for a thumbnail

void CheckBounds(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  for (const bool pinned : {false, true}) {
    const auto make = [&](size_t bound) {
      return std::make_unique<Bench>(pinned ? kPlenty : bound, pinned ? bound : kPlenty);
    };
    {
      const auto bench = make(100);
      const std::string text =
          Caught([&] { HardwareDecoder(library, &bench->runtime, &bench->device, &bench->pinned); });
      CHECK(Has(text, "nvjpegJpegStateCreate: no memory"), text);
    }
    for (const bool hybrid : {false, true}) {
      const auto bench = make(kTight);
      std::vector<Picture> album = Album(1);
      album.push_back(Draw(900, 700, {{2, 2}, {1, 1}, {1, 1}}, 1));
      album.push_back(Draw(12, 10, {{1, 1}}, 1));
      std::vector<NvjpegTask> jobs = JobsOf(&album);
      if (hybrid) {
        HybridDecoder decoder(library, &bench->runtime, &bench->device, &bench->pinned);
        for (NvjpegTask& job : jobs) decoder.Decode(&job, nullptr, bench->stream);
      } else {
        HardwareDecoder decoder(library, &bench->runtime, &bench->device, &bench->pinned);
        DecodeAll(&decoder, &jobs, 8, *bench);
      }
      CHECK(Has(jobs[1].failure, "no memory"), jobs[1].failure);
      CHECK(jobs[2].failure.empty() && album[2].Written(jobs[2]), jobs[2].failure);
      CHECK((pinned ? bench->pinned : bench->device).peak() <= kTight, "the bound holds");
      ++cases;
    }
  }
  CHECK(fake.get("allocated_bytes") == 0, std::to_string(fake.get("allocated_bytes")));
  Bench bench(1 << 20);
  const Faulty probe(fake, "allocator_probe", 2 << 20, 0);
  HardwareDecoder decoder(library, &bench.runtime, &bench.device, &bench.pinned);
  std::vector<Picture> album = Album(3);
  std::vector<NvjpegTask> jobs = JobsOf(&album);
  DecodeAll(&decoder, &jobs, 8, bench);
  for (const NvjpegTask& job : jobs) CHECK(Has(job.failure, "no memory"), job.failure);
  ++cases;
}

void CheckHybrid(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  Bench bench;
  const int images = fake.get("hybrid_images"), regions = fake.get("regions");
  int decoded = 0, cropped = 0;
  {
    HybridDecoder decoder(library, &bench.runtime, &bench.device, &bench.pinned);
    std::vector<Picture> album = Album(15);
    album.push_back(Draw(70, 33, {{4, 1}, {1, 1}, {1, 1}}, 1));
    album.push_back(Draw(33, 70, {{1, 1}, {1, 1}, {1, 1}, {1, 1}}, 2));
    for (Picture& picture : album) {
      const Rect region{5, 3, picture.layout().width - 2, picture.layout().height - 1};
      for (const Rect* r : {static_cast<const Rect*>(nullptr), &region, static_cast<const Rect*>(nullptr)}) {
        NvjpegTask job = picture.ImageJob();
        decoder.Decode(&job, r, bench.stream);
        ++decoded, cropped += r != nullptr, ++cases;
        CHECK(job.failure.empty(), job.failure);
        CHECK(picture.Written(job, 8, r ? *r : Rect{}), std::to_string(picture.layout().width));
      }
      Picture broken = picture;
      broken.bytes()->resize(broken.bytes()->size() / 2);
      NvjpegTask job = broken.ImageJob();
      decoder.Decode(&job, nullptr, bench.stream);
      CHECK(Has(job.failure, "bad JPEG") && broken.Untouched(), job.failure);
    }
    CHECK(bench.device.used() > 0 && bench.pinned.used() > 0, "buffers stay from image to image");
  }
  CHECK(bench.runtime.event_waits() > decoded, "an image's device part waits for the one before");
  CHECK(fake.get("hybrid_images") - images == decoded, "every image once");
  CHECK(fake.get("regions") - regions == cropped, "a region is forgotten when the next image has none");
}

void CheckCreation(const std::shared_ptr<const NvjpegLibrary>& library, const Fake& fake) {
  Bench bench;
  const auto hardware = [&] { HardwareDecoder(library, &bench.runtime, &bench.device, &bench.pinned); };
  const auto hybrid = [&] { HybridDecoder(library, &bench.runtime, &bench.device, &bench.pinned); };
  {
    const Faulty none(fake, "engines", 0, 2);
    CHECK(Has(Caught(hardware), "no JPEG engines"), Caught(hardware));
    CHECK(Caught(hybrid).empty(), Caught(hybrid));
  }
  const Faulty fail(fake, "fail_create", cuda::kNvjpegArchMismatch, 0);
  CHECK(Has(Caught(hardware), "not available on this device"), Caught(hardware));
  CHECK(Has(Caught(hybrid), "not available on this device"), Caught(hybrid));
  cases += 4;
}

// What goes without a GPU. With one this makes decoders, which is as good.
void CheckReal(const char* path) {
  const auto library = NvjpegLibrary::Load({path});
  CHECK(library->major() >= 12, library->version());
  Bench bench;
  const std::string hardware = Caught([&] { HardwareDecoder(library, &bench.runtime, &bench.device, &bench.pinned); });
  const std::string hybrid = Caught([&] { HybridDecoder(library, &bench.runtime, &bench.device, &bench.pinned); });
  std::printf("%s: version %s\n  hardware: %s\n  hybrid: %s\n", library->path().c_str(), library->version().c_str(),
              hardware.empty() ? "made" : hardware.c_str(), hybrid.empty() ? "made" : hybrid.c_str());
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre::test;  // NOLINT: a test's main
  if (argc != 2) {
    std::fprintf(stderr, "nvjpeg_test libfake_nvjpeg.so\n");
    return 2;
  }
  Fake fake;
  CheckLoading(argv[1], &fake);
  const auto library = fastpre::cuda::NvjpegLibrary::Load({argv[1]});
  CheckCreation(library, fake);
  CheckHardware(library, fake);
  CheckSilentFaults(library, fake);
  CheckHalving(library, fake);
  CheckBounds(library, fake);
  CheckHybrid(library, fake);
  if (const char* real = std::getenv("FASTPRE_REAL_NVJPEG"); real && *real) CheckReal(real);
  return Summary("nvjpeg", cases);
}
