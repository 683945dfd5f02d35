// Which decoder an image gets on the CPU, and why. (What a device may take besides: cuda/decode_path.h.)
//
//   our decoder      baseline and extended sequential Huffman streams
//   libjpeg-turbo    every other one; streams with anything unusual in them, from the start; everything, under
//                    FASTPRE_DECODER=libjpeg-turbo, for comparisons
//
// With fidelity="fast" ours reduces each component as far as the quality guard allows (plan/quality_guard.h).
#pragma once

#include <string>

#include "core/image.h"
#include "jpeg/header.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace fastpre {

struct DecoderChoice {
  std::string declined;  // why it is libjpeg-turbo's; empty: it is ours
  int scale = 8;         // samples of a block's side that the first component is decoded to; 8: all
  const char* name() const { return declined.empty() ? "fastpre" : "libjpeg-turbo"; }
};

// By the header. A stream that is ours may still be Declined on the way; it then starts over with libjpeg-turbo.
DecoderChoice ChooseDecoder(const Header& header, const Spec& spec, const Plan& plan);
// By the tables as well, as far as can be known before the first entropy-coded byte.
DecoderChoice ChooseDecoder(Bytes bytes, const Header& header, const Spec& spec, const Plan& plan);

// The part of the choice that needs no plan: why the stream is libjpeg-turbo's, null if it is not. Not an exception,
// which would cost more than a thumbnail's header.
const char* OutOfScope(const Header& header);

}  // namespace fastpre
