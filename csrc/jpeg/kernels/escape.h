// An 0xFF of entropy-coded data, byte by byte: for the plain unstuffing, and for ends of vector ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastpre::jpeg {

// Of the escape that begins with from[0] = 0xFF: 2, or 0 if it is a marker or cut off. Fill bytes before a zero
// (FF FF 00), which no encoder writes, count as a marker: libjpeg-turbo's fast path takes them for one, too, and
// leaves behind what its slow path then does not clear.
inline size_t EscapeLength(const uint8_t* from, size_t size) { return size > 1 && from[1] == 0 ? 2 : 0; }

// from[begin, size) to `to`; returns how many bytes were written. *used counts from from[0].
inline size_t UnstuffBytes(const uint8_t* from, size_t size, size_t begin, uint8_t* to, size_t* used) {
  size_t i = begin, written = 0;
  while (i < size) {
    size_t length = 1;
    if (from[i] == 0xFF && (length = EscapeLength(from + i, size - i)) == 0) break;
    to[written++] = from[i];
    i += length;
  }
  *used = i;
  return written;
}

}  // namespace fastpre::jpeg
