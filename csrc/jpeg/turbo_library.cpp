#include "jpeg/turbo_library.h"

#include <new>
#include <string>

#include <jerror.h>

#include "core/call_context.h"
#include "core/error.h"
#include "jpeg/decoder.h"

#define FASTPRE_STRINGIZE_(x) #x
#define FASTPRE_STRINGIZE(x) FASTPRE_STRINGIZE_(x)

namespace fastpre {

const char* TurboVersion() { return FASTPRE_STRINGIZE(LIBJPEG_TURBO_VERSION); }

namespace {

TurboCallbacks* CallbacksOf(j_common_ptr cinfo) { return reinterpret_cast<TurboCallbacks*>(cinfo->err); }

void OnError(j_common_ptr cinfo) {
  TurboCallbacks* const callbacks = CallbacksOf(cinfo);
  callbacks->base.format_message(cinfo, callbacks->message);
  std::longjmp(callbacks->jump, 1);
}

// Called between rows of MCUs, in each scan of a progressive stream, before the first row of pixels is there; and in
// each pass over coefficients that are written.
void OnProgress(j_common_ptr cinfo) {
  TurboCallbacks* const callbacks = CallbacksOf(cinfo);
  CallContext* const context = CallContext::Current();
  if (context) context->Poll();
  callbacks->cancelled = context && context->cancelled();
  if (callbacks->cancelled) std::longjmp(callbacks->jump, 1);
  if (!cinfo->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(cinfo)->input_scan_number > callbacks->most_scans) {
    std::snprintf(callbacks->message, sizeof callbacks->message, "more scans than max_work allows, %d",
                  callbacks->most_scans);
    callbacks->FailOverLimit();
  }
}

// Warnings have negative levels.
void OnWarningFail(j_common_ptr cinfo, int level) {
  if (level < 0) OnError(cinfo);
}
void OnWarningPass(j_common_ptr, int) {}

}  // namespace

jpeg_error_mgr* TurboCallbacks::Begin(int scans_allowed, Warnings warnings) {
  jpeg_std_error(&base);
  base.error_exit = OnError;
  base.emit_message = warnings == Warnings::kFail ? OnWarningFail : OnWarningPass;
  progress.progress_monitor = OnProgress;
  cancelled = over_limit = false;
  most_scans = scans_allowed;
  return &base;
}

void TurboCallbacks::FailOverLimit() {
  over_limit = true;
  std::longjmp(jump, 1);
}

void TurboCallbacks::ThrowReported() const {
  if (cancelled) throw Cancelled();
  if (over_limit) ThrowLimit(message);
  const std::string reason = std::string("libjpeg-turbo ") + TurboVersion() + ": " + message;
  switch (base.msg_code) {
    case JERR_OUT_OF_MEMORY: throw std::bad_alloc();
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_SOF_UNSUPPORTED: ThrowUnsupported(reason);
    default: ThrowCorrupt(reason);
  }
}

bool SmoothsBlocks(const jpeg_decompress_struct& cinfo) {
  if (!cinfo.progressive_mode || !cinfo.coef_bits) return false;
  constexpr int kSmoothedCoefficients = 10;
  for (int c = 0; c < cinfo.num_components; ++c) {
    for (int k = 0; k < kSmoothedCoefficients; ++k) {
      if (cinfo.coef_bits[c][k] != 0) return true;
    }
  }
  return false;
}

}  // namespace fastpre
