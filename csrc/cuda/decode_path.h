// Which decode paths of a device an image may take, and which one it gets: the rules, in one place. (What the CPU does:
// cpu/decoder_choice.h.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "jpeg/frame.h"
#include "jpeg/header.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace fastpre::cuda {

// From the most to the least that is done on the device.
enum class DecodePath : uint8_t {
  kHardware,      // nvJPEG's hardware engines, then the fused kernel
  kHybrid,        // nvJPEG's CUDA decoder, Huffman decoding on the CPU, then the fused kernel
  kCoefficients,  // our entropy decoding on the CPU; inverse DCT and the fused kernel on the device
  kPixels,        // the CPU backend up to 8-bit pixels of the output's size; the rest on the device
};
inline constexpr int kPaths = 4;
const char* PathName(DecodePath path);  // "hardware", "hybrid", "coefficients", "pixels"

// What this device and this call are capable of.
struct Capabilities {
  bool exact = true;
  bool hardware = false, hybrid = false;  // nvJPEG has them here
  size_t image_bytes = SIZE_MAX;          // device memory that one image's samples may take
};

// Paths that an image may take. kPixels is always among them.
struct PathChoice {
  bool may[kPaths] = {false, false, false, true};
  int hardware_scale = 8;  // the decoded side of a block there; 8, 4, 2 or 1
  std::string declined;    // why nothing else than kPixels is
  bool allows(DecodePath path) const { return may[static_cast<int>(path)]; }
};

// `frame`: the image's geometry, null if it has none that we know; `declined`: why our decoder does not take the
// stream, empty if it does; `complete`: the stream ends where it should. Rules:
//
//   exact fidelity     our decoder, or the CPU for what it declines: nvJPEG's inverse DCT is another one
//   hardware engines   baseline, one scan, 1 or 3 components, 4:4:4, 4:2:2, 4:2:0, 4:4:0 or gray, every side in
//                      [kLeastSide, kMostSide]; YCbCr and gray only, since others would be converted by assumptions of
//                      nvJPEG's
//   CUDA decoder       the same samplings, also extended and progressive streams
//   both               nothing but what our own parser accepts, to its end: malformed streams have crashed nvJPEG
//   coefficients       every stream of ours whose samples fit in memory
//   the CPU            everything: giant images, reductions whose taps do not fit in shared memory, what is broken
PathChoice AllowedPaths(const Header& header, const Frame* frame, const std::string& declined, bool complete,
                        const Plan& plan, const Capabilities& capabilities);

inline constexpr int kLeastSide = 16, kMostSide = 16384;

// Measured speeds, seconds for a unit of DecodeCost, of all that works on a path together.
class Rates {
 public:
  // Assumed rates until something was measured.
  Rates();
  void Observe(DecodePath path, double cost, double seconds);
  // A path of which nothing came counts as kDistrust times slower, until it gives something; Forgive, once a batch,
  // lets that fade, so that it is tried again in time.
  void Distrust(DecodePath path);
  void Forgive();
  bool distrusted(DecodePath path) const;
  double seconds_per_cost(DecodePath path) const;
  int64_t observations(DecodePath path) const;

 private:
  mutable std::mutex mutex_;
  double rate_[kPaths], distrust_[kPaths];
  int64_t seen_[kPaths] = {};
};

struct Candidate {
  const PathChoice* choice;
  double cost;  // DecodeCost
};

// A path for each image, such that engines and cores are expected to finish together: costliest first, each to
// the side that would be done with it sooner. `forced`: "auto", or a PathName that is taken wherever it is allowed.
std::vector<DecodePath> Split(const std::vector<Candidate>& images, const Rates& rates, const std::string& forced);

}  // namespace fastpre::cuda
