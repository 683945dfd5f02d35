// Resampled pixels to the caller's dtype, layout and address, four at a time where they lie together.
#pragma once

#include "core/portable.h"
#include "cuda/kernels/descriptor.h"

#include <cmath>

namespace fastpre::cuda {

template <class T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};

FASTPRE_HD inline int ByteOf(uint32_t pixel, int channel) { return pixel >> (8 * channel) & 255; }

// The correctly rounded n / d for the divisors that Affine::reciprocal_exact has looked at (plan/affine.h).
FASTPRE_HD inline float DivideBy(float n, float d, float inverse) {
  const float q = n * inverse;
  return fmaf(fmaf(-q, d, n), inverse, q);
}

// Indexed by the pixel's own colour (0 is red), as the tables are.
FASTPRE_HD inline float NormalizedF32(const DeviceAffine& a, int color, int value) {
  if (!a.computed) return ReadOnly(a.f32 + 256 * color + value);
  const float pixel = static_cast<float>(value);
  constexpr float kInverse255 = 1.0f / 255.0f;
  const float unit = a.multiply ? pixel * kInverse255 : DivideBy(pixel, 255.0f, kInverse255);
  return DivideBy(unit - a.mean[color], a.std[color], a.inverse_std[color]);
}

struct AsF32 {
  using Type = float;
  FASTPRE_HD static float Value(const DeviceAffine& a, int color, int value) { return NormalizedF32(a, color, value); }
};
struct AsU16 {
  using Type = uint16_t;
  FASTPRE_HD static uint16_t Value(const DeviceAffine& a, int color, int value) {
    return ReadOnly(a.u16 + 256 * color + value);
  }
};
struct AsU8 {
  using Type = uint8_t;
  FASTPRE_HD static uint8_t Value(const DeviceAffine&, int, int value) { return static_cast<uint8_t>(value); }
};

template <class T>
FASTPRE_HD bool IsAligned(const T* at) {
  return reinterpret_cast<uintptr_t>(at) % sizeof(Four<T>) == 0;
}

// `count` <= 4 pixels along the output's x axis. `at`: the first one's channel 0; `step`: between them.
template <class As>
FASTPRE_HD void StoreQuad(const ResampleLaunch& launch, const uint32_t* pixels, int count, typename As::Type* at,
                          int64_t step, int64_t channel_step) {
  using T = typename As::Type;
  const bool forward = step > 0;
  T* const lowest = forward ? at : at + 3 * step;
  if (count == 4 && (step == 1 || step == -1) && launch.channels <= 3) {
    for (int c = 0; c < launch.channels; ++c) {
      const int color = launch.order[c];
      Four<T> four;
      FASTPRE_UNROLL
      for (int k = 0; k < 4; ++k) {
        four.v[k] = As::Value(launch.affine, color, ByteOf(pixels[forward ? k : 3 - k], color));
      }
      T* const out = lowest + c * channel_step;
      if (IsAligned(out)) {
        *reinterpret_cast<Four<T>*>(out) = four;
      } else {
        FASTPRE_UNROLL
        for (int k = 0; k < 4; ++k) out[k] = four.v[k];
      }
    }
    return;
  }
  if (count == 4 && (step == 3 || step == -3) && channel_step == 1 && launch.channels == 3 && IsAligned(lowest)) {
    const int order[3] = {launch.order[0], launch.order[1], launch.order[2]};
    FASTPRE_UNROLL
    for (int part = 0; part < 3; ++part) {
      Four<T> four;
      FASTPRE_UNROLL
      for (int k = 0; k < 4; ++k) {
        const int element = 4 * part + k, pixel = element / 3, color = order[element % 3];
        four.v[k] = As::Value(launch.affine, color, ByteOf(pixels[forward ? pixel : 3 - pixel], color));
      }
      reinterpret_cast<Four<T>*>(lowest)[part] = four;
    }
    return;
  }
  FASTPRE_UNROLL
  for (int k = 0; k < 4; ++k) {
    if (k >= count) break;
    for (int c = 0; c < launch.channels; ++c) {
      const int color = launch.order[c];
      at[k * step + c * channel_step] = As::Value(launch.affine, color, ByteOf(pixels[k], color));
    }
  }
}

}  // namespace fastpre::cuda
