#pragma once
// Counters shared by threads, and a lock. <atomic> and <mutex> would bring <chrono>, <tuple> and
// <system_error> into every translation unit: a tenth of the engine's compile time.

#include <pthread.h>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// An integer that several threads may read and change.
template <class V>
class Shared {
 public:
  constexpr explicit Shared(V value) : value_(value) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  V load_relaxed() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
  void store_relaxed(V value) { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
  V load_acquire() const { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }

  /// Adds one and returns the value before; orders nothing else.
  V increase() { return __atomic_fetch_add(&value_, V{1}, __ATOMIC_RELAXED); }
  /// Takes one away and returns the value before. Whoever sees 1 sees all that was done before the
  /// other decreases.
  V decrease() { return __atomic_fetch_sub(&value_, V{1}, __ATOMIC_ACQ_REL); }

 private:
  V value_;
};

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// Holds a mutex for a scope.
class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

}  // namespace detail

IOTSL_NAMESPACE_END
