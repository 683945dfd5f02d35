// Threads that may help with one image, as the code that decodes it sees them.
#pragma once

#include <functional>

namespace fastpre {

class Crew {
 public:
  virtual ~Crew() = default;
  // How many may come, at most; none of them has to.
  virtual int size() const = 0;
  // From now on idle threads may call `body`, each once, while the caller goes on with its own work.
  virtual void Lend(const std::function<void()>& body) = 0;
  // Nobody calls `body` any more: waits for those who are inside.
  virtual void Recall() = 0;
};

}  // namespace fastpre
