# What our own programs, tests and benches add to the libraries.

add_library(iotsl_development INTERFACE)
target_compile_options(iotsl_development INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(IOTSL_WERROR)
  target_compile_options(iotsl_development INTERFACE -Werror)
endif()
# Asio's own headers ask for these two; the engine sees the compiler's flags.
if(IOTSL_NO_EXCEPTIONS)
  target_compile_options(iotsl_development INTERFACE -fno-exceptions -fno-rtti)
  target_compile_definitions(iotsl_development INTERFACE ASIO_NO_EXCEPTIONS ASIO_NO_TYPEID)
endif()
if(IOTSL_HOST_HEADERS)
  target_include_directories(iotsl_development SYSTEM INTERFACE "${IOTSL_HOST_HEADERS}")
endif()
