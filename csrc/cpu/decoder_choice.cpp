#include "cpu/decoder_choice.h"

#include <cstdlib>
#include <cstring>

#include "jpeg/declined.h"
#include "jpeg/frame.h"
#include "plan/quality_guard.h"

namespace fastpre {
namespace {

DecoderChoice Decline(const char* reason) { return {reason, 8}; }

}  // namespace

const char* OutOfScope(const Header& header) {
  static const bool forced_away = [] {
    const char* name = std::getenv("FASTPRE_DECODER");
    return name && std::strcmp(name, "libjpeg-turbo") == 0;
  }();
  if (forced_away) return "FASTPRE_DECODER";
  if (header.lossless()) return "lossless";
  if (header.arithmetic()) return "arithmetic coding";
  if (header.progressive()) return "progressive";
  if (header.sof != marker::kSOF0 && header.sof != marker::kSOF1) return "not a sequential Huffman stream";
  return nullptr;
}

DecoderChoice ChooseDecoder(const Header& header, const Spec& spec, const Plan& plan) {
  if (const char* reason = OutOfScope(header)) return Decline(reason);
  return {"", spec.exact ? 8 : LumaScale(header, plan)};
}

DecoderChoice ChooseDecoder(Bytes bytes, const Header& header, const Spec& spec, const Plan& plan) {
  const DecoderChoice choice = ChooseDecoder(header, spec, plan);
  if (!choice.declined.empty()) return choice;
  try {
    ParseFrame(bytes);
    return choice;
  } catch (const Declined& declined) {
    return Decline(declined.what());
  }
}

}  // namespace fastpre
