#include "host/images/name_form.hpp"

#if IOTSL_WITH_UTF8PROC
#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>
#endif

namespace iotsl::tool {

std::string name_form(const std::string& name) {
#if IOTSL_WITH_UTF8PROC
  struct Release {
    void operator()(utf8proc_uint8_t* text) const { std::free(text); }
  };
  // Null where memory is out, and for text that is no UTF-8, which a class name has been checked
  // for.
  const std::unique_ptr<utf8proc_uint8_t, Release> composed(
      utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(name.c_str())));
  if (composed == nullptr) throw std::bad_alloc();
  return reinterpret_cast<const char*>(composed.get());
#else
  return name;
#endif
}

}  // namespace iotsl::tool
