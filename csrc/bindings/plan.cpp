// Headers and plans as plain dicts: for fastpre.plan, `fastpre inspect` and tests.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/call.h"
#include "bindings/register.h"
#include "bindings/sources.h"
#include "bindings/spec.h"
#include "core/file.h"
#include "cpu/decoder_choice.h"
#include "jpeg/header.h"
#include "plan/plan.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

// Calls use(bytes) with the stream of one image, read first if it is a path.
template <class Use>
auto WithBytes(const py::object& item, int64_t max_bytes, Use use) {
  py::list one;
  one.append(item);
  const Sources sources(one);
  Call call(std::nullopt, nullptr);
  Buffer file;
  const Bytes bytes = WithoutGil(&call, [&] {
    const CallContext::Scope scope(call.context());
    return ReadSource(sources.list()[0], max_bytes, &file);
  });
  return use(bytes);
}

py::dict HeaderDict(const Header& h) {
  py::list sampling;
  for (int i = 0; i < h.components; ++i) sampling.append(py::make_tuple(h.sampling[i].h, h.sampling[i].v));
  py::dict d;
  d["width"] = h.width;
  d["height"] = h.height;
  d["components"] = h.components;
  d["sampling"] = sampling;
  d["sof"] = h.sof;
  d["progressive"] = h.progressive();
  d["arithmetic"] = h.arithmetic();
  d["lossless"] = h.lossless();
  d["restart_interval"] = h.restart_interval;
  d["adobe_transform"] = h.adobe_transform < 0 ? py::object(py::none()) : py::object(py::int_(h.adobe_transform));
  d["jfif"] = h.jfif;
  d["scans"] = h.scans;
  d["orientation"] = h.orientation;
  d["bytes"] = h.bytes;
  return d;
}

py::dict TapsDict(const Taps& t) {
  std::vector<std::vector<int32_t>> weights;
  for (int i = 0; i < t.count; ++i) {
    const int32_t* w = t.weight.data() + static_cast<size_t>(i) * t.stride;
    weights.emplace_back(w, w + t.length[i]);
  }
  py::dict d;
  d["start"] = t.start;
  d["weights"] = weights;
  return d;
}

py::dict PlanDict(const Header& header, const Plan& p, const DecoderChoice& choice, bool with_taps) {
  const Geometry& g = p.geometry;
  py::dict d;
  d["header"] = HeaderDict(header);
  d["oriented"] = py::make_tuple(g.oriented_height, g.oriented_width);
  d["part"] = py::make_tuple(g.part.y, g.part.x, g.part.height, g.part.width);
  d["resized"] = py::make_tuple(g.resized_height, g.resized_width);
  d["output"] = py::make_tuple(g.out_height, g.out_width);
  d["window"] = py::make_tuple(g.window_y, g.window_x, g.window_height, g.window_width);
  d["padding"] = py::make_tuple(g.pad_top, g.pad_left);
  d["source"] = py::make_tuple(p.source.y0, p.source.x0, p.source.height(), p.source.width());
  d["transpose"] = p.orientation.transpose;
  d["flip"] = py::make_tuple(p.orientation.flip_y, p.orientation.flip_x);
  d["vertical_first"] = p.vertical_first;
  d["taps"] = py::make_tuple(p.rows.longest(), p.columns.longest());
  d["decode_scale"] = py::make_tuple(choice.scale, 8);
  d["decoder"] = choice.name();
  d["declined"] = choice.declined;
  d["cost"] = p.cost;
  if (with_taps) {
    d["row_taps"] = TapsDict(p.rows);
    d["column_taps"] = TapsDict(p.columns);
  }
  return d;
}

}  // namespace

void register_plan(py::module_& m) {
  m.def(
      "plan",
      [](const py::object& image, const CompiledSpec& spec, bool taps, const Draw* draw) {
        return WithBytes(image, spec.spec.limits.max_bytes, [&](Bytes b) {
          const Header header = ParseHeader(b, spec.spec.limits, true);
          const Plan plan = ComputePlan(header, spec.spec, draw);
          return PlanDict(header, plan, ChooseDecoder(b, header, spec.spec, plan), taps);
        });
      },
      py::arg("image"), py::arg("spec"), py::arg("taps") = false, py::arg("draw") = nullptr);
  // What an image asks for, before any of it is done: oriented height and width, and DecodeCost. Scans are not counted:
  // that would walk the whole stream, and a refusal must be cheap.
  m.def(
      "header",
      [](const py::object& image, const CompiledSpec& spec) {
        return WithBytes(image, spec.spec.limits.max_bytes, [&](Bytes b) {
          const Header h = ParseHeader(b, spec.spec.limits, spec.spec.exif_orientation, false);
          const bool swapped = spec.spec.exif_orientation && h.orientation >= 5;
          const double cost = DecodeCost(h.bytes, h.pixels());
          return swapped ? py::make_tuple(h.width, h.height, cost) : py::make_tuple(h.height, h.width, cost);
        });
      },
      py::arg("image"), py::arg("spec"));
  m.def(
      "taps",
      [](const std::string& filter, int in_size, int out_size, int begin, int count) {
        return TapsDict(ComputeTaps(FilterOf(filter), in_size, out_size, begin, count));
      },
      py::arg("filter"), py::arg("in_size"), py::arg("out_size"), py::arg("begin"), py::arg("count"));
}

}  // namespace fastpre::bindings
