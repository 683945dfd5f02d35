// The ways an image can fail, as kinds, so that no caller has to parse a message.
#pragma once

#include <stdexcept>
#include <string>

namespace fastpre {

enum class ErrorKind {
  kCorrupt,      // the image's fault: the stream is broken, truncated or not a JPEG at all
  kUnsupported,  // the image's fault: a legal stream that Pillow refuses too, or that this build cannot decode
  kLimit,        // the image's fault: its header asks for more than the caller allows
  kIo,           // the path could not be read
  kDeadline,     // the call's deadline came before the image's turn
  kInternal,     // ours
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& reason) : std::runtime_error(reason), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

[[noreturn]] inline void ThrowCorrupt(const std::string& reason) { throw Error(ErrorKind::kCorrupt, reason); }
[[noreturn]] inline void ThrowUnsupported(const std::string& reason) { throw Error(ErrorKind::kUnsupported, reason); }
[[noreturn]] inline void ThrowLimit(const std::string& reason) { throw Error(ErrorKind::kLimit, reason); }
[[noreturn]] inline void ThrowInternal(const std::string& reason) { throw Error(ErrorKind::kInternal, reason); }

}  // namespace fastpre
