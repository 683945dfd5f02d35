// libjpeg-turbo's C interface as its users here have it: errors come out as exceptions, work ends when the call does.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

#ifndef JCS_EXTENSIONS
#error "libjpeg-turbo is needed (this jpeglib.h has no RGBX output)"
#endif

namespace fastpre {

// What the library calls back, and what it reported. Stays where it is as long as a compressor or decompressor has it.
struct TurboCallbacks {
  jpeg_error_mgr base;  // first: the library gives callbacks its address, which is then this structure's
  jpeg_progress_mgr progress;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool cancelled, over_limit;
  int most_scans;

  enum class Warnings {
    kPass,  // Pillow shows none and goes on
    kFail,
  };
  // To be given to a (de)compressor as its `err`, before it is created; `progress` then as its `progress`.
  jpeg_error_mgr* Begin(int scans_allowed, Warnings warnings);

  // Note: setjmp and destructors. `call` must hold no C++ object with a destructor, because
  // longjmp would skip it; every lambda touches only C structures and plain variables.
  template <class Call>
  void Guard(Call call) {
    if (setjmp(jump)) ThrowReported();
    call();
  }

  // Ends the guarded call that is at work with a LimitExceeded of `message`.
  [[noreturn]] void FailOverLimit();

 private:
  // The library's last error: legal but not decoded by this build, or broken.
  [[noreturn]] void ThrowReported() const;
};

// True where the library estimates coefficients that a progressive stream has not sent in full, by their neighbours'
// (jdcoefct.c: DC and nine AC): the pixels are then not those of the coefficients.
bool SmoothsBlocks(const jpeg_decompress_struct& cinfo);

}  // namespace fastpre
