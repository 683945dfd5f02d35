// The markers of a JPEG stream: the byte behind an 0xFF (ITU-T T.81 table B.1).
#pragma once

namespace fastpre::marker {

inline constexpr int kSOF0 = 0xC0;   // baseline
inline constexpr int kSOF1 = 0xC1;   // extended sequential, Huffman
inline constexpr int kSOF2 = 0xC2;   // progressive, Huffman
inline constexpr int kSOF3 = 0xC3;   // lossless, Huffman
inline constexpr int kDHT = 0xC4;    // Huffman tables
inline constexpr int kSOF6 = 0xC6;   // differential progressive
inline constexpr int kSOF7 = 0xC7;   // differential lossless
inline constexpr int kJPG = 0xC8;    // reserved
inline constexpr int kSOF9 = 0xC9;   // extended sequential, arithmetic
inline constexpr int kSOF10 = 0xCA;  // progressive, arithmetic
inline constexpr int kSOF11 = 0xCB;  // lossless, arithmetic
inline constexpr int kDAC = 0xCC;    // arithmetic coding conditioning
inline constexpr int kSOF14 = 0xCE;  // differential progressive, arithmetic
inline constexpr int kSOF15 = 0xCF;  // differential lossless, arithmetic
inline constexpr int kRST0 = 0xD0;   // restart, modulo 8
inline constexpr int kRST7 = 0xD7;
inline constexpr int kSOI = 0xD8;  // start of image
inline constexpr int kEOI = 0xD9;  // end of image
inline constexpr int kSOS = 0xDA;  // start of scan
inline constexpr int kDQT = 0xDB;  // quantization tables
inline constexpr int kDNL = 0xDC;  // number of lines
inline constexpr int kDRI = 0xDD;  // restart interval
inline constexpr int kDHP = 0xDE;  // hierarchical progression
inline constexpr int kEXP = 0xDF;  // expand reference components
inline constexpr int kAPP0 = 0xE0, kAPP1 = 0xE1, kAPP2 = 0xE2, kAPP13 = 0xED, kAPP14 = 0xEE, kAPP15 = 0xEF;
inline constexpr int kJPG0 = 0xF0, kJPG13 = 0xFD;  // reserved
inline constexpr int kCOM = 0xFE;                  // comment

constexpr bool IsRestart(int marker) { return marker >= kRST0 && marker <= kRST7; }
constexpr bool IsApp(int marker) { return marker >= kAPP0 && marker <= kAPP15; }
// A frame header, SOF0 to SOF15.
constexpr bool IsFrame(int marker) {
  return marker >= kSOF0 && marker <= kSOF15 && marker != kDHT && marker != kJPG && marker != kDAC;
}

}  // namespace fastpre::marker
