// Taking the stuffed zeros out of entropy-coded data.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_UNSTUFF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_UNSTUFF_INL_H_
#undef FASTPRE_JPEG_UNSTUFF_INL_H_
#else
#define FASTPRE_JPEG_UNSTUFF_INL_H_
#endif

#include "jpeg/kernels/escape.h"
#include "jpeg/kernels/lanes-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

size_t Unstuff(const uint8_t* from, size_t size, uint8_t* to, size_t* used) {
  const D8 d8;
  const V8 ff = hn::Set(d8, 0xFF);
  size_t i = 0;
  uint8_t* o = to;
  while (size - i >= kVectorBytes) {
    const V8 v = hn::LoadU(d8, from + i);
    hn::StoreU(v, d8, o);
    const intptr_t at = hn::FindFirstTrue(d8, hn::Eq(v, ff));
    if (at < 0) {
      i += kVectorBytes;
      o += kVectorBytes;
      continue;
    }
    i += static_cast<size_t>(at);
    o += at;
    const size_t length = EscapeLength(from + i, size - i);
    if (length == 0) {
      *used = i;
      return static_cast<size_t>(o - to);
    }
    i += length;
    ++o;  // the 0xFF is there already
  }
  return static_cast<size_t>(o - to) + UnstuffBytes(from, size, i, o, used);
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
