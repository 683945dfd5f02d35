// The baseline decoder: planes, upsampled and converted to RGBX a row at a time.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/buffer.h"
#include "jpeg/color.h"
#include "jpeg/decoder.h"
#include "jpeg/frame.h"
#include "jpeg/mcu_rect.h"
#include "jpeg/planes.h"

namespace fastpre {
namespace {

constexpr size_t kKeepBytes = size_t{4} << 20;

class BaselineDecoder final : public JpegDecoder {
 public:
  explicit BaselineDecoder(int64_t target) : kernels_(JpegKernelsFor(target)) {}

  size_t left_bytes() const override { return left_bytes_; }
  size_t row_bytes() const override { return static_cast<size_t>(x1_ - x0_) * 4 + kJpegSlack; }

  void Open(Bytes bytes, const Header& header, const Rect& source, HelperThreads* helpers, bool) override {
    frame_ = ParseFrame(bytes, header);
    // Whole samples of every component.
    x0_ = source.x0 / frame_.hmax * frame_.hmax;
    x1_ = (source.x1 + frame_.hmax - 1) / frame_.hmax * frame_.hmax;
    left_bytes_ = static_cast<size_t>(source.x0 - x0_) * 4;
    next_ = ready_ = source.y0;
    lag_ = 0;
    for (int i = 0; i < frame_.components; ++i) SetChannel(i);
    planes_.Open(bytes, frame_, NeededMcus(frame_, {x0_, source.y0, x1_, source.y1}), {}, kernels_, helpers);
  }

  void Read(int count, uint8_t* rows, size_t stride_bytes) override {
    for (int k = 0; k < count; ++k) {
      while (next_ >= ready_) DecodeRow();
      Emit(next_++, rows + k * stride_bytes);
    }
  }

  void CheckTail() override { planes_.CheckTail(); }
  bool truncated() const override { return false; }  // such streams are declined

  void Close() override {
    planes_.Close();
    planes_.Trim(kKeepBytes);
    scratch_.ShrinkAbove(kKeepBytes);
  }

 private:
  struct Channel {
    Upsampling upsampling = Upsampling::kNone;
    int h = 1, v = 1;  // pixels for each sample
    uint8_t* scratch = nullptr;
  };

  void SetChannel(int i) {
    const FrameComponent& c = frame_.component[i];
    Channel& channel = channels_[i];
    channel.h = frame_.hmax / c.h;
    channel.v = frame_.vmax / c.v;
    channel.upsampling = ChooseUpsampling(c.width, channel.h, channel.v);
    if (ReadsAboveAndBelow(channel.upsampling)) lag_ = 1;
    const size_t bytes = static_cast<size_t>(x1_ - x0_) + 2 * kJpegSlack;
    channel.scratch = scratch_.Reserve(bytes * 4) + bytes * i;
  }

  // Rows that the last sample row of a row of MCUs takes part in wait for the sample row below it.
  void DecodeRow() {
    planes_.DecodeRow();
    const int done = planes_.next_row();
    ready_ = done == frame_.mcus_y ? frame_.height : done * 8 * frame_.vmax - lag_;
  }

  // Samples of component i for the pixels [x0_, x1_) of row y.
  const uint8_t* Samples(int i, int y) {
    const Channel& channel = channels_[i];
    const int r = y / channel.v, x = x0_ / channel.h, count = (x1_ - x0_) / channel.h;
    const bool upper = y % 2 == 0;
    const auto near = [&] { return planes_.row(i, r) + x; };
    const auto far = [&] { return planes_.row(i, std::clamp(upper ? r - 1 : r + 1, 0, planes_.height(i) - 1)) + x; };
    switch (channel.upsampling) {
      case Upsampling::kNone: return near();
      case Upsampling::kH2V1: kernels_.h2v1(near(), count, channel.scratch); break;
      case Upsampling::kH2V2: kernels_.h2v2(near(), far(), count, channel.scratch); break;
      case Upsampling::kH1V2: kernels_.h1v2(near(), far(), upper ? 1 : 2, count, channel.scratch); break;
      case Upsampling::kRepeat: Repeat(near(), count, channel.h, channel.scratch); break;
    }
    return channel.scratch;
  }

  static void Repeat(const uint8_t* in, int count, int times, uint8_t* out) {
    for (int i = 0; i < count; ++i, out += times) std::memset(out, in[i], times);
  }

  void Emit(int y, uint8_t* out) {
    const int count = x1_ - x0_;
    const uint8_t* in[4] = {};
    for (int i = 0; i < frame_.components; ++i) in[i] = Samples(i, y);
    PlanesToRgbx(frame_.color, kernels_, in, count, out);
  }

  const JpegKernels& kernels_;
  Frame frame_;
  PlaneDecoder planes_;
  std::array<Channel, 4> channels_{};
  Buffer scratch_;
  int x0_ = 0, x1_ = 0;  // columns that are made
  size_t left_bytes_ = 0;
  int next_ = 0, ready_ = 0;  // the next row to hand out; rows above `ready_` can be made
  int lag_ = 0;
};

}  // namespace

std::unique_ptr<JpegDecoder> MakeBaselineDecoder(int64_t target) { return std::make_unique<BaselineDecoder>(target); }

}  // namespace fastpre
