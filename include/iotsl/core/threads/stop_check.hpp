#pragma once
// How long work learns that nobody waits for its result any more.

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// Asked between two pieces of long work; true: leave off. Without a function the answer is no.
struct StopCheck {
  bool (*asked)(void* context) = nullptr;
  void* context = nullptr;

  /// Asks the callable `ask`, which must outlive this.
  template <class Ask>
  static StopCheck of(Ask& ask) {
    return {[](void* self) -> bool { return (*static_cast<Ask*>(self))(); }, &ask};
  }
  bool operator()() const { return asked != nullptr && asked(context); }
};

IOTSL_NAMESPACE_END
