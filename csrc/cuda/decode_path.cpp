#include "cuda/decode_path.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "cuda/kernels/canary.h"
#include "plan/quality_guard.h"

namespace fastpre::cuda {
namespace {

// Seconds from asking the engines for one image to its samples, however small it is: assumed, not yet measured.
constexpr double kHardwareLatency = 0.5e-3;
// Samples for each output pixel that engines leave when they scale. Twice the CPU's: the bound for nvJPEG's pixels is
// tighter, and scaling saves the engines' writes, not their decoding.
constexpr int kHardwareGuard = 4;
// Weight of a new observation.
constexpr double kForget = 0.2;
constexpr double kDistrust = 64;   // a batch of 60 images gives it one
constexpr double kForgive = 0.99;  // 400 batches until it is gone
// Smaller batches say more of latencies than of rates.
constexpr double kLeastSeconds = 50e-6;

// Those that nvJPEG's engines know, and whose chroma nvJPEG writes at the size that the sampling factors say.
bool UsualSampling(const Frame& frame) {
  if (frame.components == 1) return true;
  const auto& c = frame.component;
  if (frame.components != 3 || c[1].h != 1 || c[1].v != 1 || c[2].h != 1 || c[2].v != 1) return false;
  return c[0].h <= 2 && c[0].v <= 2;
}

bool UsualColor(const Frame& frame) { return frame.color == ColorModel::kYcc || frame.color == ColorModel::kGray; }

size_t SampleBytes(const Frame& frame) {
  size_t bytes = 0;
  for (int i = 0; i < frame.components; ++i) {
    bytes += static_cast<size_t>(frame.mcus_x) * frame.component[i].h * 8 * frame.mcus_y * frame.component[i].v * 8;
  }
  return bytes;
}

// What is narrower cannot be checked (cuda/kernels/canary.h).
bool IsWideEnough(const Frame& frame, int scale) {
  for (int i = 0; i < frame.components; ++i) {
    if (frame.component[i].width * scale < 8 * kLeastWidth) return false;
  }
  return true;
}

}  // namespace

const char* PathName(DecodePath path) {
  switch (path) {
    case DecodePath::kHardware: return "hardware";
    case DecodePath::kHybrid: return "hybrid";
    case DecodePath::kCoefficients: return "coefficients";
    case DecodePath::kPixels: return "pixels";
  }
  return "";
}

PathChoice AllowedPaths(const Header& header, const Frame* frame, const std::string& declined, bool complete,
                        const Plan& plan, const Capabilities& capabilities) {
  PathChoice choice;
  const auto allow = [&](DecodePath r) { choice.may[static_cast<int>(r)] = true; };
  choice.declined = declined;
  if (!frame) return choice;
  if (SampleBytes(*frame) > capabilities.image_bytes) {
    choice.declined = "its samples are over the device memory that one image may take";
    return choice;
  }
  if (declined.empty()) allow(DecodePath::kCoefficients);
  if (capabilities.exact || !complete || (!declined.empty() && header.sof != marker::kSOF2)) return choice;
  const bool sides =
      std::min(frame->width, frame->height) >= kLeastSide && std::max(frame->width, frame->height) <= kMostSide;
  if (!sides || !UsualSampling(*frame) || !UsualColor(*frame)) return choice;
  if (capabilities.hybrid) allow(DecodePath::kHybrid);
  if (capabilities.hardware && declined.empty() && header.sof == marker::kSOF0 && frame->scans.size() == 1) {
    allow(DecodePath::kHardware);
    const int least = LumaScale(header, plan, kHardwareGuard);
    int& scale = choice.hardware_scale;
    for (scale = 1; scale < 8 && (scale < least || !IsWideEnough(*frame, scale)); scale *= 2) {
    }
  }
  return choice;
}

// An H100's engines and 16 cores decode some ten thousand photographs a second each, of a million cost units.
Rates::Rates() {
  std::fill(std::begin(distrust_), std::end(distrust_), 1.0);
  rate_[static_cast<int>(DecodePath::kHardware)] = 60e-6 / 1e6;
  rate_[static_cast<int>(DecodePath::kHybrid)] = 120e-6 / 1e6;
  rate_[static_cast<int>(DecodePath::kCoefficients)] = 60e-6 / 1e6;
  rate_[static_cast<int>(DecodePath::kPixels)] = 80e-6 / 1e6;
}

void Rates::Observe(DecodePath path, double cost, double seconds) {
  if (cost <= 0 || seconds < kLeastSeconds) return;
  const int r = static_cast<int>(path);
  std::lock_guard<std::mutex> lock(mutex_);
  const double rate = seconds / cost;
  distrust_[r] = 1;
  rate_[r] = seen_[r]++ == 0 ? rate : rate_[r] + kForget * (rate - rate_[r]);
}

void Rates::Distrust(DecodePath path) {
  std::lock_guard<std::mutex> lock(mutex_);
  distrust_[static_cast<int>(path)] = kDistrust;
}

void Rates::Forgive() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (double& d : distrust_) d = std::max(1.0, d * kForgive);
}

bool Rates::distrusted(DecodePath path) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return distrust_[static_cast<int>(path)] > 1;
}

double Rates::seconds_per_cost(DecodePath path) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return rate_[static_cast<int>(path)] * distrust_[static_cast<int>(path)];
}

int64_t Rates::observations(DecodePath path) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return seen_[static_cast<int>(path)];
}

std::vector<DecodePath> Split(const std::vector<Candidate>& images, const Rates& rates, const std::string& forced) {
  constexpr std::array kAll = {DecodePath::kHardware, DecodePath::kHybrid, DecodePath::kCoefficients,
                               DecodePath::kPixels};
  std::vector<DecodePath> paths(images.size(), DecodePath::kPixels);
  if (forced != "auto") {
    for (size_t i = 0; i < images.size(); ++i) {
      for (const DecodePath r : kAll) {
        if (forced == PathName(r) && images[i].choice->allows(r)) paths[i] = r;
      }
      if (forced != PathName(paths[i]) && images[i].choice->allows(DecodePath::kCoefficients)) {
        paths[i] = DecodePath::kCoefficients;
      }
    }
    return paths;
  }
  std::vector<size_t> order(images.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return images[a].cost > images[b].cost; });
  double engines = kHardwareLatency, cores = 0;  // seconds until each is done with what it has
  for (const size_t i : order) {
    const PathChoice& choice = *images[i].choice;
    // Of the paths that take the CPU's cores, the fastest; ours until nvJPEG's was measured to be faster.
    DecodePath on_cores = DecodePath::kPixels;
    for (const DecodePath r : {DecodePath::kCoefficients, DecodePath::kHybrid}) {
      if (!choice.allows(r) || rates.distrusted(r)) continue;
      if (on_cores == DecodePath::kPixels ||
          (rates.observations(r) > 0 && rates.seconds_per_cost(r) < rates.seconds_per_cost(on_cores))) {
        on_cores = r;
      }
    }
    const double engine_time = images[i].cost * rates.seconds_per_cost(DecodePath::kHardware);
    const double core_time = images[i].cost * rates.seconds_per_cost(on_cores);
    if (choice.allows(DecodePath::kHardware) && engines + engine_time < cores + core_time) {
      paths[i] = DecodePath::kHardware;
      engines += engine_time;
    } else {
      paths[i] = on_cores;
      cores += core_time;
    }
  }
  return paths;
}

}  // namespace fastpre::cuda
