# The two libraries, iotsl::iotsl and iotsl::net, both header-only (the plain name `iotsl` is the host
# program). No warning flag here: a user's flags are the user's.

add_library(iotsl_engine INTERFACE)
add_library(iotsl::iotsl ALIAS iotsl_engine)
target_include_directories(iotsl_engine INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_compile_features(iotsl_engine INTERFACE cxx_std_20)

if(IOTSL_WITH_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(OpenMP_CXX_FOUND)
    target_link_libraries(iotsl_engine INTERFACE OpenMP::OpenMP_CXX)
  else()
    message(STATUS "iotsl: no OpenMP, kernels run on one thread")
  endif()
endif()

if(IOTSL_WITH_ZLIB)
  find_package(ZLIB REQUIRED)
  target_link_libraries(iotsl_engine INTERFACE ZLIB::ZLIB)
  target_compile_definitions(iotsl_engine INTERFACE IOTSL_WITH_ZLIB=1)
endif()

# Optional: the kernels and the operations on float compiled once, for programs of many translation
# units. Each of them saves some ten seconds; the results are the same to the bit.
add_library(iotsl_compiled STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_LIST_DIR}/iotsl_compiled.cpp")
add_library(iotsl::compiled ALIAS iotsl_compiled)
target_link_libraries(iotsl_compiled PUBLIC iotsl_engine)
target_compile_definitions(iotsl_compiled PRIVATE IOTSL_EMIT_ENGINE=1 INTERFACE IOTSL_LINK_ENGINE=1)

# Asio without Boost is headers only, so a cross build may use the host's copy. Adding /usr/include
# to a cross compiler would mix two C libraries, hence a folder with links to the packages we want.
if(CMAKE_CROSSCOMPILING)
  set(IOTSL_HOST_HEADERS "${PROJECT_BINARY_DIR}/host-headers")
  file(MAKE_DIRECTORY "${IOTSL_HOST_HEADERS}")
  foreach(entry asio asio.hpp doctest)
    if(EXISTS "/usr/include/${entry}")
      file(CREATE_LINK "/usr/include/${entry}" "${IOTSL_HOST_HEADERS}/${entry}" SYMBOLIC)
    endif()
  endforeach()
endif()
find_path(IOTSL_ASIO_INCLUDE_DIR asio.hpp PATHS ${IOTSL_HOST_HEADERS} NO_CMAKE_FIND_ROOT_PATH)

if(IOTSL_ASIO_INCLUDE_DIR)
  find_package(Threads REQUIRED)
  add_library(iotsl_net INTERFACE)
  add_library(iotsl::net ALIAS iotsl_net)
  target_link_libraries(iotsl_net INTERFACE iotsl_engine Threads::Threads)
  target_include_directories(iotsl_net SYSTEM INTERFACE "${IOTSL_ASIO_INCLUDE_DIR}")
  target_compile_definitions(iotsl_net INTERFACE ASIO_STANDALONE)
else()
  message(STATUS "iotsl: no Asio (package libasio-dev), so no iotsl::net and no programs")
endif()
