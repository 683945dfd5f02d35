// One batch on the CPU and on a device, for tests that compare them.
#pragma once

#include <string>
#include <vector>

#include "core/source.h"
#include "cpu/batch.h"
#include "cuda/batch.h"
#include "cuda/device.h"
#include "plan/affine.h"
#include "plan/draw.h"

namespace fastpre::test {

using Stream = std::vector<uint8_t>;

// A batch's memory: dense, channels last, or with gaps, as strides can say it.
struct Layout {
  ptrdiff_t stride[4];
  size_t elements;
};
inline Layout DenseLayout(int images, const Spec& spec) {
  const ptrdiff_t c = spec.channels(), h = spec.crop_height, w = spec.crop_width;
  return {{c * h * w, h * w, w, 1}, static_cast<size_t>(images * c * h * w)};
}

struct Outputs {
  std::vector<uint8_t> memory;
  std::vector<Record> records;
};

// Both sides get memory of the same contents, so what must not be touched has to stay equal as well.
inline OutputView ViewOf(std::vector<uint8_t>* memory, const Spec& spec, const Layout& layout, size_t i) {
  OutputView v;
  v.data =
      memory->data() + static_cast<ptrdiff_t>(i) * layout.stride[0] * static_cast<ptrdiff_t>(ElementSize(spec.dtype));
  v.dtype = spec.dtype;
  v.channels = spec.channels();
  v.height = spec.crop_height;
  v.width = spec.crop_width;
  v.stride_c = layout.stride[1];
  v.stride_y = layout.stride[2];
  v.stride_x = layout.stride[3];
  return v;
}

inline std::vector<Source> SourcesOf(const std::vector<Stream>& streams) {
  std::vector<Source> sources(streams.size());
  for (size_t i = 0; i < streams.size(); ++i) sources[i].bytes = streams[i];
  return sources;
}

using Draws = std::vector<const Draw*>;  // empty: none

inline Outputs OnCpu(const std::vector<Stream>& streams, const Spec& spec, const Affine& affine, const Layout& layout,
                     const Draws& draws = {}) {
  Outputs o;
  o.memory.assign(layout.elements * ElementSize(spec.dtype), 0xC3);
  const std::vector<Source> sources = SourcesOf(streams);
  Batch batch;
  batch.sources = &sources;
  batch.spec = &spec;
  batch.affine = &affine;
  batch.draws = draws;
  batch.slot = [&](size_t i) { return ViewOf(&o.memory, spec, layout, i); };
  batch.fill = 7.0f;
  o.records = Run(batch);
  return o;
}

inline Outputs OnDevice(cuda::Device& device, const std::vector<Stream>& streams, const Spec& spec,
                        const Affine& affine, const Layout& layout, int threads, const std::string& decoder = "auto",
                        const Draws& draws = {}) {
  Outputs o;
  o.memory.assign(layout.elements * ElementSize(spec.dtype), 0xC3);
  const std::vector<Source> sources = SourcesOf(streams);
  struct Owned {
    cuda::Runtime& runtime;
    cuda::Stream stream = runtime.CreateStream();
    ~Owned() { runtime.DestroyStream(stream); }
  } const owned{device.runtime()};
  cuda::Batch batch;
  batch.sources = &sources;
  batch.spec = &spec;
  batch.affine = &affine;
  batch.draws = draws;
  batch.slot = [&](size_t i) { return ViewOf(&o.memory, spec, layout, i); };
  batch.fill = 7.0f;
  batch.threads = threads;
  batch.stream = owned.stream;
  batch.decoder = decoder;
  o.records = cuda::Run(device, batch);
  device.runtime().SynchronizeStream(owned.stream);
  return o;
}

}  // namespace fastpre::test
