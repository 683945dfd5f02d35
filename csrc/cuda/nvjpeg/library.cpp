// Finds a libnvjpeg that will do, and its functions.
#include <dlfcn.h>

#include <cstdlib>

#include "cuda/nvjpeg/api.h"
#include "cuda/nvjpeg/decoders.h"

namespace fastpre::cuda {
namespace {

constexpr int kLeastMajor = 12, kLeastMinor = 1;  // the first with every function of api.h
constexpr int kMajorEnd = 14;

std::string LoaderError() {
  const char* const text = dlerror();
  return text ? text : "unknown error";
}

// The first missing symbol, or empty.
std::string Find(void* library, NvjpegApi* api) {
  const auto find = [&](const char* symbol, auto* function) {
    *function = reinterpret_cast<std::remove_reference_t<decltype(*function)>>(dlsym(library, symbol));
    return *function != nullptr;
  };
#define FASTPRE_NVJPEG_FIND(name, ...) \
  if (!find("nvjpeg" #name, &api->name)) return "nvjpeg" #name;
  FASTPRE_NVJPEG_FUNCTIONS(FASTPRE_NVJPEG_FIND)
#undef FASTPRE_NVJPEG_FIND
  return {};
}

std::string FileOf(const void* symbol, const std::string& otherwise) {
  Dl_info info{};
  if (!dladdr(symbol, &info) || !info.dli_fname) return otherwise;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(info.dli_fname, nullptr), &std::free);
  return real ? real.get() : info.dli_fname;
}

}  // namespace

NvjpegLibrary::~NvjpegLibrary() = default;

std::string NvjpegLibrary::version() const {
  return std::to_string(major_) + "." + std::to_string(minor_) + "." + std::to_string(patch_);
}

std::shared_ptr<const NvjpegLibrary> NvjpegLibrary::Load(const std::vector<std::string>& candidates) {
  std::string reasons;
  for (const std::string& candidate : candidates) {
    // Never closed, not even when it is refused: nvJPEG leaves threads, thread-local destructors and callbacks of the
    // driver behind, and unmapping their code is a crash at some later time. Loading it again costs nothing.
    void* const library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::string reason;
    if (!library) {
      reason = LoaderError();
    } else {
      std::shared_ptr<NvjpegLibrary> loaded(new NvjpegLibrary);
      loaded->api_ = std::make_unique<NvjpegApi>();
      const NvjpegApi& api = *loaded->api_;
      if (const std::string missing = Find(library, loaded->api_.get()); !missing.empty()) {
        reason = "has no " + missing;
        if (api.GetProperty) reason += " (older than 12.1?)";
      } else if (api.GetProperty(kNvjpegMajorVersion, &loaded->major_) != kNvjpegSuccess ||
                 api.GetProperty(kNvjpegMinorVersion, &loaded->minor_) != kNvjpegSuccess ||
                 api.GetProperty(kNvjpegPatchLevel, &loaded->patch_) != kNvjpegSuccess) {
        reason = "does not tell its version";
      } else if (loaded->major_ < kLeastMajor || (loaded->major_ == kLeastMajor && loaded->minor_ < kLeastMinor) ||
                 loaded->major_ >= kMajorEnd) {
        reason = "is version " + loaded->version() + ", not 12.1 to 13.x";
      } else {
        loaded->path_ = FileOf(reinterpret_cast<const void*>(api.GetProperty), candidate);
        return loaded;
      }
    }
    // The loader's own messages mostly begin with the name.
    reasons += "\n  " + (reason.starts_with(candidate) ? reason : candidate + ": " + reason);
  }
  if (candidates.empty()) reasons = " there is nothing to try";
  throw CudaError("nvJPEG could not be loaded:" + reasons +
                  "\nTo get it: pip install nvidia-nvjpeg (or pip install 'fastpre[cuda]'), or set "
                  "FASTPRE_NVJPEG=/path/to/libnvjpeg.so.13");
}

}  // namespace fastpre::cuda
