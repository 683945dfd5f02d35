// Assertions for the C++ tests: a failure says where and what, and the process goes on and exits 1.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace fastpre::test {

inline int failures = 0;

inline void Report(const char* file, int line, const char* condition, const std::string& context) {
  if (++failures <= 20) std::fprintf(stderr, "%s:%d: not true: %s  [%s]\n", file, line, condition, context.c_str());
}

// The last statement of main.
inline int Summary(const char* name, long checks) {
  std::printf("%s: %ld cases, %d failures\n", name, checks, failures);
  if (checks == 0) std::fprintf(stderr, "%s: nothing was checked\n", name);
  return failures == 0 && checks > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace fastpre::test

#define CHECK(condition, context) \
  ((condition) ? void() : fastpre::test::Report(__FILE__, __LINE__, #condition, (context)))
