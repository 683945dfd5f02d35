// Compressed images from Python, without a copy: buffers are held for the length of a call, paths
// are opened by the thread that decodes them.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "core/image.h"

namespace fastpre::bindings {

struct Source {
  Bytes bytes;       // empty for a path
  std::string path;  // empty for a buffer
  bool is_path = false;
};

// Owns the Py_buffers. Made and destroyed with the GIL held.
class Sources {
 public:
  explicit Sources(const pybind11::sequence& items);
  ~Sources();
  Sources(const Sources&) = delete;
  Sources& operator=(const Sources&) = delete;

  const std::vector<Source>& list() const { return list_; }

 private:
  void Release();
  std::vector<Py_buffer> views_;
  std::vector<Source> list_;
};

}  // namespace fastpre::bindings
