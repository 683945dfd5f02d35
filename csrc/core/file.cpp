#include "core/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "core/call_context.h"
#include "core/error.h"

namespace fastpre {
namespace {

constexpr size_t kReadAtOnce = size_t{1} << 20;  // a read of this size takes about 0.1 ms from the page cache

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

[[noreturn]] void Fail(const char* what, int code, const std::string& hint = "") {
  throw Error(ErrorKind::kIo, std::string(what) + ": " + std::strerror(code) + hint);
}

// Strings that are not paths are taken for some; the error is the place to say so.
std::string HintFor(const std::string& path) {
  const std::string_view p(path);
  const auto starts = [&](std::string_view prefix) { return p.starts_with(prefix); };
  if (starts("data:")) return " (this is a data URL, not a path: decode its base64 part and pass the bytes)";
  const size_t scheme = p.find("://");
  if (scheme != std::string_view::npos && scheme > 0 && scheme < 16) {
    return " (this is a URL, not a path: fetch it and pass the bytes)";
  }
  // What base64 makes of FF D8 FF.
  if (starts("/9j/")) return " (this looks like base64, not a path: pass base64.b64decode(...))";
  return "";
}

// Nothing is decoded yet, so an image that is waited for counts as not begun.
void CheckWhileWaiting() {
  if (CallContext* const context = CallContext::Current()) context->Begin();
}

// Waits until there is something to read, or the other end is closed. For pipes: a regular file is always ready.
void AwaitReadable(int fd) {
  constexpr int kWaitMs = static_cast<int>(CallContext::kPollInterval.count());
  pollfd wanted{fd, POLLIN, 0};
  while (true) {
    CheckWhileWaiting();
    const int ready = ::poll(&wanted, 1, kWaitMs);
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) Fail("cannot read", errno);
  }
}

}  // namespace

Bytes ReadFile(const std::string& path, int64_t max_bytes, Buffer* buffer) {
  Descriptor file;
  // Non-blocking, or opening a FIFO would wait for its writer, beyond the reach of cancellation.
  while ((file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0) {
    // Another process has a lease on the file (a Samba or NFS server), and has been asked to give it up.
    if (errno == EWOULDBLOCK) {
      std::this_thread::sleep_for(CallContext::kPollInterval);
    } else if (errno != EINTR) {
      Fail("cannot open", errno, HintFor(path));
    }
    CheckWhileWaiting();
  }
  struct stat status;
  if (::fstat(file.fd, &status) != 0) Fail("cannot stat", errno);
  if (S_ISDIR(status.st_mode)) Fail("cannot read", EISDIR);
  const bool regular = S_ISREG(status.st_mode);
  // What stat says is a hint: pipes and /proc have no size, and a file can grow.
  if (status.st_size > max_bytes) {
    ThrowLimit(std::to_string(status.st_size) + " bytes is over max_bytes=" + std::to_string(max_bytes));
  }
  size_t capacity = std::max<size_t>(static_cast<size_t>(status.st_size) + 1, 4096), size = 0;
  uint8_t* data = buffer->Reserve(capacity);
  while (true) {
    if (!regular) AwaitReadable(file.fd);
    const ssize_t got = ::read(file.fd, data + size, std::min(capacity - size, kReadAtOnce));
    if (got == 0) return {data, size};
    if (got < 0) {
      if (errno != EINTR && errno != EAGAIN) Fail("cannot read", errno);
      // Of /proc and the like, files that call themselves regular may have nothing to say for now.
      if (errno == EAGAIN && regular) std::this_thread::sleep_for(CallContext::kPollInterval);
      CheckWhileWaiting();
      continue;
    }
    size += static_cast<size_t>(got);
    CheckCancelled();
    if (size < capacity) continue;
    if (static_cast<int64_t>(size) > max_bytes) ThrowLimit("more bytes than max_bytes=" + std::to_string(max_bytes));
    const std::vector<uint8_t> so_far(data, data + size);
    capacity *= 2;
    data = buffer->Reserve(capacity);
    std::memcpy(data, so_far.data(), size);
  }
}

Bytes ReadSource(const Source& source, int64_t max_bytes, Buffer* buffer) {
  if (!source.missing.empty()) throw Error(source.missing_kind, source.missing);
  return source.is_path ? ReadFile(source.path, max_bytes, buffer) : source.bytes;
}

}  // namespace fastpre
