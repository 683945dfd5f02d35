// Checks that a stream is complete and valid before nvJPEG gets it, and finds its end: malformed streams have crashed
// nvJPEG.
#pragma once

#include <cstddef>

#include "core/image.h"
#include "jpeg/frame.h"
#include "jpeg/header.h"

namespace fastpre {

// How many bytes there are up to EOI, EOI included; 0 if they are not as they should be.
//
// Every segment of a progressive stream is read: one SOF2 of the header's size, tables that are complete and there
// before the scans that need them, scans in an order that T.81 G.1.1.1 allows, and no other marker than those.
size_t ValidateProgressive(Bytes stream, const Header& header);
// ParseFrame has read the stream up to its last scan; the marker behind that scan is looked for.
size_t ValidateSequential(Bytes stream, const Frame& frame);

}  // namespace fastpre
