// Compressed images from Python, without a copy: buffers are held for the length of a call, paths
// are opened by the thread that decodes them.
#pragma once

#include <pybind11/pybind11.h>

#include <deque>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/source.h"

namespace fastpre::bindings {

// Borrowed buffers of Python objects, given back with the GIL held.
class Views {
 public:
  Views() = default;
  ~Views() {
    for (Py_buffer& view : views_) PyBuffer_Release(&view);
  }
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  // Null, with no Python error set, if the object has no contiguous buffer.
  const Py_buffer* Borrow(PyObject* object) {
    views_.emplace_back();
    if (PyObject_GetBuffer(object, &views_.back(), PyBUF_ND) == 0) return &views_.back();
    PyErr_Clear();
    views_.pop_back();
    return nullptr;
  }

 private:
  // A Py_buffer may point into itself (shape), so it must stay where it was filled in.
  std::deque<Py_buffer> views_;
};

// Made and destroyed with the GIL held; the list may be read without it.
class Sources {
 public:
  // None is an image that is missing, an exception says why it is. Throws TypeError for an item of another kind,
  // ValueError for a path that no file can have.
  explicit Sources(const pybind11::sequence& items);

  const std::vector<Source>& list() const { return list_; }

 private:
  Views views_;
  std::vector<Source> list_;
};

// A file's bytes, which Python sees as a buffer.
struct FileData {
  Buffer memory;
  Bytes bytes;
};

}  // namespace fastpre::bindings
