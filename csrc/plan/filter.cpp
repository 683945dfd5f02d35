#include "plan/filter.h"

#include <algorithm>
#include <cmath>

namespace fastpre {
namespace {

constexpr double kPi = 3.14159265358979323846;

double Box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double Triangle(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= kPi;
  return std::sin(x) / x;
}

// 0.54 and 0.46 are single-precision constants in Pillow; the rest is double.
double Hamming(double x) {
  x = std::fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= kPi;
  return std::sin(x) / x * (0.54f + 0.46f * std::cos(x));
}

// Keys' cubic convolution with a = -1/2; the order of operations is Pillow's.
double Cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double Lanczos3(double x) { return -3.0 <= x && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }

using Kernel = double (*)(double);
struct Shape {
  Kernel kernel;
  double support;  // source pixels on each side of the centre, at scale 1
};

Shape ShapeOf(Filter filter) {
  switch (filter) {
    case Filter::kBox: return {Box, 0.5};
    case Filter::kHamming: return {Hamming, 1.0};
    case Filter::kBicubic: return {Cubic, 2.0};
    case Filter::kLanczos: return {Lanczos3, 3.0};
    default: return {Triangle, 1.0};
  }
}

constexpr int32_t kOne = 1 << kTapBits;

Taps Copies(int in_size, int count) {
  Taps t;
  t.in_size = in_size;
  t.count = count;
  t.stride = Taps::kStrideStep;
  t.start.resize(count);
  t.length.assign(count, 1);
  t.weight.assign(static_cast<size_t>(count) * t.stride, 0);
  for (int i = 0; i < count; ++i) t.weight[static_cast<size_t>(i) * t.stride] = kOne;
  return t;
}

// Pillow's nearest is an affine transform: the source coordinate starts half a step in and the
// step is added once per output pixel, so its rounding error accumulates and must be replayed.
Taps NearestTaps(int in_size, int out_size, int begin, int count) {
  Taps t = Copies(in_size, count);
  const double step = static_cast<double>(in_size) / out_size;
  double position = step * 0.5;
  for (int i = 0; i < begin + count; ++i, position += step) {
    if (i < begin) continue;
    t.start[i - begin] = std::clamp(static_cast<int>(position), 0, in_size - 1);
  }
  return t;
}

// `scale`: source samples per output position. Of `in_size` samples those of [low_end, high_end) are read; positions
// are counted from `origin`, which need not be a whole sample.
struct SampleRange {
  double origin = 0.0;
  int low_end, high_end;
};
Taps FilterTaps(Filter filter, double scale, int in_size, const SampleRange& range, int begin, int count) {
  const Shape shape = ShapeOf(filter);
  const double filter_scale = std::max(scale, 1.0);
  const double support = shape.support * filter_scale;
  const double inverse = 1.0 / filter_scale;

  Taps t;
  t.in_size = in_size;
  t.count = count;
  const int most = std::min(static_cast<int>(std::ceil(support)) * 2 + 1, in_size);
  t.stride = (most + Taps::kStrideStep - 1) / Taps::kStrideStep * Taps::kStrideStep;
  t.start.resize(count);
  t.length.resize(count);
  t.weight.assign(static_cast<size_t>(count) * t.stride, 0);
  std::vector<double> w(t.stride);
  for (int i = 0; i < count; ++i) {
    const double center = range.origin + (begin + i + 0.5) * scale;
    const int low = std::max(static_cast<int>(center - support + 0.5), range.low_end);
    const int high = std::min(static_cast<int>(center + support + 0.5), range.high_end);
    const int length = high - low;
    double total = 0.0;
    for (int k = 0; k < length; ++k) {
      w[k] = shape.kernel((k + low - center + 0.5) * inverse);
      total += w[k];
    }
    int32_t* out = t.weight.data() + static_cast<size_t>(i) * t.stride;
    for (int k = 0; k < length; ++k) {
      const double normalized = total != 0.0 ? w[k] / total : w[k];
      out[k] = static_cast<int32_t>((normalized < 0 ? -0.5 : 0.5) + normalized * kOne);
    }
    // Zero weights at either end (a triangle is zero at its feet) need no pixel.
    int first = 0, last = length;
    while (last > 1 && out[last - 1] == 0) --last;
    while (first < last - 1 && out[first] == 0) ++first;
    if (first > 0) {
      std::copy(out + first, out + last, out);
      std::fill(out + last - first, out + last, 0);
    }
    t.start[i] = low + first;
    t.length[i] = last - first;
  }
  return t;
}

}  // namespace

Taps ComputeTaps(Filter filter, int in_size, int out_size, int begin, int count) {
  if (in_size == out_size) {  // Pillow skips the pass
    Taps t = Copies(in_size, count);
    for (int i = 0; i < count; ++i) t.start[i] = begin + i;
    return t;
  }
  if (filter == Filter::kNearest) return NearestTaps(in_size, out_size, begin, count);
  const double scale = static_cast<double>(static_cast<float>(in_size)) / out_size;
  return FilterTaps(filter, scale, in_size, {0.0, 0, in_size}, begin, count);
}

Taps Within(Taps taps, int offset, int axis_size) {
  taps.in_size = axis_size;
  for (int& start : taps.start) start += offset;
  return taps;
}

Taps ComputeScaledTaps(Filter filter, int offset, int in_size, double step, int samples, int out_size, int begin,
                       int count) {
  if (step == 1.0) return Within(ComputeTaps(filter, in_size, out_size, begin, count), offset, samples);
  if (filter == Filter::kNearest) {
    Taps t = Within(NearestTaps(in_size, out_size, begin, count), offset, samples);
    for (int& start : t.start) start = std::min(static_cast<int>(start / step), samples - 1);
    return t;
  }
  // Samples that the range only cuts into belong to it: what is outside of it weighs little there.
  const int low_end = static_cast<int>(offset / step);
  const int high_end = std::min(static_cast<int>(std::ceil((offset + in_size) / step)), samples);
  return FilterTaps(filter, in_size / (step * out_size), samples, {offset / step, low_end, high_end}, begin, count);
}

Taps Reversed(const Taps& taps) {
  Taps r;
  r.in_size = taps.in_size;
  r.count = taps.count;
  r.stride = taps.stride;
  r.start.resize(taps.count);
  r.length.resize(taps.count);
  r.weight.assign(taps.weight.size(), 0);
  for (int i = 0; i < taps.count; ++i) {
    const int from = taps.count - 1 - i;
    r.start[i] = taps.in_size - taps.start[from] - taps.length[from];
    r.length[i] = taps.length[from];
    const int32_t* w = taps.weight.data() + static_cast<size_t>(from) * taps.stride;
    std::reverse_copy(w, w + r.length[i], r.weight.data() + static_cast<size_t>(i) * r.stride);
  }
  return r;
}

int Taps::first() const { return start.empty() ? 0 : *std::min_element(start.begin(), start.end()); }

int Taps::last() const {
  int end = 0;
  for (int i = 0; i < count; ++i) end = std::max(end, start[i] + length[i]);
  return end;
}

int Taps::longest() const { return length.empty() ? 0 : *std::max_element(length.begin(), length.end()); }

bool Taps::copies() const {
  for (int i = 0; i < count; ++i) {
    if (start[i] != start[0] + i || length[i] != 1 || weight[static_cast<size_t>(i) * stride] != kOne) return false;
  }
  return true;
}

}  // namespace fastpre
