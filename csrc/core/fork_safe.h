// Objects of one process that a fork() must not carry over.
#pragma once

#include <pthread.h>

#include <atomic>
#include <mutex>

namespace fastpre {

// ForkSafe<T>::Get() is this process's one T, made when it is first asked for.
//
// A child of fork() gets a fresh one: of the parent's, threads do not survive and mutexes may be locked for ever. And
// no T is ever destroyed: at exit Python may be half gone while another thread still uses it, so it ends with the
// process.
template <class T>
class ForkSafe {
 public:
  static T& Get() {
    T* object = instance.load(std::memory_order_acquire);
    if (object) return *object;
    static std::once_flag at_fork;
    std::call_once(at_fork, [] { pthread_atfork(nullptr, nullptr, [] { instance.store(nullptr); }); });
    T* fresh = new T;
    if (instance.compare_exchange_strong(object, fresh)) return *fresh;
    delete fresh;
    return *object;
  }

 private:
  inline static std::atomic<T*> instance{nullptr};
};

}  // namespace fastpre
