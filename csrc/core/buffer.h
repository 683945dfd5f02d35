// An owned, 64-byte aligned, grow-only block of memory. Contents are not kept when it grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace fastpre {

class Buffer {
 public:
  static constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 vector

  // At least `bytes` bytes. The pointer stays valid until the next Reserve.
  uint8_t* data() const { return data_.get(); }
  uint8_t* Reserve(size_t bytes) {
    if (bytes > capacity_) {
      data_.reset();
      capacity_ = 0;
      const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      data_.reset(static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded)));
      if (!data_) throw std::bad_alloc();
      capacity_ = rounded;
    }
    return data_.get();
  }
  template <class T>
  T* ReserveAs(size_t count) {
    return reinterpret_cast<T*>(Reserve(count * sizeof(T)));
  }
  size_t capacity() const { return capacity_; }

  // Gives the memory back when it is larger than `bytes`: one giant image must not cost a
  // long-lived worker its memory for ever.
  void ShrinkAbove(size_t bytes) {
    if (capacity_ > bytes) {
      data_.reset();
      capacity_ = 0;
    }
  }

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t capacity_ = 0;
};

}  // namespace fastpre
