#include "cpu/batch.h"

#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "cpu/worker.h"
#include "plan/plan.h"

namespace fastpre {
namespace {

// A file's pixels are unknown until it is read; photographs have about half a byte a pixel.
double CostOf(const Source& source, const Spec& spec) {
  if (source.is_path) {
    struct stat status;
    if (::stat(source.path.c_str(), &status) != 0) return 0.0;
    return DecodeCost(static_cast<size_t>(status.st_size), 2 * static_cast<int64_t>(status.st_size));
  }
  try {
    const Header h = ParseHeader(source.bytes, spec.limits, false, false);
    return DecodeCost(h.bytes, h.pixels());
  } catch (const Error&) {
    return 0.0;
  }
}

// Costliest first, so that one 20 MP photograph does not start last and end a batch late.
std::vector<size_t> Schedule(const Batch& batch) {
  const std::vector<Source>& sources = *batch.sources;
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (batch.threads < 2 || sources.size() < 2) return order;
  std::vector<double> cost(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) cost[i] = CostOf(sources[i], *batch.spec);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost[a] > cost[b]; });
  return order;
}

}  // namespace

std::vector<Record> Run(const Batch& batch) {
  const std::vector<Source>& sources = *batch.sources;
  std::vector<Record> records(sources.size());
  const CallContext::Scope caller(batch.context);  // for what this thread does between images
  const std::vector<size_t> order = Schedule(batch);
  Workers workers;
  ParallelFor(sources.size(), batch.threads, [&](size_t turn) {
    const CallContext::Scope scope(batch.context);
    const size_t i = order[turn];
    const OutputView out = Mirrored(batch.slot(i), batch.draw(i));
    Recorded(&records[i], [&] {
      if (batch.context) batch.context->Begin();
      // Threads that have no image of their own help with the large ones.
      PoolHelpers helpers(batch.threads / static_cast<int>(sources.size()) - 1, batch.threads);
      ImageTask task{*batch.spec, *batch.affine, out, &records[i], &helpers, batch.draw(i)};
      workers.OfThisThread().Run(sources[i], &task);
    });
    // A slot never keeps half an image, whatever the caller does with the record.
    const bool cancelled = batch.context && batch.context->cancelled();
    if (!records[i].ok && !cancelled) FillSlot(out, batch.fill);
  });
  if (batch.context && batch.context->cancelled()) throw Cancelled();
  return records;
}

Record RunPixels(const PixelView& view, const Spec& spec, const Affine& affine, const Draw* draw,
                 const OutputView& out) {
  Record record;
  ImageTask task{spec, affine, Mirrored(out, draw), &record, nullptr, draw};
  Workers workers;
  workers.OfThisThread().RunPixels(view, &task);
  return record;
}

namespace {

template <class Of>
Sizes ByHeader(const std::vector<Source>& sources, const Spec& spec, CallContext* context, Of of) {
  const CallContext::Scope scope(context);
  Sizes sizes(sources.size());
  Buffer file;
  for (size_t i = 0; i < sources.size(); ++i) {
    try {
      if (context) context->Begin();
      const Bytes bytes = ReadSource(sources[i], spec.limits.max_bytes, &file);
      sizes[i] = of(ParseHeader(bytes, spec.limits, spec.exif_orientation));
    } catch (const Error&) {
      // Run reports it.
    }
  }
  return sizes;
}

}  // namespace

Sizes OutputSizes(const std::vector<Source>& sources, const Spec& spec, CallContext* context) {
  return ByHeader(sources, spec, context, [&](const Header& header) {
    const Geometry g = ComputeGeometry(header, spec);
    return Size{g.out_height, g.out_width};
  });
}

Sizes ImageSizes(const std::vector<Source>& sources, const Spec& spec, CallContext* context) {
  return ByHeader(sources, spec, context, [&](const Header& header) {
    const bool transpose = OrientationOf(header, spec, nullptr).transpose;
    return transpose ? Size{header.width, header.height} : Size{header.height, header.width};
  });
}

void FillSlot(const OutputView& out, float value) {
  auto fill = [&](auto* data, auto v) {
    for (int c = 0; c < out.channels; ++c) {
      for (int y = 0; y < out.height; ++y) {
        auto* p = data + c * out.stride_c + y * out.stride_y;
        for (int x = 0; x < out.width; ++x) p[x * out.stride_x] = v;
      }
    }
  };
  const uint32_t bits = ElementBits(out.dtype, value);
  switch (ElementSize(out.dtype)) {
    case 1: return fill(static_cast<uint8_t*>(out.data), static_cast<uint8_t>(bits));
    case 2: return fill(static_cast<uint16_t*>(out.data), static_cast<uint16_t>(bits));
    default: return fill(static_cast<float*>(out.data), value);
  }
}

}  // namespace fastpre
