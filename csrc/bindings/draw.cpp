// fastpre.augment.Draw's fields, already validated in Python, as the core's Draw.
#include "bindings/draw.h"

#include <pybind11/stl.h>

#include <array>
#include <string>
#include <utility>

#include "bindings/register.h"
#include "bindings/spec.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

using Box4 = std::array<int, 4>;  // top, left, height, width

Box FromPython(const Box4& b) { return {b[1], b[0], b[3], b[2]}; }

Draw MakeDraw(std::pair<bool, bool> flip, const Box4& crop, std::pair<int, int> resized, const Box4& window,
              std::pair<bool, bool> mirror, const std::string& interpolation, const std::array<uint8_t, 3>& fill) {
  Draw d;
  d.flip_y = flip.first;
  d.flip_x = flip.second;
  d.crop = FromPython(crop);
  d.resized_height = resized.first;
  d.resized_width = resized.second;
  d.window = FromPython(window);
  d.mirror_y = mirror.first;
  d.mirror_x = mirror.second;
  d.filter = FilterOf(interpolation);
  d.fill = fill;
  return d;
}

}  // namespace

std::vector<const Draw*> DrawsOf(const py::object& list, size_t count) {
  if (list.is_none()) return {};
  const auto items = list.cast<py::sequence>();
  if (items.size() != count) throw py::value_error("as many draws as images are needed");
  std::vector<const Draw*> draws;
  draws.reserve(count);
  for (const py::handle item : items) draws.push_back(item.is_none() ? nullptr : item.cast<const Draw*>());
  return draws;
}

void register_draw(py::module_& m) {
  py::class_<Draw>(m, "Draw").def(py::init(&MakeDraw), py::kw_only(), py::arg("flip"), py::arg("crop"),
                                  py::arg("resized"), py::arg("window"), py::arg("mirror"), py::arg("interpolation"),
                                  py::arg("fill"));
}

}  // namespace fastpre::bindings
