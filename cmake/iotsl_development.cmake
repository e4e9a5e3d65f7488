# What our own programs, tests and benches add to the libraries.

add_library(iotsl_development INTERFACE)
target_compile_options(iotsl_development INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(IOTSL_WERROR)
  target_compile_options(iotsl_development INTERFACE -Werror)
endif()
if(IOTSL_HOST_HEADERS)
  target_include_directories(iotsl_development SYSTEM INTERFACE "${IOTSL_HOST_HEADERS}")
endif()
