// Interface: threads that may help to decode one image.
#pragma once

#include <functional>

namespace fastpre {

class HelperThreads {
 public:
  virtual ~HelperThreads() = default;
  // How many may come, at most; none of them has to.
  virtual int size() const = 0;
  // From now on idle threads may call `body`, each once, while the caller goes on with its own work.
  virtual void Start(const std::function<void()>& body) = 0;
  // Waits for the threads that are inside `body`; no other thread calls it any more.
  virtual void Stop() = 0;
};

}  // namespace fastpre
